"""Errors of weights: E405, at the parameter `weights`."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp.language.diagnostics import ComponentError

_SHOWN = 3


def unusable(message: str, help: str = "") -> ComponentError:
    """Make the error for weights that cannot be used: E405, at the parameter `weights`."""
    return ComponentError(message, field="weights", help=help, code="E405")


def first_line(error: Exception) -> str:
    """First line of an error's message, or its type's name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def counted(names: Sequence[str]) -> str:
    """Count tensors, and name the first of them: `2 tensors (conv1.weight, fc.bias)`."""
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''} ({', '.join(names[:_SHOWN])}{rest})"
