"""Random numbers as a function of the seed and a position, so that a run can start again anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b


def derive(seed: int, *position: str | int) -> int:
    """Seed for one position (`"order", stage, epoch`, …): 63 bits of BLAKE2b over the seed and the position."""
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in position)])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True)
class Draw:
    """Where in a run random numbers are drawn: the seed, the stage's name and the epoch, from 0."""

    seed: int
    stage: str
    epoch: int

    def order(self) -> int:
        """Seed of the order in which this epoch's examples come."""
        return derive(self.seed, "order", self.stage, self.epoch)

    def example(self, identity: int) -> int:
        """Seed of one example's augmentation in this epoch; `identity` is its index in its part."""
        return derive(self.seed, "augment", self.stage, self.epoch, identity)
