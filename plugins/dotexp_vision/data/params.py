"""Parameters of the image data."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from dotexp import (
    Affects,
    Component,
    DataSignature,
    Effect,
    ImageDataParams,
    InputForm,
    OfKind,
    OncePerExperiment,
    Positional,
    Range,
    Use,
)
from dotexp.sdk.fields import Count, Fraction
from pydantic import AfterValidator, Field, model_validator


def _folder_name(name: str) -> str:
    if name in (".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"`{name}` is a path: the name of a folder inside the data's own is wanted")
    return name


def one_group(pattern: str) -> str:
    """Return a regular expression; raises ValueError unless it is one with a single pair of parentheses."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"the pattern marks the class by one pair of parentheses, and this one has {groups}")
    return pattern


FolderName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_folder_name)]
ClassName = Annotated[str, Field(min_length=1, max_length=255)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(one_group)]
Transform = Annotated[Use, OfKind("transform")]
Stratified = Annotated[
    bool,
    OncePerExperiment(),
    Field(description="draw random parts so that each class gives its share, to the nearest whole number"),
]


class Resize(StrEnum):
    """How an image becomes a square.

    `crop`: the shorter side to the size, then the middle; `squish`: both sides to it; `pad`: the longer side to it,
    the rest black.
    """

    crop = "crop"
    squish = "squish"
    pad = "pad"


class OnBad(StrEnum):
    """What to do about images that cannot be read: stop before training, with all of them listed, or leave them out."""

    error = "error"
    skip = "skip"


class ImageParams(ImageDataParams):
    """Parameters of all image data."""

    if TYPE_CHECKING:  # each kind of data says for itself what it takes
        valid: Any
        test: Any

    stratify: Stratified = False
    size: int = Field(224, ge=1, le=4096, description="side of the square image that the model sees, in pixels")
    resize: Resize = Field(Resize.crop, description="how an image becomes square: crop, squish or pad")
    presize: int | None = Field(
        None, ge=1, le=8192, description="side of a training image before augmentation, in pixels; none: size"
    )
    augment: Transform | tuple[Transform, ...] | None = Field(
        None, description="augmentation of training images: standard, a list of transforms, or none"
    )
    levels: Annotated[Range | None, OncePerExperiment()] = Field(
        None,
        description="levels of the images' pixels that are black and white, such as 0..4095; none: 0..255, and for "
        "images of more than 8 bits what the highest level of all of them needs",
    )
    on_bad: OnBad = Field(
        OnBad.error, description="images that cannot be read: error lists them before training, skip leaves them out"
    )
    memory: Annotated[float, Affects(Effect.speed)] = Field(
        2.0, ge=0, le=4096, description="decoded images to hold in memory, at most, in GiB; the others are read anew"
    )

    @model_validator(mode="after")
    def _consistent_sizes(self) -> Self:
        if self.presize is not None and self.presize < self.size:
            raise ValueError(f"presize, {self.presize}, is smaller than size, {self.size}")
        if self.presize is not None and not self.transforms:
            raise ValueError("presize is the side before augmentation, and augment is none")
        if isinstance(self.valid, (str, Path)) and self.valid == self.test:
            raise ValueError("valid and test are the same")
        return self

    @property
    def transforms(self) -> tuple[Use, ...]:
        """Transforms of the training images, in order."""
        if self.augment is None:
            return ()
        return self.augment if isinstance(self.augment, tuple) else (self.augment,)


class ImageFolderParams(ImageParams):
    """Images in a folder for each class (`ants/1.jpg`), or in such folders within `train` and another (`val`).

    Where there is a folder `train` that holds folders, it is the training set, and what `valid` takes as a fraction
    or count it takes from there. Other folders whose names look like a set of the data (`Training`, `test_images`)
    are refused, unless `valid`, `test` or `classes` name them. Files are read that are JPEG, PNG, BMP, PPM, TIFF, WebP
    or AVIF; GIFs, hidden files and folders, and those that systems leave behind are not, and are counted.
    """

    path: Annotated[Path, Positional()] = Field(description="the folder of images")
    valid: Annotated[Fraction | Count | FolderName, OncePerExperiment()] = Field(
        0.2, description="images to validate with: a fraction, a count, or the name of a folder in `path`"
    )
    test: Annotated[Fraction | Count | FolderName | None, OncePerExperiment()] = Field(
        None, description="images that `evaluate` alone uses, as for `valid` and drawn before it; none: there are none"
    )
    label: Annotated[Pattern | None, OncePerExperiment()] = Field(
        None, description='a pattern that finds the class in the file\'s name: r"(.+)_\\d+\\.jpg$"; none: its folder'
    )
    classes: Annotated[tuple[ClassName, ...] | None, OncePerExperiment()] = Field(
        None, min_length=2, max_length=100_000, description="the classes to take; none: all that are found"
    )

    @model_validator(mode="after")
    def _different_classes(self) -> Self:
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise ValueError("classes are different names")
        return self


Digit = Annotated[int, Field(ge=0, le=9)]


class DigitsParams(ImageDataParams):
    """Handwritten digits: scikit-learn's 1,797 real ones of 8 by 8 pixels, enlarged; they come with the library.

    `predict` takes image files, light ink on dark, and `digits:17` for the set's example number 17, from 0.
    """

    classes: Annotated[Range | tuple[Digit, ...], Positional(), OncePerExperiment()] = Field(
        Range(low=0, high=9), description="digits to take: a range, or a list"
    )
    valid: Annotated[Fraction | Count, OncePerExperiment()] = Field(
        0.2, description="images to validate with: a fraction or a count"
    )
    test: Annotated[Fraction | Count | None, OncePerExperiment()] = Field(
        None, description="images that `evaluate` alone uses: a fraction or a count; none: there are none"
    )
    stratify: Stratified = False
    size: int = Field(32, ge=8, le=512, description="side of the image that the model sees, in pixels")

    @model_validator(mode="after")
    def _some_digits(self) -> Self:
        if isinstance(self.classes, Range):
            low, high = self.classes.low, self.classes.high
            if not (low.is_integer() and high.is_integer() and low >= 0 and high <= 9):
                raise ValueError("classes are whole numbers from 0 to 9")
        elif len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError("classes are two different digits or more")
        return self

    @property
    def digits(self) -> tuple[int, ...]:
        """The digits taken, ascending."""
        if isinstance(self.classes, Range):
            return tuple(range(int(self.classes.low), int(self.classes.high) + 1))
        return tuple(sorted(self.classes))


_HOME = "dotexp_vision.data"
_FACTS = DataSignature("classification", "images")

IMAGES = InputForm(
    f"{_HOME}.encoding:encoder", ("images",), "image files or folders", "photo.jpg",
    plural="images", singular="image", media="image/*",
)  # fmt: skip
"""Images, as `predict` takes them."""

_DIGITS = IMAGES.replace(encoder=f"{_HOME}.digits:encoder")

COMPONENTS = (
    Component("data", "image_folder", ImageFolderParams, f"{_HOME}.folder:build", _FACTS, inputs=IMAGES),
    Component("data", "digits", DigitsParams, f"{_HOME}.digits:build", _FACTS, inputs=_DIGITS),
)
