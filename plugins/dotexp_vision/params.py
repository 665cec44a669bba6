"""Parameters of the bodies and heads."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from dotexp import OfKind, Params, Percent, Positional, Use
from pydantic import Field, model_validator


class Imagenet(StrEnum):
    """ImageNet weights that torchvision publishes; `imagenet` is its default, here the first version."""

    imagenet = "imagenet"
    imagenet_v1 = "imagenet_v1"


class ImagenetTwo(StrEnum):
    """ImageNet weights that torchvision publishes in two versions; `imagenet` is its default, here the second."""

    imagenet = "imagenet"
    imagenet_v1 = "imagenet_v1"
    imagenet_v2 = "imagenet_v2"


_WEIGHTS = "ImageNet's, a .pth, .pt or .safetensors file, run(…) for those of an earlier run, or none: random ones"


class ResNet18Params(Params):
    """ResNet-18 without its classifier: 512 features."""

    weights: Imagenet | Path | Annotated[Use, OfKind("weights")] | None = Field(Imagenet.imagenet, description=_WEIGHTS)


class ResNet34Params(Params):
    """ResNet-34 without its classifier: 512 features."""

    weights: Imagenet | Path | Annotated[Use, OfKind("weights")] | None = Field(Imagenet.imagenet, description=_WEIGHTS)


class ResNet50Params(Params):
    """ResNet-50 without its classifier: 2,048 features."""

    weights: ImagenetTwo | Path | Annotated[Use, OfKind("weights")] | None = Field(
        ImagenetTwo.imagenet, description=_WEIGHTS
    )


class SqueezeNetParams(Params):
    """SqueezeNet 1.1 without its classifier: 512 features, small and quick."""

    weights: Imagenet | Path | Annotated[Use, OfKind("weights")] | None = Field(Imagenet.imagenet, description=_WEIGHTS)


class Pool(StrEnum):
    """How a body's feature maps become one vector: the maxima and the averages, or one of them."""

    concat = "concat"
    avg = "avg"
    max = "max"


Dropout = Annotated[float, Percent(), Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=1, le=65536)]


class MlpParams(Params):
    """fastai's head: pooling, then batch norm, dropout and a linear layer for each width, with a ReLU between.

    A linear layer has a bias where no batch norm stands before it, or with `bias = true`, as in fastai v1.
    """

    hidden: Annotated[tuple[Width, ...], Positional()] = Field(
        (512,), max_length=16, description="widths of the hidden layers; [] goes straight to the classes"
    )
    dropout: Dropout | tuple[Dropout, ...] = Field(
        0.5, description="dropout before each linear layer; one number p means p/2 before the hidden ones, p at last"
    )
    pool: Pool = Field(Pool.concat, description="maxima and averages of the feature maps (concat), or avg, or max")
    first_bn: bool = Field(True, description="batch norm before the first linear layer")
    bn_final: bool = Field(False, description="batch norm (momentum 0.01) after the last linear layer")
    bias: bool = Field(False, description="linear layers with biases, and batch norm's at 0 not 0.001: fastai v1's")

    @model_validator(mode="after")
    def _one_dropout_a_layer(self) -> MlpParams:
        layers = len(self.hidden) + 1
        if isinstance(self.dropout, tuple) and len(self.dropout) != layers:
            raise ValueError(
                f"dropout is one number, or one for each of the {layers} linear layers: this list has "
                f"{len(self.dropout)}"
            )
        return self

    @property
    def dropouts(self) -> tuple[float, ...]:
        """Dropout before each linear layer."""
        if isinstance(self.dropout, tuple):
            return self.dropout
        return (*(self.dropout / 2 for _ in self.hidden), self.dropout)


class LinearParams(Params):
    """The plainest head: the average of each feature map, dropout, and one linear layer with a bias."""

    dropout: Dropout = Field(0.0, description="dropout before the linear layer")
