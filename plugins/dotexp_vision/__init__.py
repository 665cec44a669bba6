"""Vision: bodies, heads, images in folders, handwritten digits, and transforms."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import ComponentModule, Kind, component_modules, hookimpl

DOTEXP_API = 1

_TRANSFORM = "dotexp_vision.augment.checks:check_transform"


@hookimpl
def dotexp_kinds() -> Sequence[Kind]:
    """Declare the transforms of images, and the splits of tables of images."""
    column = "the table's column that says which rows are held out: its number or name"
    return [
        Kind("transform", "transforms", (), "a function of one image (3, H, W)", check=_TRANSFORM),
        Kind("image_split", "image splits", (), column),
    ]


@hookimpl
def dotexp_components() -> Sequence[ComponentModule]:
    """Name the modules that declare components."""
    return component_modules(
        __name__,
        "models.catalogue",
        "models.head_params",
        "data.params",
        "data.list_params",
        "augment.params",
        "reports.params",
    )
