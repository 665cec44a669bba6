"""Items by title or id. Imports no torch: `plan` looks items up too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from dotexp import DataFacts, Problem
from dotexp.sdk.names import composed

from dotexp_collab.reports.params import NearestParams

_OFFERED = 3
_LISTED = 10


@dataclass(frozen=True)
class Catalogue:
    """The training set's items: `ids` by code, from 1, and titles by id."""

    ids: Sequence[str]
    titles: Mapping[str, str]

    def name(self, code: int) -> str:
        """Title of an item, or its id where it has none."""
        return self.titles.get(self.ids[code - 1], self.ids[code - 1])

    def find(self, wanted: int | str) -> int | Problem:
        """Find an item's code: a number is an id, text a title or, where no item has it, an id."""
        wanted = composed(wanted) if isinstance(wanted, str) else wanted
        held = [code for code, id in enumerate(self.ids, start=1) if self.titles.get(id) == wanted]
        if len(held) == 1:
            return held[0]
        if not held and str(wanted) in self.ids:
            return self.ids.index(str(wanted)) + 1
        if held:
            ids = ", ".join(f'"{self.ids[code - 1]}"' for code in held[:_LISTED])
            message = f"{len(held)} items are called `{wanted}`"
            return Problem(message, "item", help=f"say which by its id: {ids}", code="E208")
        return self._unknown(str(wanted))

    def _unknown(self, wanted: str) -> Problem:
        near = ", ".join(f'"{name}"' for name in self._like(wanted))
        what = "title or id" if self.titles else "id"
        help = f"close to it: {near}" if near else f"an item is named by its {what}, such as " + self._examples()
        return Problem(f"no item of the training set has the {what} `{wanted}`", "item", help=help, code="E208")

    def _like(self, wanted: str) -> list[str]:
        """Names that have every word of what is wanted, the shortest first, or else those spelt most like it."""
        names = {self.name(code).casefold(): self.name(code) for code in range(1, len(self.ids) + 1)}
        words = wanted.casefold().split()
        holding = sorted((name for name in names if all(word in name for word in words)), key=lambda n: (len(n), n))
        near = holding or get_close_matches(wanted.casefold(), names, n=_OFFERED)
        return [names[name] for name in near[:_OFFERED]]

    def _examples(self) -> str:
        return " or ".join(dict.fromkeys(f'"{name}"' for name in (self.name(1), self.ids[0])))


def catalogue(facts: DataFacts) -> Catalogue:
    """Make the catalogue of opened ratings, or of those a run was trained on."""
    return Catalogue(facts.vocabulary["items"], facts.vocabulary.get("titles", {}))


def items_exist(params: NearestParams, facts: DataFacts) -> Iterator[Problem]:
    """Report every item asked for that the training set does not have."""
    if "items" not in facts.vocabulary:
        return
    known = catalogue(facts)
    for wanted in params.named:
        found = known.find(wanted)
        if isinstance(found, Problem):
            yield found
