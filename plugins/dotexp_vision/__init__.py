"""Vision: bodies, heads, images in folders, handwritten digits, and transforms."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import Component, DataSignature, Facts, Kind, Params, ReportFacts, hookimpl

from dotexp_vision.augment import params as transform_params
from dotexp_vision.data import list_params
from dotexp_vision.data import params as data_params
from dotexp_vision.models import catalogue as families
from dotexp_vision.models import head_params as params
from dotexp_vision.reports import params as report_params

DOTEXP_API = 1

_HEAD = Facts(tasks=("classification", "multilabel", "regression"))
_DATA = DataSignature("classification", "images")


@hookimpl
def dotexp_kinds() -> Sequence[Kind]:
    """Declare the transforms of images, and the splits of tables of images."""
    column = "the table's column that says which rows are held out: its number or name"
    return [
        Kind("transform", "transforms", (), "a function of one image (3, H, W)"),
        Kind("image_split", "image splits", (), column),
    ]


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Offer the bodies, heads, data, transforms and reports."""
    return [*families.components(), *_heads(), *_data(), *_splits(), *_transforms(), *_reports()]


def _heads() -> Sequence[Component]:
    return [
        Component("head", "mlp", params.MlpParams, "dotexp_vision.models.heads:mlp", _HEAD),
        Component("head", "linear", params.LinearParams, "dotexp_vision.models.heads:linear", _HEAD),
    ]


def _data() -> Sequence[Component]:
    return [
        Component("data", "image_folder", data_params.ImageFolderParams, "dotexp_vision.data.folder:build", _DATA,
                  encode="dotexp_vision.data.encoding:encode"),
        Component("data", "image_list", list_params.ImageListParams, "dotexp_vision.data.listed:build", _listed,
                  encode="dotexp_vision.data.encoding:encode"),
        Component("data", "torchvision_dataset", list_params.TorchvisionDatasetParams,
                  "dotexp_vision.data.torchvision:build", _DATA, encode="dotexp_vision.data.encoding:encode"),
        Component("data", "digits", data_params.DigitsParams, "dotexp_vision.data.digits:build", _DATA,
                  encode="dotexp_vision.data.digits:encode"),
    ]  # fmt: skip


def _listed(params: list_params.ImageListParams) -> DataSignature:
    return DataSignature(params.task, "images")


def _splits() -> Sequence[Component]:
    build = "dotexp_vision.data.list_params:split_column"
    return [Component("image_split", "column", list_params.ColumnSplitParams, build)]


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
    one, several = ("classification",), ("classification", "multilabel")
    images = (*several, "regression")
    offered: dict[str, tuple[type[Params], tuple[str, ...]]] = {
        "confusion_matrix": (report_params.ConfusionMatrixParams, several),
        "most_confused": (report_params.MostConfusedParams, one),
        "top_losses": (report_params.TopLossesParams, images),
        "per_class": (report_params.PerClassParams, several),
        "calibration": (report_params.CalibrationParams, several),
        "tta": (report_params.TtaParams, images),
    }
    return [
        Component("report", name, model, f"dotexp_vision.reports.sections:{name}", ReportFacts(tasks=tasks))
        for name, (model, tasks) in offered.items()
    ]
