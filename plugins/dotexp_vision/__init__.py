"""Vision: bodies, heads, images in folders, handwritten digits, and transforms."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import Component, Facts, Params, Task, hookimpl

from dotexp_vision import data_params, layers, params, transform_params

_HEAD = Facts(tasks=(Task.classification, Task.multilabel, Task.regression))
_DATA = Facts(task=Task.classification, inputs="images")


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Offer the bodies, heads, data and transforms."""
    return [*_bodies(), *_heads(), *_data(), *_transforms()]


def _bodies() -> Sequence[Component]:
    return [
        Component("body", "resnet18", params.ResNet18Params, "dotexp_vision.bodies:resnet18", layers.RESNET),
        Component("body", "resnet34", params.ResNet34Params, "dotexp_vision.bodies:resnet34", layers.RESNET),
        Component("body", "resnet50", params.ResNet50Params, "dotexp_vision.bodies:resnet50", layers.RESNET),
        Component("body", "squeezenet1_1", params.SqueezeNetParams, "dotexp_vision.bodies:squeezenet1_1",
                  layers.SQUEEZENET),
    ]  # fmt: skip


def _heads() -> Sequence[Component]:
    return [
        Component("head", "mlp", params.MlpParams, "dotexp_vision.heads:mlp", _HEAD),
        Component("head", "linear", params.LinearParams, "dotexp_vision.heads:linear", _HEAD),
    ]


def _data() -> Sequence[Component]:
    return [
        Component("data", "image_folder", data_params.ImageFolderParams, "dotexp_vision.image_folder:build", _DATA,
                  encode="dotexp_vision.image_folder:encode"),
        Component("data", "digits", data_params.DigitsParams, "dotexp_vision.digits:build", _DATA,
                  encode="dotexp_vision.digits:encode"),
    ]  # fmt: skip


def _transforms() -> Sequence[Component]:
    offered: dict[str, type[Params]] = {
        "standard": transform_params.StandardParams,
        "flip": transform_params.FlipParams,
        "rotate": transform_params.RotateParams,
        "zoom": transform_params.ZoomParams,
        "warp": transform_params.WarpParams,
        "lighting": transform_params.LightingParams,
        "crop": transform_params.CropParams,
    }
    return [Component("transform", name, model, f"dotexp_vision.transforms:{name}") for name, model in offered.items()]
