"""Suggest the path that a mistyped override meant. Imported only where an override has no target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dotexp.experiment.drafts import Drafts
from dotexp.language.diagnostics import closest
from dotexp.language.foreign_words import meaning
from dotexp.language.keywords import BY_WORD, KEYWORDS, STAGE, TOP, Form, in_place

_SHOWN = 4


def path_hint(path: Sequence[str], drafts: Drafts) -> str:
    """Return advice on an override's path that does not exist."""
    return similar_paths(path, list(_paths(drafts)))


def similar_paths(path: Sequence[str], paths: Sequence[str]) -> str:
    """Return advice on a path that does not exist: those of `paths` with its ending, else the most similar one."""
    last, advice = meaning(path[-1], {each.rpartition(".")[2] for each in paths})
    found = _ending_in(path, paths) or (_ending_in((*path[:-1], last), paths) if last else [])
    near = closest(".".join(path), paths)
    if not found and near:
        found = [near]
    if found:
        shown = ", ".join(f"`{each}`" for each in found[:_SHOWN])
        return f"did you mean {shown}{', …' if len(found) > _SHOWN else ''}?"
    return advice or f"for example {', '.join(paths[:_SHOWN])}"


def _ending_in(path: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return the paths with the same last part that contain the other parts of `path` in order."""
    return [each for each in paths if each.split(".")[-1] == path[-1] and _in_order(path, each.split("."))]


def _in_order(parts: Sequence[str], whole: Sequence[str]) -> bool:
    left = iter(whole)
    return all(part in left for part in parts)


def _paths(drafts: Drafts) -> Iterator[str]:
    """Yield every path that an override may have."""
    yield from drafts.binder.scope.params
    yield from (each.path for each in in_place(TOP, Form.number, Form.listing) if each.path)
    for word, draft in drafts.slots.items():
        yield BY_WORD[word].path
        yield from (f"{BY_WORD[word].path}.{name}" for name in draft.component.params.model_fields)
    block = next(each.word for each in KEYWORDS if each.form is Form.stage)
    for name, stage in drafts.stages.items():
        yield from (f"{block}.{name}.{each.path}" for each in in_place(STAGE) if each.path)
        for word, draft in stage.slots.items():
            if drafts.slots.get(word) is not draft:
                yield from (f"{block}.{name}.{word}.{field}" for field in draft.component.params.model_fields)
