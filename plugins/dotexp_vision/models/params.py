"""Parameters of the bodies."""

from __future__ import annotations

from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from dotexp import BodyParams, OfKind, Positional, Use
from pydantic import Field, ValidationInfo, field_validator

from dotexp_vision.models.table import networks

_WEIGHTS = "ImageNet's, a .pth, .pt or .safetensors file, run(…) for those of an earlier run, or none: random ones"
_IMAGE_SIZE = "side of the images, in pixels, a multiple of the {} of a patch; weights for another side are adapted"

RunUse = Annotated[Use, OfKind("weights")]


class Imagenet(StrEnum):
    """ImageNet weights that torchvision publishes, by its names; `imagenet` is its default among a model's."""

    imagenet = "imagenet"
    imagenet1k_v1 = "imagenet1k_v1"


class ImagenetTwo(StrEnum):
    """The same of models that were trained again."""

    imagenet = "imagenet"
    imagenet1k_v1 = "imagenet1k_v1"
    imagenet1k_v2 = "imagenet1k_v2"


class ImagenetFeatures(StrEnum):
    """The same of VGG-16: `imagenet1k_features` are those of its features alone, converted from Caffe."""

    imagenet = "imagenet"
    imagenet1k_v1 = "imagenet1k_v1"
    imagenet1k_features = "imagenet1k_features"


class ImagenetSwag(StrEnum):
    """The same of models that were trained by SWAG: fine-tuned as a whole (e2e), or their classifier alone (linear)."""

    imagenet = "imagenet"
    imagenet1k_swag_e2e_v1 = "imagenet1k_swag_e2e_v1"
    imagenet1k_swag_linear_v1 = "imagenet1k_swag_linear_v1"


class ImagenetOneSwag(StrEnum):
    """The same of models that were trained both ways."""

    imagenet = "imagenet"
    imagenet1k_v1 = "imagenet1k_v1"
    imagenet1k_swag_e2e_v1 = "imagenet1k_swag_e2e_v1"
    imagenet1k_swag_linear_v1 = "imagenet1k_swag_linear_v1"


class ImagenetTwoSwag(StrEnum):
    """The same of models that were trained again, and by SWAG."""

    imagenet = "imagenet"
    imagenet1k_v1 = "imagenet1k_v1"
    imagenet1k_v2 = "imagenet1k_v2"
    imagenet1k_swag_e2e_v1 = "imagenet1k_swag_e2e_v1"
    imagenet1k_swag_linear_v1 = "imagenet1k_swag_linear_v1"


class AnyImagenet(StrEnum):
    """All of them."""

    imagenet = "imagenet"
    imagenet1k_v1 = "imagenet1k_v1"
    imagenet1k_v2 = "imagenet1k_v2"
    imagenet1k_features = "imagenet1k_features"
    imagenet1k_swag_e2e_v1 = "imagenet1k_swag_e2e_v1"
    imagenet1k_swag_linear_v1 = "imagenet1k_swag_linear_v1"


class OneParams(BodyParams):
    """A torchvision model without its classifier, with one set of weights."""

    weights: Imagenet | Path | RunUse | None = Field(Imagenet.imagenet, description=_WEIGHTS)


class TwoParams(BodyParams):
    """A torchvision model without its classifier, with two sets of weights."""

    weights: ImagenetTwo | Path | RunUse | None = Field(ImagenetTwo.imagenet, description=_WEIGHTS)


class FeaturesParams(BodyParams):
    """VGG-16 without its classifier."""

    weights: ImagenetFeatures | Path | RunUse | None = Field(ImagenetFeatures.imagenet, description=_WEIGHTS)


class SwagParams(BodyParams):
    """A torchvision model without its classifier, with SWAG's weights."""

    weights: ImagenetSwag | Path | RunUse | None = Field(ImagenetSwag.imagenet, description=_WEIGHTS)


class TwoSwagParams(BodyParams):
    """A torchvision model without its classifier, with two sets of weights and SWAG's."""

    weights: ImagenetTwoSwag | Path | RunUse | None = Field(ImagenetTwoSwag.imagenet, description=_WEIGHTS)


class VitSixteenParams(BodyParams):
    """A vision transformer with patches of 16 pixels."""

    weights: ImagenetOneSwag | Path | RunUse | None = Field(ImagenetOneSwag.imagenet, description=_WEIGHTS)
    image_size: int = Field(224, ge=16, le=4096, multiple_of=16, description=_IMAGE_SIZE.format(16))


class VitThirtyTwoParams(BodyParams):
    """A vision transformer with patches of 32 pixels."""

    weights: Imagenet | Path | RunUse | None = Field(Imagenet.imagenet, description=_WEIGHTS)
    image_size: int = Field(224, ge=32, le=4096, multiple_of=32, description=_IMAGE_SIZE.format(32))


class VitFourteenParams(BodyParams):
    """A vision transformer with patches of 14 pixels."""

    weights: ImagenetSwag | Path | RunUse | None = Field(ImagenetSwag.imagenet, description=_WEIGHTS)
    image_size: int = Field(224, ge=14, le=4096, multiple_of=14, description=_IMAGE_SIZE.format(14))


class TorchvisionBodyParams(BodyParams):
    """Any of torchvision's classification models, cut where you say: `torchvision_body("alexnet")`."""

    name: Annotated[str, Positional()] = Field(
        min_length=1, max_length=64, description='the model\'s name in torchvision, such as "googlenet"'
    )
    weights: AnyImagenet | Path | RunUse | None = Field(AnyImagenet.imagenet, description=_WEIGHTS)
    cut: int | None = Field(
        None,
        ge=-100,
        le=100,
        description="how many of the model's parts stay, or, below 0, how many go; none: those before the pooling",
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in networks():
            near = get_close_matches(name.lower(), networks(), n=4, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(networks())}"
            raise ValueError(f"torchvision has no classification model {name}: {hint}")
        return name

    @field_validator("weights")
    @classmethod
    def _published(cls, weights: object, info: ValidationInfo) -> object:
        network = networks().get(info.data.get("name", ""))
        if network is None or not isinstance(weights, AnyImagenet) or weights is AnyImagenet.imagenet:
            return weights
        if weights.value not in network.weights:
            raise ValueError(f"{network.name} has imagenet, {', '.join(network.weights)}")
        return weights

    @field_validator("cut")
    @classmethod
    def _leaves_maps(cls, cut: int | None, info: ValidationInfo) -> int | None:
        network = networks().get(info.data.get("name", ""))
        if network is not None:
            network.kept(cut)
        return cut
