"""Edits of a spec's file that leave the rest of it as it is: comments, layout, line ends, permissions, links."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE
from typing import NamedTuple

from dotexp.language.atomic import write_atomic
from dotexp.language.diagnostics import UsageError
from dotexp.language.machine_faults import file_fault
from dotexp.language.source import Source, source_from_text

_MARK = "\ufeff"


class Edit(NamedTuple):
    """Text from offset `start` up to `end` of a source, and what shall stand in its place."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Sequence[Edit]) -> str:
    """Put edits into a text; they must not overlap, and may come in any order."""
    for edit in sorted(set(edits), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def edit_file(source: Source, edits: Sequence[Edit]) -> Path:
    """Put edits, by offsets in `source`, into the file that it was read from, at one go; links are followed.

    Raises UsageError, the file untouched, where there is no such file, it may not be written, or it has another text.
    """
    path, raw = _raw(source)
    places = _places(raw)
    moved = [Edit(places[edit.start], places[edit.end], edit.text) for edit in edits]
    return _write(source, path, edited(raw, moved))


def replace_text(source: Source, raw: str) -> Path:
    """Give the file that `source` was read from another text, line ends and all, as `edit_file` does."""
    path, _ = _raw(source)
    return _write(source, path, raw)


def as_in_file(raw: str, text: str) -> str:
    """Return a text with the byte-order mark and the line ends of a file's own: all lines end as the first does."""
    end = re.search(r"\r\n?|\n", raw)
    mark = _MARK if raw.startswith(_MARK) else ""
    return mark + (text.replace("\n", end[0]) if end else text)


def _raw(source: Source) -> tuple[Path, str]:
    path = Path(os.path.realpath(source.name))
    if source.is_json:
        raise UsageError(f"{source.name} is JSON: only a spec's text is edited")
    try:
        raw = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise file_fault("read", source.name, error) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{source.name} cannot be edited: {error}") from error
    if source_from_text(raw).text != source.text:
        raise UsageError(f"{source.name} is not what it was when it was read: it is left as it is")
    return path, raw


def _write(source: Source, path: Path, raw: str) -> Path:
    try:
        status = path.stat()
        mode = S_IMODE(status.st_mode)
        if not mode & 0o222:
            raise UsageError(f"{source.name} is read-only: it is left as it is")
        write_atomic(path, raw.encode())
        if os.name == "posix" and (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            with suppress(OSError):  # only root may give a file away
                os.chown(path, status.st_uid, status.st_gid)
        path.chmod(mode)
    except OSError as error:
        raise file_fault("write", source.name, error) from error
    return path


def _places(raw: str) -> list[int]:
    """Where each character of a source's text stands in the file's: a mark at the start and CRs make the difference."""
    start = len(_MARK) if raw.startswith(_MARK) else 0
    places = [i for i in range(start, len(raw)) if not (raw[i] == "\n" and i > start and raw[i - 1] == "\r")]
    return [*places, len(raw)]
