"""What a value of a spec does to a run."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """What another value of a statement or a parameter does to a run."""

    weights = "changes the weights"
    speed = "speed only"
    reporting = "reporting only"
