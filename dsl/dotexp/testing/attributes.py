"""What an object keeps in its attributes, as far as it can be compared: numbers, text, tensors, objects of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

_DEEPEST = 6


class _Opaque:
    """What cannot be compared."""


OPAQUE = _Opaque()


def attributes(owner: object, ignored: Iterable[str] = ()) -> dict[str, Any]:
    """Return the comparable values of an object's attributes by name; those of objects in them by `name.attribute`."""
    return {name: value for name, value in _walk(owner, "", _DEEPEST) if name.partition(".")[0] not in set(ignored)}


def differing(whole: Mapping[str, Any], again: Mapping[str, Any], resumed: Mapping[str, Any]) -> list[str]:
    """Name the attributes that two unbroken runs agree on and a resumed one does not have.

    What differs between the unbroken ones, such as a time, is no state that a run could be given back.
    """
    return [
        name
        for name, value in whole.items()
        if name in again and again[name] == value and (name not in resumed or resumed[name] != value)
    ]


def _walk(owner: object, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    package = type(owner).__module__.partition(".")[0]
    for name, value in vars(owner).items():
        plain = _plain(value, depth)
        if plain is not OPAQUE:
            yield f"{prefix}{name}", plain
        elif depth and hasattr(value, "__dict__") and type(value).__module__.partition(".")[0] == package:
            yield from _walk(value, f"{prefix}{name}.", depth - 1)


def _plain(value: Any, depth: int) -> Any:
    """A value that can be compared with `==`; OPAQUE for what cannot."""
    import torch

    if value is None or isinstance(value, (bool, int, str, bytes)):
        return value
    if isinstance(value, float):
        return repr(value)  # NaN equals itself
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        return str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    if not depth:
        return OPAQUE
    items: Sequence[Any]
    if isinstance(value, Mapping):
        items = [_plain(item, depth - 1) for item in value.values()]
        keys = [key if isinstance(key, (str, int)) else f"#{place}" for place, key in enumerate(value)]
        return OPAQUE if OPAQUE in items else dict(zip(keys, items, strict=True))
    if isinstance(value, Set):
        return OPAQUE if any(not isinstance(item, (str, int)) for item in value) else frozenset(value)
    if isinstance(value, Iterable) and hasattr(value, "__len__"):
        items = [_plain(item, depth - 1) for item in value]
        return OPAQUE if OPAQUE in items else (type(value).__name__, tuple(items))
    return OPAQUE
