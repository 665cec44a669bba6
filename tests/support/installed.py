"""Distributions laid out in a folder as an installer does, for tests that import them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install(folder: Path, files: Mapping[str, str], name: str) -> None:
    """Lay a distribution out: its package, and its dist-info with the entry point."""
    info = f"{name}-1.2.dist-info"
    extra = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n",
        f"{info}/entry_points.txt": f"[dotexp]\n{name} = {name}\n",
    }
    for path, text in {**files, **extra}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def importable(monkeypatch: pytest.MonkeyPatch, folder: Path, files: Mapping[str, str], name: str) -> None:
    """Install a distribution and have this process find it, under a name that it has not imported yet."""
    install(folder, files, name)
    monkeypatch.syspath_prepend(folder)
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
