"""Parameters of the transforms; the defaults are fastai's `aug_transforms`."""

from __future__ import annotations

from typing import Annotated

from dotexp import Params, Percent, Positional
from pydantic import Field

Chance = Annotated[float, Percent(), Field(ge=0, le=1)]
Share = Annotated[float, Percent(), Field(gt=0, le=1)]


class FlipParams(Params):
    """Mirror the image left to right, or top to bottom."""

    p: Annotated[Chance, Positional()] = Field(0.5, description="how often")
    vertical: bool = Field(False, description="top to bottom instead")


class RotateParams(Params):
    """Turn the image by a random angle; what comes into view is reflected."""

    degrees: Annotated[float, Positional()] = Field(10.0, ge=0, le=180, description="largest angle either way")
    p: Chance = Field(0.75, description="how often")


class ZoomParams(Params):
    """Enlarge the image by a random factor around a random point."""

    max: Annotated[float, Positional()] = Field(1.1, ge=1, le=10, description="largest factor")
    p: Chance = Field(0.75, description="how often")


class WarpParams(Params):
    """Look at the image from a little aside: a random perspective; what comes into view is reflected."""

    max: Annotated[float, Positional()] = Field(
        0.2, ge=0, le=0.5, description="how far a corner moves, as a part of half the side"
    )
    p: Chance = Field(0.75, description="how often")


class LightingParams(Params):
    """Change brightness and contrast at random, each on the logits of the pixels."""

    max: Annotated[float, Positional()] = Field(0.2, ge=0, le=0.9, description="largest change")
    p: Chance = Field(0.75, description="how often, for each of the two")


class CropParams(Params):
    """Take a random part of the image, of a random shape, and enlarge it to the whole."""

    min_scale: Annotated[Share, Positional()] = Field(0.35, description="smallest part of the area")
    stretch: float = Field(4 / 3, ge=1, le=4, description="largest ratio of width to height, and of height to width")
    p: Chance = Field(1.0, description="how often")


class StandardParams(Params):
    """fastai's usual set: flip, rotate, zoom and warp in one resampling, then lighting."""

    flip: bool = Field(True, description="mirror left to right half the time")
    flip_vertical: bool = Field(False, description="mirror top to bottom half the time")
    rotate: float = Field(10.0, ge=0, le=180, description="largest angle either way, in degrees")
    zoom: float = Field(1.1, ge=1, le=10, description="largest enlargement")
    lighting: float = Field(0.2, ge=0, le=0.9, description="largest change of brightness and contrast")
    warp: float = Field(0.2, ge=0, le=0.5, description="largest perspective, as a part of half the side")
    p_affine: Chance = Field(0.75, description="how often, for each of rotate, zoom and warp")
    p_lighting: Chance = Field(0.75, description="how often, for each of brightness and contrast")
