"""Words of messages that depend on a number."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: `1 epoch`, `2 epochs`, `1,000 classes` with `plural = "classes"`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def counted_plural(number: int, plural: str) -> str:
    """Write a number with a noun that is at hand in the plural: `1 user` and `2 users` of `users`."""
    singular = f"{plural.removesuffix('ies')}y" if plural.endswith("ies") else plural.removesuffix("s")
    return counted(number, singular, plural)
