"""A parameter's bounds in words, read off its annotation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo


def bounds_of(field: FieldInfo) -> str:
    """Say the bounds of a parameter's numbers, such as `≥ 0, < 1`; several sets where it takes several types."""
    own = _said(field.metadata)
    inner = list(dict.fromkeys(_inside(field.annotation)))
    return " or ".join(([own] if own else []) + inner)


def _inside(annotation: Any) -> Iterator[str]:
    metadata = getattr(annotation, "__metadata__", ())
    said = _said([part for mark in metadata for part in (mark.metadata if isinstance(mark, FieldInfo) else [mark])])
    if said:
        yield said
    for argument in get_args(annotation):
        yield from _inside(argument)


def _said(metadata: Any) -> str:
    signs: list[tuple[type, str, str]] = [(Ge, "≥", "ge"), (Gt, ">", "gt"), (Le, "≤", "le"), (Lt, "<", "lt")]
    limits = [
        f"{sign} {getattr(mark, name):g}" for mark in metadata for kind, sign, name in signs if isinstance(mark, kind)
    ]
    return ", ".join(limits)
