"""spec-runner, called in the test's own process."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from dotexp.cli import call

from specs import RATINGS

QUICK = RATINGS.replace("latent_ratings", "latent_ratings(users = 60, items = 40, batch_size = 32)")
QUICK += "\nruntime(threads = 1)\n"


@dataclass
class Done:
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


def runner(*arguments: str, folder: Path, text: str | bytes = "") -> Done:
    """Call spec-runner in this process, in a folder, with text on its standard input."""
    given = text.encode() if isinstance(text, str) else text
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        patch.chdir(folder)
        patch.setenv("NO_COLOR", "1")
        patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(given)))
        code = call(arguments)
    return Done(code, out.getvalue(), err.getvalue())
