"""Measurements, each of two things in turn in one run: `python -m tests.benchmarks --help` lists them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "support"))  # as pytest has it


def argument_parser(name: str, about: str | None) -> ArgumentParser:
    """Return a parser of a measurement's arguments, with the module's docstring as its help."""
    return ArgumentParser(prog=f"python -m tests.benchmarks {name}", description=about)
