"""Words of messages that depend on a number."""

from __future__ import annotations

import re


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: `1 epoch`, `2 epochs`, `1,000 classes` with `plural = "classes"`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def counted_plural(number: int, plural: str) -> str:
    """Write a number with a noun that is at hand in the plural: `1 user` and `2 users` of `users`."""
    singular = f"{plural.removesuffix('ies')}y" if plural.endswith("ies") else plural.removesuffix("s")
    return counted(number, singular, plural)


def with_article(noun: str) -> str:
    """Write a noun with its article, by its sound: `a pair`, `an image`, `a user`."""
    vowel = noun[:1].lower() in tuple("aeiou") and not re.match(r"(?i)eu|one\b|u(ni|s[aeu]|t[ei])", noun)
    return f"{'an' if vowel else 'a'} {noun}"


def range_ends(low: float, high: float) -> tuple[str, str]:
    """Write a range's ends with as few digits as leave them within a thousandth of its width: 0.55 and 5.45."""
    for digits in range(6, 18):
        texts = _plain(f"{low:.{digits}g}"), _plain(f"{high:.{digits}g}")
        if max(abs(float(text) - end) for text, end in zip(texts, (low, high), strict=True)) <= (high - low) / 1000:
            break
    return texts


def _plain(text: str) -> str:
    """Write a number that fits on a screen without an exponent: 881251000 for 8.81251e+08."""
    return f"{float(text):.0f}" if "e+" in text and abs(float(text)) < 1e15 else text
