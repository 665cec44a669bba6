"""Files by the names that a table gives them: in either Unicode form, and with advice where there is no such file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from dotexp.sdk.names import composed

from dotexp_vision.data.files import SUFFIXES, Search

_SAMPLE = 50


class FileNames:
    """Names of files within a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._entries = cache(self._read_entries)

    def find(self, name: str) -> str | None:
        """Return a file's path within the folder, as its system spells it; None where there is none.

        Names equal in Unicode normal form are one, and a backslash separates folders where no file has it in its name.
        """
        path = os.path.normpath(name)
        if (self.root / path).is_file():
            return path
        spelt = None if path.isascii() else self._spelt(path)
        if spelt is None and "\\" in path:
            return self.find(path.replace("\\", "/"))
        return spelt

    def advice(self, missing: Sequence[str]) -> str:
        """Say where files that were not found may be: the parameter that finds them, or where they were looked for."""
        sample = missing[:_SAMPLE]
        for advise in (self._suffix_advice, self._folder_advice, self._capitals_advice):
            if said := advise(sample):
                return said
        return (
            f"files were looked for in {self.root}: path = … says where else, and on_bad = skip leaves missing ones out"
        )

    def neighbours(self, found: Iterable[str]) -> int:
        """Count the image files that lie beside those found and are not among them."""
        listed = set(found)
        folders = {self.root / os.path.dirname(path) for path in listed}
        beside = (path for folder in folders if folder.is_dir() for path in Search().images(folder, below=False))
        return sum(os.path.relpath(path, self.root) not in listed for path in beside)

    def _spelt(self, path: str) -> str | None:
        spelt = Path()
        for part in Path(path).parts:
            actual = self._entries(str(self.root / spelt)).get(composed(part))
            if actual is None:
                return None
            spelt /= actual
        return str(spelt) if (self.root / spelt).is_file() else None

    def _read_entries(self, folder: str) -> dict[str, str]:
        try:
            return {composed(name): name for name in os.listdir(folder)}
        except OSError:
            return {}

    def _suffix_advice(self, missing: Sequence[str]) -> str:
        ends = Counter(end for name in missing for end in self._suffixes(name))
        if not ends:
            return ""
        (end, count), *others = ends.most_common()
        if others and count < len(missing):
            listed = ", ".join(f"{end} ({count} of {len(missing)})" for end, count in ends.most_common(3))
            return f"the files end in {listed}: the table's names need their suffixes"
        return f'the files end in {end}: suffix = "{end}"'

    def _suffixes(self, name: str) -> Iterator[str]:
        folder, _, last = name.rpartition("/")
        entries = self._entries(str(self.root / folder)).values()
        yield from (entry.removeprefix(last) for entry in entries if _is_with_suffix(entry, last))

    def _folder_advice(self, missing: Sequence[str]) -> str:
        """Look for the names below the folder, and for a folder that the names repeat."""
        first = missing[0].replace("\\", "/").split("/", 1)[0]
        if self.root.name == first and (self.root.parent / missing[0]).exists():
            return f'the names start with the folder itself: path = "{self.root.parent}"'
        wanted = {composed(name).rpartition("/")[2] for name in missing}
        places: Counter[tuple[str, str]] = Counter()
        for path in Search().images(self.root):
            for name, end in ((composed(path.name), ""), (composed(path.stem), path.suffix)):
                if name in wanted:
                    places[str(path.parent), end] += 1
        if not places:
            return ""
        (folder, end), _ = places.most_common(1)[0]
        suffix = f', suffix = "{end}"' if end else ""
        return f'files of these names are in another folder: path = "{folder}"{suffix}'

    def _capitals_advice(self, missing: Sequence[str]) -> str:
        for name in missing:
            folder, _, last = name.rpartition("/")
            for entry in self._entries(str(self.root / folder)).values():
                if entry.casefold() == last.casefold():
                    return f"{name} differs in capitals from the file {entry}"
        return ""


def _is_with_suffix(entry: str, name: str) -> bool:
    stem, end = os.path.splitext(entry)
    return composed(stem) == composed(name) and end.lower() in SUFFIXES
