"""timm's models as data: how many layers, how wide, for which images. Needs neither timm nor torch.

The data is timm_models.json, which `python -m dotexp_timm.survey` makes of the installed timm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("timm_models.json")


class Output(StrEnum):
    """What a model without its classifier gives: maps (N, C, h, w), maps (N, h, w, C), or one vector (N, C)."""

    maps = "maps"
    maps_last = "maps_last"
    vector = "vector"


@dataclass(frozen=True)
class Network:
    """A timm model.

    `layers` counts timm's own coarse groups of parameters (`group_matcher(coarse = True)`); `features` is the width of
    what it gives without its classifier. `side` is that of the images that it is made for; it takes those of
    `smallest` pixels up whose side is a multiple of `step`, or (`fixed`) of `side` alone. `sized` models can be made
    for another side. `tags` name timm's weights for it, its default first.
    """

    name: str
    layers: int
    features: int
    output: Output
    side: int
    smallest: int
    fixed: bool
    sized: bool
    step: int
    tags: tuple[str, ...]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """`stem`, then `layer_1`, `layer_2`, … in the order of the forward pass."""
        return ("stem", *(f"layer_{number}" for number in range(1, self.layers)))


def version() -> str:
    """Version of timm that the table was made of."""
    return str(_table()["timm"])


@cache
def networks() -> Mapping[str, Network]:
    """Every model by its name."""
    return {name: _network(name, *row) for name, row in _table()["models"].items()}


@cache
def _table() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return loaded


def _network(
    name: str, layers: int, features: int, output: str, side: int, smallest: int, kind: str, tags: str
) -> Network:
    kinds = kind.split()
    return Network(
        name=name,
        layers=layers,
        features=features,
        output=Output(output),
        side=side,
        smallest=smallest,
        fixed="fixed" in kinds,
        sized="sized" in kinds,
        step=next((int(word.removeprefix("step")) for word in kinds if word.startswith("step")), 1),
        tags=tuple(tags.split()),
    )
