"""Vision: bodies, heads, images in folders, handwritten digits, and transforms."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import Component, Facts, Params, Task, hookimpl

from dotexp_vision.augment import params as transform_params
from dotexp_vision.data import list_params
from dotexp_vision.data import params as data_params
from dotexp_vision.models import catalogue as families
from dotexp_vision.models import head_params as params
from dotexp_vision.reports import params as report_params

_HEAD = Facts(tasks=(Task.classification, Task.multilabel, Task.regression))
_DATA = Facts(task=Task.classification, inputs="images")


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Offer the bodies, heads, data, transforms and reports."""
    return [*families.components(), *_heads(), *_data(), *_transforms(), *_reports()]


def _heads() -> Sequence[Component]:
    return [
        Component("head", "mlp", params.MlpParams, "dotexp_vision.models.heads:mlp", _HEAD),
        Component("head", "linear", params.LinearParams, "dotexp_vision.models.heads:linear", _HEAD),
    ]


def _data() -> Sequence[Component]:
    return [
        Component("data", "image_folder", data_params.ImageFolderParams, "dotexp_vision.data.folder:build", _DATA,
                  encode="dotexp_vision.data.dataset:encode"),
        Component("data", "image_list", list_params.ImageListParams, "dotexp_vision.data.listed:build", _listed,
                  encode="dotexp_vision.data.dataset:encode"),
        Component("data", "torchvision_dataset", list_params.TorchvisionDatasetParams,
                  "dotexp_vision.data.torchvision:build", _DATA, encode="dotexp_vision.data.dataset:encode"),
        Component("data", "digits", data_params.DigitsParams, "dotexp_vision.data.digits:build", _DATA,
                  encode="dotexp_vision.data.digits:encode"),
    ]  # fmt: skip


def _listed(params: list_params.ImageListParams) -> Facts:
    return Facts(task=params.task, inputs="images")


def _transforms() -> Sequence[Component]:
    offered: dict[str, type[Params]] = {
        "standard": transform_params.StandardParams,
        "flip": transform_params.FlipParams,
        "dihedral": transform_params.DihedralParams,
        "rotate": transform_params.RotateParams,
        "zoom": transform_params.ZoomParams,
        "warp": transform_params.WarpParams,
        "crop": transform_params.CropParams,
        "lighting": transform_params.LightingParams,
        "colour": transform_params.ColourParams,
        "grey": transform_params.GreyParams,
        "blur": transform_params.BlurParams,
        "random_erasing": transform_params.RandomErasingParams,
        "trivial_augment": transform_params.TrivialAugmentParams,
        "rand_augment": transform_params.RandAugmentParams,
    }
    return [
        Component("transform", name, model, f"dotexp_vision.augment.transforms:{name}")
        for name, model in offered.items()
    ]


def _reports() -> Sequence[Component]:
    one, several = (Task.classification,), (Task.classification, Task.multilabel)
    images = (*several, Task.regression)
    offered: dict[str, tuple[type[Params], tuple[Task, ...]]] = {
        "confusion_matrix": (report_params.ConfusionMatrixParams, several),
        "most_confused": (report_params.MostConfusedParams, one),
        "top_losses": (report_params.TopLossesParams, images),
        "per_class": (report_params.PerClassParams, several),
        "calibration": (report_params.CalibrationParams, several),
        "tta": (report_params.TtaParams, images),
    }
    return [
        Component("report", name, model, f"dotexp_vision.reports.sections:{name}", Facts(tasks=tasks))
        for name, (model, tasks) in offered.items()
    ]
