"""Words of messages that depend on a number."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: `1 epoch`, `2 epochs`, `1,000 classes` with `plural = "classes"`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
