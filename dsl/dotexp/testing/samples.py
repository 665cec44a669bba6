"""Small data, and models for any data, that a plugin's components are run with. Not installed: the suite adds them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dotexp.components.bases import BodyParams, DataParams
from dotexp.components.component import Component
from dotexp.components.facts import BodyFacts, DataSignature, Facts, LayerGroup
from dotexp.components.params import Params

NAME = "dotexp_samples"
"""The plugin that the samples stand for."""

IMAGES = "images"
_HOME = "dotexp.testing.sample_builders"


class Task(StrEnum):
    """What the images are labelled with."""

    classification = "classification"
    multilabel = "multilabel"
    regression = "regression"


class ImagesParams(DataParams):
    """Random images with random labels of a task."""

    task: Task = Field(Task.classification, description="what is learned")
    size: int = Field(16, ge=4, le=1024, description="side of an image in pixels")
    examples: int = Field(24, ge=4, le=10_000, description="training examples")
    batch_size: int = Field(8, ge=1, le=1000, description="examples in a batch")


class SampleBodyParams(BodyParams):
    """A body of two convolutions with batch norm and dropout."""

    weights: None = Field(None, description="random weights")


class SampleHeadParams(Params):
    """Average pooling and a linear layer."""


class AnyModelParams(Params):
    """A linear model of whatever tensors the data gives."""

    width: Annotated[int, Field(ge=1, le=1000)] = Field(8, description="numbers that each input is averaged to")


def _signature(params: ImagesParams) -> DataSignature:
    return DataSignature(task=params.task.value, inputs=IMAGES)


_GROUPS = (LayerGroup("early", ("stem",)), LayerGroup("late", ("deep", "head")))

COMPONENTS = (
    Component("data", "sample_images", ImagesParams, f"{_HOME}:images", _signature),
    Component(
        "body", "sample_body", SampleBodyParams, f"{_HOME}:body",
        BodyFacts(inputs=IMAGES, layers=("stem", "deep"), groups=_GROUPS),
    ),
    Component("head", "sample_head", SampleHeadParams, f"{_HOME}:head", Facts(inputs=IMAGES)),
    Component("model", "sample_model", AnyModelParams, f"{_HOME}:any_model"),
)  # fmt: skip
