"""Parameters of the transforms; the defaults are fastai's `aug_transforms`."""

from enum import StrEnum
from typing import Annotated, Self

from dotexp import Component, FormerName, Params, Percent, Positional
from pydantic import Field, model_validator

Probability = Annotated[float, Percent(), Field(ge=0, le=1)]
Fraction = Annotated[float, Percent(), Field(gt=0, le=1)]


class FlipParams(Params):
    """Flip the image horizontally, or vertically."""

    p: Annotated[Probability, Positional()] = Field(0.5, description="probability")
    vertical: bool = Field(False, description="flip vertically instead")


class RotateParams(Params):
    """Rotate the image by a random angle, with reflection padding."""

    degrees: Annotated[float, Positional()] = Field(10.0, ge=0, le=180, description="largest angle either way")
    p: Probability = Field(0.75, description="probability")


class ZoomParams(Params):
    """Zoom in by a random factor around a random point."""

    max: Annotated[float, Positional()] = Field(1.1, ge=1, le=10, description="largest factor")
    p: Probability = Field(0.75, description="probability")


class WarpParams(Params):
    """Random perspective warp, with reflection padding."""

    max: Annotated[float, Positional()] = Field(
        0.2, ge=0, le=0.5, description="largest shift of a corner, as a fraction of half the side"
    )
    p: Probability = Field(0.75, description="probability")


class LightingParams(Params):
    """Change brightness and contrast at random, on the logits of the pixels."""

    max: Annotated[float, Positional()] = Field(0.2, ge=0, le=0.9, description="largest change")
    p: Probability = Field(0.75, description="probability of each of the two")


class CropParams(Params):
    """Crop a random area at a random aspect ratio and resize it to the whole image: RandomResizedCrop."""

    min_scale: Annotated[Fraction, Positional()] = Field(0.35, description="smallest fraction of the area")
    ratio: Annotated[float, FormerName("stretch")] = Field(
        4 / 3, ge=1, le=4, description="largest aspect ratio; the smallest is 1/ratio"
    )
    p: Probability = Field(1.0, description="probability")


class StandardParams(Params):
    """fastai's usual set: flip, rotate, zoom and warp in one resampling, then lighting."""

    flip: bool = Field(True, description="flip horizontally with probability 0.5")
    flip_vertical: bool = Field(False, description="flip vertically with probability 0.5")
    rotate: float = Field(10.0, ge=0, le=180, description="largest angle either way, in degrees")
    zoom: float = Field(1.1, ge=1, le=10, description="largest zoom factor")
    lighting: float = Field(0.2, ge=0, le=0.9, description="largest change of brightness and contrast")
    warp: float = Field(
        0.2,
        ge=0,
        le=0.5,
        description="largest shift of a corner, as a fraction of half the side",
    )
    p_affine: Probability = Field(0.75, description="probability of each of rotate, zoom and warp")
    p_lighting: Probability = Field(0.75, description="probability of each of brightness and contrast")


class DihedralParams(Params):
    """Flip and rotate by quarter turns: one of the eight symmetries of a square, uniformly."""

    p: Annotated[Probability, Positional()] = Field(1.0, description="probability")


class ColourParams(Params):
    """Change saturation and hue at random."""

    saturation: Annotated[float, Positional()] = Field(
        0.2,
        ge=0,
        le=1,
        description="largest change of saturation: a factor of 1 - saturation to 1 + saturation",
    )
    hue: float = Field(0.0, ge=0, le=0.5, description="largest shift of the hue either way; 0.5 is half a circle")
    p: Probability = Field(0.75, description="probability")


class GreyParams(Params):
    """Convert the image to greyscale."""

    p: Annotated[Probability, Positional()] = Field(0.1, description="probability")


class BlurParams(Params):
    """Blur the image with a Gaussian of a random standard deviation."""

    max: Annotated[float, Positional()] = Field(
        1.0, gt=0, le=5, description="largest standard deviation of the Gaussian, in pixels"
    )
    p: Probability = Field(0.5, description="probability")


class Fill(StrEnum):
    """What fills an erased rectangle: `noise` (a normal value per pixel, around mid-grey), `grey` or `black`."""

    noise = "noise"
    grey = "grey"
    black = "black"


class RandomErasingParams(Params):
    """Erase a random rectangle of the image: RandomErasing."""

    p: Annotated[Probability, Positional()] = Field(0.5, description="probability")
    min_area: Fraction = Field(0.02, description="smallest fraction of the area to erase")
    max_area: Fraction = Field(0.33, description="largest fraction of the area to erase")
    ratio: Annotated[float, FormerName("stretch")] = Field(
        10 / 3, ge=1, le=10, description="largest aspect ratio; the smallest is 1/ratio"
    )
    fill: Fill = Field(Fill.noise, description="what fills it: noise, grey or black")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError(f"min_area, {self.min_area:g}, is larger than max_area, {self.max_area:g}")
        return self


class TrivialAugmentParams(Params):
    """One of fourteen operations (rotation, shear, colour, sharpness, …), random magnitude: TrivialAugment."""

    bins: int = Field(31, ge=2, le=100, description="number of magnitudes, from none to the largest")


class RandAugmentParams(Params):
    """Several of fourteen operations (rotation, shear, colour, sharpness, …), one magnitude: RandAugment."""

    num_ops: Annotated[int, Positional(), FormerName("changes")] = Field(
        2, ge=1, le=14, description="operations applied to an image"
    )
    magnitude: Annotated[int, Positional(), FormerName("strength")] = Field(
        9, ge=0, le=30, description="magnitude of each operation, of 30"
    )


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
