"""Tables of images, from text files and from Parquet: columns of stripped text, each row with its place."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from dotexp import ComponentError

LARGEST = 1 << 30
"""Bytes of a text file: about ten million rows."""
_SHOWN = 20
_LISTED = 30


class Table(ABC):
    """Rows of a file. `places` says where each is (`line 7`); `field` is the parameter that named the file."""

    def __init__(self, path: Path, field: str, names: Sequence[str] | None, width: int, places: Sequence[str]) -> None:
        self.path = path
        self.field = field
        self.names = names
        self.places = places
        self._width = width

    def __len__(self) -> int:
        return len(self.places)

    def has(self, name: object) -> bool:
        """Whether a column has this name."""
        return self.names is not None and name in self.names

    def column(self, wanted: int | str, field: str) -> Sequence[str]:
        """Return a column's cells, "" for an empty one; raises ComponentError (E402) where there is no such column."""
        return self._cells(self._index(wanted, field))

    def refuse(self, faults: Sequence[tuple[int, str]], help: str = "") -> None:
        """Raise ComponentError (E402) for rows, by number, that cannot be used, if there are any."""
        if not faults:
            return
        rows = sorted(faults)
        listed = [f"  {self.places[row]}: {reason}" for row, reason in rows[:_SHOWN]]
        if len(rows) > _SHOWN:
            listed.append(f"  and {len(rows) - _SHOWN} more")
        count = f"{len({row for row, _ in rows})} of {len(self)} rows"
        raise ComponentError(f"{count} of {self.path} cannot be used\n" + "\n".join(listed), self.field, help)

    @abstractmethod
    def _cells(self, index: int) -> Sequence[str]: ...

    def _index(self, wanted: int | str, field: str) -> int:
        blamed = field if self.field == "table" else self.field
        if isinstance(wanted, int):
            if wanted < self._width:
                return wanted
            raise ComponentError(f"{self.path} has no column {wanted}", blamed, self._columns())
        if self.names is None:
            message = f"{self.path} has no header that could name a column `{wanted}`"
            raise ComponentError(message, blamed, f"give the column's number: {self._columns()}")
        if (found := self.names.count(wanted)) != 1:
            message = f"{self.path} has {f'{found} columns' if found else 'no column'} called `{wanted}`"
            raise ComponentError(message, blamed, self._columns())
        return self.names.index(wanted)

    def _columns(self) -> str:
        names = [str(number) for number in range(self._width)] if self.names is None else self.names
        return f"its columns are {', '.join(names)}" if len(names) <= _LISTED else f"it has {len(names)} columns"


class _Text(Table):
    def __init__(
        self, path: Path, field: str, names: Sequence[str] | None, lines: Sequence[int], rows: Sequence[Sequence[str]]
    ) -> None:
        width = len(names) if names is not None else len(rows[0])
        super().__init__(path, field, names, width, [f"line {line}" for line in lines])
        self._rows = rows
        self.refuse([(i, f"{len(row)} fields, not {width}") for i, row in enumerate(rows) if len(row) > width])

    def _cells(self, index: int) -> Sequence[str]:
        return [row[index].strip() if index < len(row) else "" for row in self._rows]


class _Parquet(Table):
    def __init__(self, path: Path, field: str) -> None:
        import polars as pl

        try:
            names = list(pl.read_parquet_schema(path))
            count = pl.scan_parquet(path).select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ComponentError(f"{path} cannot be read as Parquet: {_first_line(error)}", field) from error
        super().__init__(path, field, names, len(names), [f"row {row}" for row in range(1, count + 1)])

    def _cells(self, index: int) -> Sequence[str]:
        import polars as pl

        assert self.names is not None
        name = self.names[index]
        try:  # one column alone: others may hold the images themselves
            column = pl.read_parquet(self.path, columns=[name])[name].cast(pl.String)
        except (pl.exceptions.PolarsError, OSError) as error:
            message = f"column `{name}` of {self.path} holds neither text nor numbers: {_first_line(error)}"
            raise ComponentError(message, self.field) from error
        cells: list[str] = column.fill_null("").str.strip_chars().to_list()
        return cells


def read_table(path: Path, field: str, separator: str | None, header: bool, encoding: str) -> Table:
    """Read a table; raises ComponentError: E401 for no such file, E402 for one that is no table."""
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise ComponentError(f"{path} {state}", field, code="E401")
    if path.suffix.lower() == ".parquet":
        return _Parquet(path, field)
    delimiter = separator or ("\t" if path.suffix.lower() == ".tsv" else ",")
    numbered = list(_rows(read_text(path, field, encoding), delimiter, path, field))
    if len(numbered) <= header:
        raise ComponentError(f"{path} has {'a header and no rows' if numbered else 'no rows'}", field)
    names = [cell.strip() for cell in numbered[0][1]] if header else None
    lines, rows = zip(*numbered[1 if header else 0 :], strict=True)
    return _Text(path, field, names, lines, rows)


def read_text(path: Path, field: str, encoding: str = "utf-8") -> str:
    """Read a text file; raises ComponentError (E402) where it is not one."""
    if path.stat().st_size > LARGEST:
        raise ComponentError(f"{path} has more than {LARGEST:,} bytes", field)
    raw = path.read_bytes()
    try:
        return raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        help = 'say which it is: encoding = "latin-1" is common in old files'
        raise ComponentError(f"{path}, line {line}: not {encoding} text", field, help) from None


def _rows(text: str, delimiter: str, path: Path, field: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise ComponentError(f"{path}, line {line}: {error}", field) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
