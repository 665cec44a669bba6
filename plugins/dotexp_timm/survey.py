"""Survey of the installed timm: `python -m dotexp_timm.survey` writes timm_models.json, in about an hour."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import timm
import torch
from torch import Tensor, nn

from dotexp_timm.networks import cut_off, groups_of, make_network
from dotexp_timm.table import TABLE, Output

Row = tuple[int, int, str, int, int, str, str]

STEPS = (1, 2, 4, 7, 8, 14, 16, 28, 32, 64)
"""Steps of the image side that are tried."""


def main() -> None:
    """Write the table, with a row for each model whose output is feature maps or a vector."""
    warnings.simplefilter("ignore")
    rows = {}
    for name in timm.list_models():
        try:
            rows[name] = survey(name)
        except Exception as error:  # text encoders, parts of detectors and the like
            print(f"{name} is left out: {type(error).__name__}: {error}", file=sys.stderr)
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    head = f'{{\n  "timm": {json.dumps(timm.__version__)},\n  "models": {{\n'
    TABLE.write_text(f"{head}{lines}\n  }}\n}}\n", encoding="utf-8")


def survey(name: str) -> Row:
    """Return a model's row of the table. Raises ValueError for an output that is neither maps nor a vector."""
    with torch.device("meta"):
        side = _side(name)
        model, output, features = _without_classifier(name, side)
        layers = max(groups_of(model).values()) + 1
        takes = _taker(model)
        step = _step(takes, side) if takes(1) or takes(side + 64) or takes(max(1, side - 64)) else None
        fixed = step is None
        smallest = side if fixed else _smallest(takes, side)
        sized = _sized(name, side)
    named = {"fixed": fixed, "sized": sized, f"step{step}": step not in (None, 1)}
    kinds = [kind for kind, holds in named.items() if holds]
    return layers, features, output.value, side, smallest, " ".join(kinds), " ".join(_tags(name))


def _side(name: str) -> int:
    config = timm.get_pretrained_cfg(name)
    _, height, width = (3, 224, 224) if config is None else config.input_size
    if height != width:
        raise ValueError(f"it takes images of {height} × {width}")
    return int(height)


def _without_classifier(name: str, side: int) -> tuple[nn.Module, Output, int]:
    """Return a model without its classifier, its output, maps where possible, and the number of features."""
    images = torch.zeros(2, 3, side, side)
    for output in (Output.maps, Output.vector):
        model = make_network(name).eval()
        try:
            cut_off(model, output)
            given: Any = model(images)
        except Exception:  # models raise errors of all kinds
            continue
        shape = tuple(given.shape) if isinstance(given, Tensor) else ()
        if output is Output.vector and len(shape) == 2:
            return model, output, shape[1]
        if output is Output.maps and len(shape) == 4:
            first = shape[2] == shape[3] and shape[1] != shape[2]
            return (model, output, shape[1]) if first else (model, Output.maps_last, shape[3])
    raise ValueError("its output is neither feature maps nor a vector")


def _taker(model: nn.Module) -> Callable[[int], bool]:
    @cache
    def takes(side: int) -> bool:
        try:
            given: Any = model(torch.zeros(2, 3, side, side))
        except Exception:  # models raise errors of all kinds
            return False
        return isinstance(given, Tensor) and given.numel() > 0

    return takes


def _smallest(takes: Callable[[int], bool], side: int) -> int:
    """Return the smallest side that the model takes."""
    taken = 1
    while not takes(taken):
        if taken >= side:
            return side
        taken *= 2
    refused = taken // 2
    while taken - refused > 1:
        middle = (taken + refused) // 2
        refused, taken = (refused, middle) if takes(middle) else (middle, taken)
    return taken


def _step(takes: Callable[[int], bool], side: int) -> int | None:
    """Return what the side must be a multiple of; None if the model takes no larger side."""
    return next((step for step in STEPS if takes(side + step)), None)


def _sized(name: str, side: int) -> bool:
    """Whether the model can be built for another image side."""
    try:
        make_network(name, img_size=side)
    except TypeError:
        return False
    return True


def _tags(name: str) -> list[str]:
    """Return the tags of timm's weights for a model, the default first."""
    tags = [found.partition(".")[2] for found in timm.list_models(f"{name}.*", pretrained=True)]
    default = timm.get_pretrained_cfg(name)
    return sorted(tags, key=lambda tag: (default is None or tag != default.tag, tag))


if __name__ == "__main__":
    main()
