"""Files of an export: new folders and files, written aside and moved into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from dotexp.language.diagnostics import UsageError
from dotexp.language.machine_faults import file_fault


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill, moved to `path` when the block ends and removed where it raises.

    Raises UsageError where `path` exists, and as `file_fault` where it cannot be written.
    """
    require_new(path)
    aside = path.with_name(f".{path.name}.{token_hex(6)}.tmp")
    try:
        aside.mkdir(parents=True)
        yield aside
        os.rename(aside, path)
    except OSError as error:
        raise file_fault("write", path, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def new_files(path: Path) -> Iterator[Path]:
    """Yield a path to write a file at, and others beside it whose names begin with its own; move them all into place.

    The file itself is moved last: where it is, the others are. Raises UsageError where one exists, and as `file_fault`
    where one cannot be written.
    """
    require_new(path)
    aside = path.with_name(f".{token_hex(6)}.{path.name}")
    try:
        aside.mkdir(parents=True)
        yield aside / path.name
        others = [each for each in aside.iterdir() if each.name != path.name]
        for each in others:
            require_new(path.with_name(each.name))
        for each in (*others, aside / path.name):
            os.rename(each, path.with_name(each.name))
    except OSError as error:
        raise file_fault("write", path, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def require_new(path: Path) -> None:
    """Raise UsageError where a path exists already."""
    if os.path.lexists(path):
        raise UsageError(f"{path} exists already: name another with --out, or remove it")
