"""`upgrade`: former names become the current ones, and nothing else changes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
from dotexp import Component, FormerName, OfKind, Params, Positional, Use, former_members
from dotexp.components.registry import Provider, Registry, load_registry
from dotexp.language import keywords, parser
from pydantic import Field
from spec_runner import Done, runner

from specs import IMAGES, checked


@former_members(soft="gentle")
class Manner(StrEnum):
    """How to wait."""

    gentle = "gentle"
    harsh = "harsh"


@former_members(soft="tender")
class Touch(StrEnum):
    """How to touch."""

    tender = "tender"


class InnerParams(Params):
    """An inner component."""

    size: Annotated[int, FormerName("width")] = Field(1, ge=1, le=9, description="size")


class PatienceParams(Params):
    """Wait."""

    epochs: Annotated[int, Positional(), FormerName("rounds")] = Field(2, ge=1, le=100, description="epochs")
    manner: Manner = Field(Manner.gentle, description="how")
    touch: Touch = Field(Touch.tender, description="how to touch")
    inner: Annotated[Use, OfKind("callback")] | None = Field(None, description="another")


OFFERED = (
    Component("callback", "patience", PatienceParams, "toys:build", provider="toys", former_names=("waiting",)),
    Component("callback", "inner", InnerParams, "toys:build", provider="toys", former_names=("core",)),
)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The installed plugins, and one whose components were renamed, for the command, too."""
    made = Registry((*load_registry().providers, Provider("toys", OFFERED)))

    monkeypatch.setattr("dotexp.cli.upgrade.load_registry", lambda: made)
    return made


OLD = f"""{IMAGES}
# waiting is the name of a component, rounds that of a parameter
param how = soft   # soft
callbacks waiting( rounds=3,  # rounds: waiting
                   manner = how, inner = toys.core(width = 4)), clip(1.0)
"""
NEW = f"""{IMAGES}
# waiting is the name of a component, rounds that of a parameter
param how = gentle   # soft
callbacks patience( epochs=3,  # rounds: waiting
                   manner = how, inner = toys.inner(size = 4)), clip(1.0)
"""


def upgrade(folder: Path, text: str | bytes, *options: str) -> tuple[Done, bytes]:
    path = folder / "a.exp"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return runner("upgrade", *options, "a.exp", folder=folder), path.read_bytes()


def test_former_names_become_the_current_ones(tmp_path: Path, registry: Registry) -> None:
    done, written = upgrade(tmp_path, OLD)
    assert written.decode() == NEW
    assert (done.returncode, done.stdout) == (0, "a.exp: upgraded\n")
    line = OLD[: OLD.index("param how")].count("\n") + 1
    assert done.stderr.splitlines() == [
        f"a.exp:{line}:13: soft → gentle",
        f"a.exp:{line + 1}:11: waiting → patience",
        f"a.exp:{line + 1}:20: rounds → epochs",
        f"a.exp:{line + 2}:47: core → inner",
        f"a.exp:{line + 2}:52: width → size",
    ]
    before, after = (checked(text, registry=registry)[0] for text in (OLD, NEW))
    assert before is not None and after is not None and before.experiment == after.experiment
    done, written = upgrade(tmp_path, NEW)
    assert (done.returncode, done.stdout, done.stderr, written.decode()) == (0, "a.exp: unchanged\n", "", NEW)


def test_check_and_diff_write_nothing(tmp_path: Path, registry: Registry) -> None:
    done, written = upgrade(tmp_path, OLD, "--check")
    assert (done.returncode, done.stdout, written.decode()) == (1, "a.exp: not up to date\n", OLD)
    done, written = upgrade(tmp_path, OLD, "--diff")
    assert done.returncode == 1 and {"-param how = soft   # soft", "+param how = gentle   # soft"} < {
        *done.stdout.splitlines()
    }
    assert written.decode() == OLD
    assert upgrade(tmp_path, NEW, "--check")[0].returncode == 0
    assert runner("upgrade", "-", folder=tmp_path, text=OLD).stdout == NEW


def test_line_ends_and_the_byte_order_mark_stay(tmp_path: Path, registry: Registry) -> None:
    raw = b"\xef\xbb\xbf" + OLD.replace("\n", "\r\n").encode()
    assert upgrade(tmp_path, raw)[1] == b"\xef\xbb\xbf" + NEW.replace("\n", "\r\n").encode()


def test_a_former_statement_becomes_the_current_one(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(keywords.FORMER, "hooks", "callbacks")  # type: ignore[index]
    monkeypatch.setitem(keywords.RESERVED, "hooks", "LISTING")  # type: ignore[index]
    assert parser.FORMER is keywords.FORMER
    done, written = upgrade(tmp_path, OLD.replace("callbacks waiting", "hooks waiting"))
    assert (done.returncode, written.decode()) == (0, NEW)


def test_a_base_is_a_file_of_its_own(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "base.exp").write_text("callbacks waiting(rounds = n)\n")
    text = 'extends "base.exp"\nparam n = 3\n' + IMAGES
    done, written = upgrade(tmp_path, text)
    assert (done.returncode, done.stdout, written.decode()) == (0, "a.exp: unchanged\n", text)
    assert runner("upgrade", "base.exp", folder=tmp_path).returncode == 0
    assert (tmp_path / "base.exp").read_text() == "callbacks patience(epochs = n)\n"


def test_a_file_with_faults_of_names_is_upgraded_and_diagnosed(tmp_path: Path, registry: Registry) -> None:
    done, written = upgrade(tmp_path, OLD.replace("cross_entropy", "cross"))
    assert done.returncode == 2 and "error[E203]" in done.stderr
    assert written.decode() == NEW.replace("cross_entropy", "cross")


def test_a_file_with_faults_of_syntax_is_left(tmp_path: Path, registry: Registry) -> None:
    text = OLD + "seed 1_0\n"
    done, written = upgrade(tmp_path, text)
    assert (done.returncode, done.stdout, written.decode()) == (2, "", text)


def test_a_word_with_two_current_names_stays(tmp_path: Path, registry: Registry) -> None:
    text = f"{IMAGES}param how = soft\ncallbacks patience(manner = how, touch = how)\n"
    done, written = upgrade(tmp_path, text)
    assert (done.returncode, done.stdout, written.decode()) == (0, "a.exp: unchanged\n", text)


def test_a_file_that_would_mean_something_else_is_left(tmp_path: Path, registry: Registry) -> None:
    """A param with the current name would stand where the member stood."""
    text = f"{IMAGES}param gentle = 3\ncallbacks patience(epochs = gentle, manner = soft)\n"
    done, written = upgrade(tmp_path, text)
    assert done.returncode == 2 and "it would mean something else" in done.stderr and written.decode() == text
