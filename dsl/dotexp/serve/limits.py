"""What a service bounds, so that no request takes more than its share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a service.

    `batch` is how many examples the model gets at once, `queue` how many requests may wait for it, `body` the bytes of
    a request, `pixels` those of an image, `files` and `inputs` how many of them a request may have, `rows` those of a
    query's answer, `seconds` the time from a request's first byte to its answer.
    """

    batch: int = 32
    queue: int = 256
    body: int = 20_000_000
    pixels: int = 50_000_000
    files: int = 32
    inputs: int = 1000
    rows: int = 1000
    seconds: float = 30.0
