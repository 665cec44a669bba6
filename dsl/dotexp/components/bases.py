"""Bases of parameter models, one for each kind whose parameters the engine reads."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from dotexp.components.component import Use
from dotexp.components.params import OfKind, OncePerExperiment, Params, Positional


class DataParams(Params):
    """Base of the parameters of data."""

    batch_size: int = Field(64, ge=1, le=65536, description="examples in a batch")
    split_seed: Annotated[int | None, OncePerExperiment()] = Field(
        None, ge=0, lt=2**63, description="seed of the train/valid split; none takes the experiment's seed"
    )


class ImageDataParams(DataParams):
    """Base of the parameters of image data: `size` is the side of the square images that the model sees.

    Each data component declares `size` itself, with its own default and bounds.
    """

    if TYPE_CHECKING:
        size: int


class BodyParams(Params):
    """Base of a body's parameters: `weights` says what it starts from, None: from random numbers.

    Each body declares `weights` itself: the names of published ones, a file, `file(…)`, or `run("…")`, whose weights
    the engine loads.
    """

    if TYPE_CHECKING:
        weights: StrEnum | Path | Use | None


class OptimizerParams(Params):
    """Base of the parameters of an optimizer with weight decay; one without it extends `Params`."""

    wd: float = Field(0.01, ge=0, le=100, description="weight decay")
    wd_norm_bias: bool = Field(False, description="decay norm layers' parameters and biases as well")


Rate = Annotated[float, Field(gt=0, le=1e4)]
"""A learning rate."""

LearningRate = Annotated[
    Rate | Annotated[Use, OfKind("learning_rate")] | tuple[Rate, ...] | dict[str, Rate],
    Positional(),
    Field(description="peak learning rate: one for all groups, a slice, one a group, or a map by group"),
]
"""A policy's `lr`; as a field: `lr: LearningRate`."""


class PolicyParams(Params):
    """Base of a policy's parameters: `lr`, the epochs that it runs for, and whether it sets the momentum.

    Each policy declares `lr: LearningRate` itself, after what is positional before it.
    """

    if TYPE_CHECKING:
        lr: LearningRate

    @property
    def total_epochs(self) -> int:
        """Epochs that the policy runs for."""
        raise TypeError(f"{type(self).__name__} does not define total_epochs")

    @property
    def moves_momentum(self) -> bool:
        """Whether the policy sets the optimizer's momentum."""
        return False


class FileWeights(Params):
    """Start the body from a file of weights whose names, or whose place in the file, are not the model's.

    A path alone, `weights = "resnet34.pth"`, is the same without prefix and key.
    """

    path: Annotated[Path, Positional()] = Field(description="a .pth, .pt, .ckpt or .safetensors file")
    prefix: str = Field(
        "",
        max_length=1000,
        description="what the tensors' names start with and the model's do not, such as \"module.\"",
    )
    key: str = Field(
        "", max_length=1000, description='name of the state dict in a checkpoint of several things: "state_dict"'
    )


class RunWeights(Params):
    """Start the body from the newest finished run of an experiment, or from the run in a folder."""

    run: Annotated[str, Positional()] = Field(
        min_length=1, max_length=4096, description="an experiment's name, a run's name, or the path of a run's folder"
    )
