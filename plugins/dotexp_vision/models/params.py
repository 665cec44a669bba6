"""Parameters of the bodies."""

from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dotexp import BodyParams, OfKind, Positional, Use
from pydantic import Field, ValidationInfo, create_model, field_validator

from dotexp_vision.models.table import networks

_WEIGHTS = (
    "ImageNet's, a .pth, .pt or .safetensors file, file(…) for one whose names have a prefix or that is a checkpoint, "
    "run(…) for those of an earlier run, or none: random ones"
)
_IMAGE_SIZE = "side of the images, in pixels, a multiple of the {} of a patch; weights for another side are adapted"

RunUse = Annotated[Use, OfKind("weights")]


@cache
def weight_names(published: tuple[str, ...]) -> type[StrEnum]:
    """Make the enumeration of the names that a spec may give published weights.

    They are torchvision's names, and `imagenet` for its default among a model's.
    """
    made: Any = StrEnum("Imagenet", [(name, name) for name in ("imagenet", *published)])  # type: ignore[misc]
    names: type[StrEnum] = made
    return names


@cache
def params_for(published: tuple[str, ...], patch: int | None) -> type[BodyParams]:
    """Make the parameter model of bodies with these published weights; `patch` is the side of a transformer's patches.

    A transformer is made for images of a size, so that is a parameter of it.
    """
    names: Any = weight_names(published)
    fields: dict[str, Any] = {
        "weights": (names | Path | RunUse | None, Field(names("imagenet"), description=_WEIGHTS)),
    }
    if patch is not None:
        described = _IMAGE_SIZE.format(patch)
        fields["image_size"] = (int, Field(224, ge=patch, le=4096, multiple_of=patch, description=described))
    doc = "A torchvision model without its classifier."
    return create_model("NamedBodyParams", __base__=BodyParams, __doc__=doc, __module__=__name__, **fields)


def __getattr__(name: str) -> Any:
    """Return the parameter model of the body that goes by a network's name, such as `params.resnet34`."""
    network = networks().get(name)
    if network is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return params_for(network.weights, network.patch)


if TYPE_CHECKING:
    AnyImagenet = StrEnum
else:
    AnyImagenet = weight_names(tuple(dict.fromkeys(name for each in networks().values() for name in each.weights)))


class TorchvisionBodyParams(BodyParams):
    """Any of torchvision's classification models, cut where you say: `torchvision_body("alexnet")`."""

    name: Annotated[str, Positional()] = Field(
        min_length=1, max_length=64, description='the model\'s name in torchvision, such as "googlenet"'
    )
    weights: AnyImagenet | Path | RunUse | None = Field(AnyImagenet("imagenet"), description=_WEIGHTS)
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
        if network is None or not isinstance(weights, AnyImagenet) or weights.value == "imagenet":
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
