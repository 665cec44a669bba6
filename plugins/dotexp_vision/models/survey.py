"""Surveys the installed torchvision: `python -m dotexp_vision.models.survey` writes torchvision_models.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from dotexp_vision.models.networks import make_network, parts_of
from dotexp_vision.models.table import TABLE

CONTAINERS = ("features", "layers", "blocks", "trunk_output")
"""Children whose own children are counted singly."""

AUXILIARY = ("aux1", "aux2", "AuxLogits")
CLASSIFIER = ("dropout", "flatten", "classifier", "fc", "head", "heads")
POOL = "avgpool"

FASTAI = {"alexnet": 6, "squeezenet1_0": 5, "squeezenet1_1": 5} | {f"vgg{n}_bn": 22 for n in (11, 13, 16, 19)}
"""Parts at which fastai's `model_meta` splits a body, where that is not where the maps reach 1/16 of the side."""

USUAL, LARGEST = 224, 256
"""A side that every model takes, and one that a model refuses whose images must be of a certain size."""


def main() -> None:
    """Write the table."""
    lines = (f"  {json.dumps(name)}: {json.dumps(survey(name))}" for name in model_names())
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def model_names() -> list[str]:
    """Names of torchvision's classification models."""
    return list(models.list_models(module=models))


def survey(name: str) -> dict[str, Any]:
    """Tell a model's row of the table."""
    network = _without_numbers(name).eval()
    parts = list(_parts(network))
    cut = next(i for i, part in enumerate(parts) if part == POOL or part in CLASSIFIER)
    modules = parts_of(network, parts)
    after = _after(network)
    channels, sides = _walk(modules, parts, after)
    features = nn.Sequential(*modules[:cut])
    published = models.get_model_weights(name)
    row = {
        "parts": _folded(parts),
        "cut": cut,
        "channels": channels,
        "late": FASTAI.get(name) or _late(parts, sides, after),
        "smallest": network.image_size if after == "class_token" else _smallest(features),
        "weights": [entry.name.lower() for entry in published],
        "default": published.DEFAULT.name.lower(),
    }
    if after == "class_token":
        row["largest"] = network.image_size
    elif not _takes(features, LARGEST):
        row["largest"] = _edge(features, LARGEST, USUAL)
    single = _single(features.train(), row["smallest"], row.get("largest") or USUAL)
    return row | ({"after": after} if after else {}) | ({"single": single} if single else {})


def _without_numbers(name: str) -> nn.Module:
    try:
        with torch.device("meta"):
            return make_network(name)
    except NotImplementedError:  # a RegNet reads its widths back from tensors
        return make_network(name).to("meta")


def _parts(network: nn.Module) -> Iterator[str]:
    if isinstance(network, models.VisionTransformer):
        yield "conv_proj"
        yield from (f"encoder.layers.{name}" for name, _ in network.encoder.layers.named_children())
        yield from ("encoder.ln", "heads")
        return
    for name, child in network.named_children():
        if name in CONTAINERS:
            yield from (f"{name}.{inner}" for inner, _ in child.named_children())
        elif name not in AUXILIARY:
            yield name


def _after(network: nn.Module) -> str | None:
    if isinstance(network, models.DenseNet):
        return "relu"
    if isinstance(network, models.SwinTransformer):
        return "permute"
    return "class_token" if isinstance(network, models.VisionTransformer) else None


def _walk(modules: list[nn.Module], parts: list[str], after: str | None) -> tuple[list[int], list[int]]:
    maps = torch.zeros(1, 3, USUAL, USUAL, device="meta")
    channels, sides = [], []
    last = after == "class_token"
    for part, module in zip(parts, modules, strict=True):
        if part in CLASSIFIER:
            break
        maps = module(maps)
        last = last or (after == "permute" and part == "features.0")
        last = last and part != "permute"
        channels.append(maps.shape[-1] if last else maps.shape[1])
        sides.append(maps.shape[1] if last else maps.shape[-1])
    return channels, sides


def _late(parts: list[str], sides: list[int], after: str | None) -> int:
    if after == "class_token":
        return (len(parts) - 1) // 2
    return next(i for i, side in enumerate(sides) if side <= USUAL / 16)


def _smallest(features: Callable[[Tensor], Tensor]) -> int:
    side = 1
    while not _takes(features, side):
        side = min(2 * side, USUAL)
    return _edge(features, side // 2, side)


def _edge(features: Callable[[Tensor], Tensor], refused: int, taken: int) -> int:
    """Search between a side that is refused and one that is taken for the last that is taken."""
    while abs(taken - refused) > 1:
        side = (taken + refused) // 2
        refused, taken = (refused, side) if _takes(features, side) else (side, taken)
    return taken


def _takes(features: Callable[[Tensor], Tensor], side: int) -> bool:
    try:
        return features(torch.zeros(1, 3, side, side, device="meta")).numel() > 0
    except (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError):
        return False


def _single(features: nn.Module, smallest: int, largest: int) -> int | None:
    """Search for the largest image that batch norm refuses to train on alone; None: it refuses none."""

    def trains(side: int) -> bool:
        try:
            features(torch.zeros(1, 3, side, side, device="meta"))
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                return False
            raise
        return True

    if trains(smallest):
        return None
    refused, taken = smallest, largest
    while taken - refused > 1:
        side = (taken + refused) // 2
        refused, taken = (refused, side) if trains(side) else (side, taken)
    return refused


def _folded(parts: list[str]) -> list[str]:
    """`features.0` to `features.12` as `features*13`."""
    folded: list[str] = []
    counts: dict[str, int] = {}
    for part in parts:
        parent, _, last = part.rpartition(".")
        if last.isdigit():
            if parent not in counts:
                folded.append(parent)
            counts[parent] = counts.get(parent, 0) + 1
        else:
            folded.append(part)
    return [f"{name}*{counts[name]}" if name in counts else name for name in folded]


if __name__ == "__main__":
    main()
