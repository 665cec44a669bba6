"""Table of timm's models: layers, features, image sizes, weights. Needs neither timm nor torch.

The table is timm_models.json, which `python -m dotexp_timm.survey` writes from the installed timm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("timm_models.json")


class Output(StrEnum):
    """Output of a model without its classifier: maps (N, C, h, w), maps (N, h, w, C), or a vector (N, C)."""

    maps = "maps"
    maps_last = "maps_last"
    vector = "vector"


@dataclass(frozen=True)
class Network:
    """A timm model.

    `layers` counts timm's coarse parameter groups (`group_matcher(coarse = True)`); `features` is the number of
    features. `side` is the default side of the images in pixels; it takes sides from `smallest` up that are multiples
    of `step`, or only `side` if `fixed`. `sized` models can be built for another side. `tags` name timm's weights, the
    default first.
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
        """Return `stem`, `layer_1`, `layer_2`, … in the order of the forward pass."""
        return ("stem", *(f"layer_{number}" for number in range(1, self.layers)))


def version() -> str:
    """Return the version of timm that the table was written from."""
    return str(_table()["timm"])


def age() -> str:
    """Return what a message adds where the installed timm is not the table's, such as a newer one; else nothing."""
    try:
        installed = metadata.version("timm")
    except metadata.PackageNotFoundError:
        return ""
    if installed == version():
        return ""
    return f" (dotexp knows the models of timm {version()}, and timm {installed} is installed)"


@cache
def networks() -> Mapping[str, Network]:
    """Return every model by its name."""
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
