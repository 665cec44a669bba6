"""torchvision's classification models as data: their children, where they are cut, their weights. Needs no torch.

The data is torchvision_models.json, which `python -m dotexp_vision.models.survey` makes of the installed
torchvision. A model's `parts` are its children in the order in which an image passes them, those inside its container
of features counted singly (`features.0`, …), auxiliary classifiers left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dotexp import LayerGroup

TABLE = Path(__file__).with_name("torchvision_models.json")


class Network(NamedTuple):
    """A torchvision model.

    `cut` is how many parts are features, before pooling and classifier; `channels` is the width of the maps behind
    each part that may stay. `late` is the part at which the late half starts: where fastai splits the model if it
    does, else the first whose maps have at most 1/16 of the image's side, as in a ResNet; in a vision transformer, half
    of its blocks. `smallest` and `largest` are the sides of the images that it takes (`largest` None: any). `after` is
    what its own forward does behind the features, `single` the largest side of an image of which a batch norm of the
    features sees one value a channel (None: of none). `weights` are torchvision's, `default` is its choice among them.
    """

    name: str
    parts: tuple[str, ...]
    cut: int
    channels: tuple[int, ...]
    late: int
    smallest: int
    weights: tuple[str, ...]
    default: str
    largest: int | None = None
    after: str | None = None
    single: int | None = None

    @property
    def patch(self) -> int | None:
        """Side of a vision transformer's patches, in pixels, which its name ends in; None of other models."""
        return int(self.name.rpartition("_")[2]) if self.after == "class_token" else None

    def kept(self, cut: int | None) -> tuple[str, ...]:
        """Parts that stay: the first `cut`, all but the last -`cut`, or (None) the features.

        Raises ValueError where none would stay, or more than maps of features come out of.
        """
        count = self.cut if cut is None else cut if cut >= 0 else len(self.parts) + cut
        if not 1 <= count <= len(self.channels):
            raise ValueError(
                f"{self.name} has {len(self.parts)} parts, of which 1 to {len(self.channels)} may stay: "
                f"{count if count > 0 else 'none'} would; its features are the first {self.cut}"
            )
        return self.parts[:count]


@cache
def networks() -> Mapping[str, Network]:
    """Every model by its name."""
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    return {name: _network(name, row) for name, row in rows.items()}


def layer_name(part: str) -> str:
    """Name a part as a layer: `features.0` is `features_0`, `trunk_output.block1` is `block1`."""
    parents, _, last = part.rpartition(".")
    return f"{parents.rpartition('.')[2]}_{last}" if last.isdigit() else last


def split(layers: tuple[str, ...], late: int) -> tuple[LayerGroup, ...]:
    """Learning-rate groups: `early`, `late` from that layer on, `head`; or `body`, `head` where a half is empty."""
    head = LayerGroup("head", ("head",))
    if not 0 < late < len(layers):
        return LayerGroup("body", layers), head
    return LayerGroup("early", layers[:late]), LayerGroup("late", layers[late:]), head


def _network(name: str, row: Mapping[str, object]) -> Network:
    lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    parts = tuple(part for written in lists["parts"] for part in _expanded(written))
    return Network(**{**row, **lists, "name": name, "parts": parts})  # type: ignore[arg-type]


def _expanded(written: str) -> list[str]:
    """`features*13` stands for `features.0` to `features.12`."""
    name, _, count = written.partition("*")
    return [f"{name}.{i}" for i in range(int(count))] if count else [name]
