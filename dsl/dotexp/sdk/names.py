"""Names that look the same to the eye and are not: of classes, files, ids. Needs no torch."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator

from dotexp.language.characters import LOOK_ALIKES, describe

_JOINERS = "\u200c\u200d"
_LATIN = str.maketrans(LOOK_ALIKES)
_SHOWN = 3


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), in which names that are typed alike are equal."""
    return unicodedata.normalize("NFC", name)


def printable(name: str) -> str:
    """Return a name with undecodable bytes and invisible characters written as escapes, for messages and pages."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c.encode("unicode_escape").decode() if c in _invisible(text) else c for c in text)


def is_text(name: str) -> bool:
    """Return whether a file's name is text: its bytes are UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def name_notes(names: Collection[str], what: str) -> Iterator[str]:
    """Yield notes about names, in NFC, that look alike, and about those with characters that cannot be seen.

    `what` says in the plural what is named: `classes`.
    """
    groups = defaultdict(list)
    for name in sorted(names):
        groups[skeleton(name)].append(name)
    alike = [group for group in groups.values() if len(group) > 1]
    for group in alike[:_SHOWN]:
        listed = " and ".join(f"`{printable(name)}`" for name in group)
        yield f"the {what} {listed} {_difference(group)}: they are kept apart"
    if len(alike) > _SHOWN:
        yield f"{len(alike) - _SHOWN} more groups of {what} look alike"
    seen = {name for group in alike for name in group}
    odd = [name for name in sorted(names) if name not in seen and (_invisible(name) or name != name.strip())]
    if odd:
        first = "; ".join(f"`{printable(name)}`: {_odd_characters(name)}" for name in odd[:_SHOWN])
        more = f"; and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
        yield f"{len(odd)} of the {what} have characters that cannot be seen ({first}{more})"


def skeleton(name: str) -> str:
    """Return what names that look alike share: no capitals, Latin for letters that look like it, single spaces."""
    if name.isascii() and name.isprintable():  # a million ids are looked at so
        return " ".join(name.casefold().split())
    seen = "".join(c for c in name if c not in _invisible(name) or c.isspace())
    plain = unicodedata.normalize("NFKC", seen).translate(_LATIN)
    return re.sub(r"\s+", " ", plain).strip().casefold()


def _difference(group: Collection[str]) -> str:
    if len({re.sub(r"\s+", " ", name).strip() for name in group}) == 1:
        return "differ in white space alone"
    odd = sorted({description for name in group for description in _odd_letters(name)})
    return f"look alike ({', '.join(odd)})" if odd else "differ in capitals alone"


def _odd_letters(name: str) -> Iterator[str]:
    for character in name:
        changed = unicodedata.normalize("NFKC", character) != character or character in LOOK_ALIKES
        if changed or character in _invisible(name):
            yield describe(character)


def _odd_characters(name: str) -> str:
    ends = ["a space at an end"] if name != name.strip() and not _invisible(name) else []
    return ", ".join([*dict.fromkeys(describe(c) for c in name if c in _invisible(name)), *ends])


def _invisible(name: str) -> str:
    """Characters of a name that show nothing, or nothing but a space: none that a script needs to join letters."""
    return "".join(c for c in name if _shows_nothing(c) and not (c in _JOINERS and not name.isascii() and _joins(name)))


def _joins(name: str) -> bool:
    letters = [c for c in name if c.isalpha() or unicodedata.category(c) == "So"]
    return bool(letters) and not any(c.isascii() for c in letters)


def _shows_nothing(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Cf", "Cc", "Zl", "Zp") or (kind == "Zs" and character != " ") or "\ufe00" <= character <= "\ufe0f"
