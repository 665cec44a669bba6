"""Images that a table labels, or a pattern in their names, as data."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dotexp import ComponentError, DataContext, Use
from dotexp.sdk.names import composed, is_text, name_notes
from dotexp.sdk.set_names import TITLES, YES, role_of
from dotexp.sdk.tables import read_lines

from dotexp_vision.data.cache import FileReader
from dotexp_vision.data.dataset import Found, ImageData, assemble
from dotexp_vision.data.files import SUFFIXES, Search, some
from dotexp_vision.data.folder import label_in, refuse_undecodable
from dotexp_vision.data.label_table import LabelTable, checked_pattern, split_label
from dotexp_vision.data.list_params import ImageListParams
from dotexp_vision.data.lookup import FileNames
from dotexp_vision.data.set_folders import refuse_inner_sets
from dotexp_vision.data.targets import Example, names_in


def build(params: ImageListParams, context: DataContext) -> ImageData:
    """Read the table or the folder, split the images and read them. Raises ComponentError (E401, E402)."""
    return assemble(params, _List(params).found(), context)


class _List:
    """A table or a folder of images as its parameters describe it."""

    def __init__(self, params: ImageListParams) -> None:
        self.params = params
        folder = params.table.is_dir()
        self.root = params.path or (params.table if folder else params.table.parent)
        if not self.root.is_dir():
            raise ComponentError(f"there is no folder {self.root}", "path", code="E401")
        self.notes: list[str] = []
        self.names = FileNames(self.root)
        self.search = Search("table")
        self.table = None if folder else LabelTable(params, params.table, "table", self.names)
        self.examples = self._in_folder(params.table, "table") if self.table is None else self.table.examples()
        self.pool = {example.identity: example for example in self.examples}

    def found(self) -> Found:
        """Set apart what `valid` and `test` name, and leave out rows that are marked for a set nobody asks for."""
        parts = {}
        for part, held_out in (("test", self.params.test), ("valid", self.params.valid)):
            if held_out is None or isinstance(held_out, (int, float)):
                continue
            parts[part] = list(self._held_out(held_out, part))
            self._take(parts[part], part)
        self._leave_out_marked()
        if self.table is None:
            names = [os.path.relpath(self.root / identity, self.params.table) for identity in self.pool]
            refuse_inner_sets(self.params.table, names, "table", whole=True)
        held = {part: _sorted(of_part) for part, of_part in parts.items()}
        pool = _sorted(self.pool.values())
        if self.params.task != "regression":
            self.notes += name_notes({name for of in (pool, *held.values()) for name in names_in(of)}, "classes")
        self.notes += self.search.left_out.notes()
        guesses: dict[str, str] = {}
        if self.table is not None:
            guesses = self.table.guesses
            self.notes += [*self.table.notes, *self.table.unused_split(), *self._unlisted(held)]
        reader, place = FileReader(self.root), str(self.root)
        return Found(self.params.task, pool, held, reader, place, "table", tuple(self.notes), guesses=guesses)

    def _held_out(self, held_out: Use | Path, part: str) -> Iterable[Example]:
        if isinstance(held_out, Use):
            return self._by_column(held_out, part)
        if held_out.is_dir():
            return self._by_folder(held_out, part)
        return self._by_names(held_out, part) if held_out.suffix.lower() == ".txt" else self._by_table(held_out, part)

    def _take(self, examples: Iterable[Example], part: str) -> None:
        names = {example.identity for example in examples}
        self.pool = {identity: example for identity, example in self.pool.items() if identity not in names}
        if not names or not self.pool:
            message = f"the {TITLES[part]} takes {'every image' if names else 'no image'}"
            raise ComponentError(message, part, self._marked_instead(part) if not names else "")

    def _marked_instead(self, part: str) -> str:
        """Say which other sets the rows are marked for by the column that a set names."""
        use = getattr(self.params, part)
        if not isinstance(use, Use) or self.table is None:
            return ""
        roles = Counter(role for cell in self.table.cells(use, part) if (role := role_of(cell)) is not None)
        marked = " and ".join(f"{count} row{'s' * (count > 1)} as {role}" for role, count in sorted(roles.items()))
        return f"the column marks {marked}" if marked else "no row of the column holds 1, true, yes or the set's name"

    def _in_folder(self, folder: Path, field: str) -> list[Example]:
        if not isinstance(self.params.label, str):
            wanted = 'say how their names hold it: label = r"(.+)_\\d+\\.jpg$"'
            raise ComponentError(
                f"{folder} is a folder of images, and nothing says what their labels are", field, wanted
            )
        pattern = checked_pattern(self.params.label)
        examples: list[Example] = []
        nameless: list[str] = []
        undecodable: list[str] = []
        for path in self.search.images(folder):
            identity = os.path.relpath(path, self.root)
            text = label_in(path.name, pattern)
            if text is None:
                nameless.append(identity)
            elif not is_text(text):
                undecodable.append(identity)
            else:
                examples.append(Example(identity, split_label(self.params, text)))
        if nameless:
            message = f"the pattern finds no class in {len(nameless)} of the names in {folder}: {some(nameless)}"
            raise ComponentError(message, "label")
        refuse_undecodable(undecodable)
        if not examples:
            raise ComponentError(f"{folder} has no images", field, f"they end in {', '.join(sorted(SUFFIXES))}")
        return examples

    def _by_column(self, use: Use, part: str) -> list[Example]:
        """Take the rows, of those not held out yet, whose column holds 1, true or the part's own name."""
        if self.table is None:
            raise ComponentError(f"`{use.name}` names a column, and a folder has none", part)
        cells = self.table.cells(use, part)
        marked = zip(self.examples, cells, strict=True)
        return [e for e, cell in marked if e.identity in self.pool and (cell.lower() in YES or role_of(cell) == part)]

    def _leave_out_marked(self) -> None:
        """Leave out the rows that a column marks as of a set that is not asked for by it."""
        for part, use in (("valid", self.params.valid), ("test", self.params.test)):
            if not isinstance(use, Use) or self.table is None:
                continue
            cells = self.table.cells(use, part)
            column = use.build()
            for other in ("valid", "test"):
                marked = [e.identity for e, cell in zip(self.examples, cells, strict=True) if role_of(cell) == other]
                extra = [identity for identity in marked if identity in self.pool]
                for identity in extra:
                    del self.pool[identity]
                if extra:
                    rows = f"{len(extra)} row{'s are' if len(extra) > 1 else ' is'} marked as of the {TITLES[other]}"
                    wanted = (
                        f'{other} = column("{column}")' if isinstance(column, str) else f"{other} = column({column})"
                    )
                    self.notes.append(f"{rows} by the column `{column}` and left out: {wanted} would use them")
            if any(role_of(cell) == "train" for cell in cells):
                blank = [e.identity for e, cell in zip(self.examples, cells, strict=True) if not cell]
                nowhere = [identity for identity in blank if self.pool.pop(identity, None) is not None]
                if nowhere:
                    rows = f"{len(nowhere)} row{'s are' if len(nowhere) > 1 else ' is'}"
                    self.notes.append(f"{rows} marked for no set by the column `{column}` and left out")
        if not self.pool:
            raise ComponentError("no row is left to train with", "table")

    def _by_folder(self, folder: Path, part: str) -> list[Example]:
        """Take the listed images in a folder and below; where no table lists them, those that the pattern labels."""
        inside = os.path.relpath(folder, self.root)
        found = [self.pool[identity] for identity in self.pool if Path(identity).is_relative_to(inside)]
        if not found and self.table is None:
            return self._in_folder(folder, part)
        if not found:
            raise ComponentError(f"no image of the table is in {folder}", part)
        return found

    def _by_names(self, path: Path, part: str) -> list[Example]:
        """Take the images that a text file names, a name a line."""
        names = [line.strip() for line in read_lines(path, part, self.params.encoding)]
        if not any(names):
            raise ComponentError(f"{path} names no image", part)
        found: dict[str, Example] = {}
        unknown = []
        for number, name in enumerate(names, 1):
            identity = self.names.find(name + self.params.suffix) or os.path.normpath(name + self.params.suffix)
            if identity in self.pool:
                found[identity] = self.pool[identity]
            elif name:
                unknown.append(f"line {number}: {name}")
        if unknown:
            message = f"{path} names images that are missing from the table, or already held out: {some(unknown)}"
            stems = {composed(os.path.splitext(identity)[0]): os.path.splitext(identity)[1] for identity in self.pool}
            ends = {stems.get(composed(line.partition(": ")[2])) for line in unknown}
            only = ends.pop() if len(ends) == 1 else None
            raise ComponentError(message, part, f"its names lack the suffix of the table's: {only}" if only else "")
        return list(found.values())

    def _by_table(self, path: Path, part: str) -> list[Example]:
        """Read a table of the same form; none of its images may be in the first one."""
        second = LabelTable(self.params, path, part, self.names)
        found = second.examples()
        if (header := second.guesses.get("header")) is not None and self.table is not None:
            self.table.guesses[f"header of {path.name}"] = header
        both = [
            (row, f"{e.identity} is in {self.params.table.name}, too")
            for row, e in enumerate(found)
            if e.identity in self.pool
        ]
        second.table.refuse(both, "a .txt file, with a name a line, takes images out of the first table")
        return found

    def _unlisted(self, held: Mapping[str, Iterable[Example]]) -> Iterator[str]:
        """Yield a note about image files that lie beside the listed ones."""
        listed = [example.identity for examples in (self.examples, *held.values()) for example in examples]
        if count := self.names.neighbours(listed):
            files = f"{count} image files are" if count > 1 else "1 image file is"
            yield f"{files} beside those of the table, and left out"


def _sorted(examples: Iterable[Example]) -> tuple[Example, ...]:
    return tuple(sorted(examples, key=lambda example: example.identity))
