"""Examples that one stage trains on and another holds out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

import numpy as np

from dotexp.planning.overlaps import Overlap
from dotexp.sdk.data import Data, Identified, Named

HELD_OUT = {"valid": "validates", "test": "tests"}


def find_overlaps(stages: Mapping[str, Data]) -> Iterator[Overlap]:
    """Hold the data of stages, by their names, against each other; data of one fingerprint is split alike."""
    kinds: dict[tuple[str, type], tuple[str, Data]] = {}
    for name, data in stages.items():
        kinds.setdefault((data.facts.fingerprint, type(data)), (name, data))
    for (training, one), (holding, other) in permutations(kinds.values(), 2):
        for part, purpose in HELD_OUT.items():
            if part == "valid" or other.facts.test:
                yield from _overlap(training, one, holding, other, part, purpose)


def _overlap(training: str, one: Data, holding: str, other: Data, part: str, purpose: str) -> Iterator[Overlap]:
    names = _names(one, "train")
    if isinstance(one, Identified) and isinstance(other, Identified):
        both = np.flatnonzero(np.isin(one.identities("train"), other.identities(part)))
        if len(both):
            first = names[both[0]] if names else f"number {both[0] + 1}"
            yield Overlap(training, holding, purpose, len(both), first, True)
            return
    held = set(_names(other, part))
    alike = [name for name in names if name in held]
    if alike:
        yield Overlap(training, holding, purpose, len(alike), alike[0], False)


def _names(data: Data, part: str) -> Sequence[str]:
    found = data.part(part)
    return found.names if isinstance(found, Named) else ()
