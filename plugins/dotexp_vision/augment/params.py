"""Parameters of the transforms; the defaults are fastai's `aug_transforms`."""

from enum import StrEnum
from typing import Annotated, Self

from dotexp import Component, Params, Percent, Positional
from pydantic import Field, model_validator

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


class DihedralParams(Params):
    """Mirror and turn by quarters: one of the eight symmetries of a square, each as often."""

    p: Annotated[Chance, Positional()] = Field(1.0, description="how often")


class ColourParams(Params):
    """Change saturation and hue at random."""

    saturation: Annotated[float, Positional()] = Field(
        0.2, ge=0, le=1, description="largest change of saturation: from 1 - it to 1 + it"
    )
    hue: float = Field(0.0, ge=0, le=0.5, description="largest turn of the hue either way; 0.5 is half the circle")
    p: Chance = Field(0.75, description="how often")


class GreyParams(Params):
    """Take the colours away."""

    p: Annotated[Chance, Positional()] = Field(0.1, description="how often")


class BlurParams(Params):
    """Blur the image by a Gaussian of a random width."""

    max: Annotated[float, Positional()] = Field(
        1.0, gt=0, le=5, description="largest standard deviation of the Gaussian, in pixels"
    )
    p: Chance = Field(0.5, description="how often")


class Fill(StrEnum):
    """What covers an erased rectangle: `noise` (each pixel anew, about mid-grey), `grey` or `black`."""

    noise = "noise"
    grey = "grey"
    black = "black"


class RandomErasingParams(Params):
    """Cover a random rectangle of the image, so that the model learns to do without any one part of it."""

    p: Annotated[Chance, Positional()] = Field(0.5, description="how often")
    min_area: Share = Field(0.02, description="smallest part of the area that is covered")
    max_area: Share = Field(0.33, description="largest part of the area that is covered")
    stretch: float = Field(10 / 3, ge=1, le=10, description="largest ratio of width to height, and of height to width")
    fill: Fill = Field(Fill.noise, description="what covers it: noise, grey or black")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError(f"min_area, {self.min_area:g}, is larger than max_area, {self.max_area:g}")
        return self


class TrivialAugmentParams(Params):
    """One change out of fourteen (turns, shears, shifts, colours, sharpness, …) of any strength: TrivialAugment."""

    bins: int = Field(31, ge=2, le=100, description="steps of strength from none to the largest")


class RandAugmentParams(Params):
    """Several changes out of fourteen (turns, shears, shifts, colours, sharpness, …) of one strength: RandAugment."""

    changes: Annotated[int, Positional()] = Field(2, ge=1, le=14, description="changes of an image")
    strength: Annotated[int, Positional()] = Field(9, ge=0, le=30, description="strength of each, of 30")


_HOME = "dotexp_vision.augment.transforms"

COMPONENTS = (
    Component("transform", "standard", StandardParams, f"{_HOME}:standard"),
    Component("transform", "flip", FlipParams, f"{_HOME}:flip"),
    Component("transform", "dihedral", DihedralParams, f"{_HOME}:dihedral"),
    Component("transform", "rotate", RotateParams, f"{_HOME}:rotate"),
    Component("transform", "zoom", ZoomParams, f"{_HOME}:zoom"),
    Component("transform", "warp", WarpParams, f"{_HOME}:warp"),
    Component("transform", "crop", CropParams, f"{_HOME}:crop"),
    Component("transform", "lighting", LightingParams, f"{_HOME}:lighting"),
    Component("transform", "colour", ColourParams, f"{_HOME}:colour"),
    Component("transform", "grey", GreyParams, f"{_HOME}:grey"),
    Component("transform", "blur", BlurParams, f"{_HOME}:blur"),
    Component("transform", "random_erasing", RandomErasingParams, f"{_HOME}:random_erasing"),
    Component("transform", "trivial_augment", TrivialAugmentParams, f"{_HOME}:trivial_augment"),
    Component("transform", "rand_augment", RandAugmentParams, f"{_HOME}:rand_augment"),
)
