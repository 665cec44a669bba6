"""Parameters and facts of timm's models as bodies. Needs neither timm nor torch."""

from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from dotexp import BodyFacts, BodyParams, Component, LayerGroup, OfKind, Positional, Use
from pydantic import Field, ValidationInfo, field_validator, model_validator

from dotexp_timm.table import Network, age, networks


class Pretrained(StrEnum):
    """Weights that timm publishes for a model: those of its tag, or timm's default."""

    imagenet = "imagenet"


class TimmBodyParams(BodyParams):
    """Any of timm's models without its classifier: `timm_body("convnext_tiny.fb_in1k")`.

    The name may have a tag behind a point, which selects one of timm's weights. Layers are timm's coarse parameter
    groups (`group_matcher(coarse = True)`): `stem`, `layer_1`, `layer_2`, and so on. Learning-rate groups are `early`,
    their first half, `late`, their second, and `head`. A model without feature maps gives the vector that its
    classifier would get, as maps of 1 by 1.
    """

    name: Annotated[str, Positional()] = Field(
        min_length=1, max_length=128, description='the model\'s name in timm, such as "resnet50" or "resnet50.a1_in1k"'
    )
    weights: Pretrained | Path | Annotated[Use, OfKind("weights")] | None = Field(
        Pretrained.imagenet,
        description="imagenet: timm's own, most of them ImageNet's; a .pth, .pt or .safetensors file, file(…) for one "
        "whose names have a prefix or that is a checkpoint, run(…) for those of an earlier run, or none: random ones",
    )
    image_size: int | None = Field(
        None, ge=1, le=4096, description="side of the images, in pixels, of a model made for one side; none: timm's"
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        model, _, tag = name.partition(".")
        network = networks().get(model)
        if network is None:
            near = get_close_matches(model.lower(), networks(), n=4, cutoff=0.5)
            hint = f": did you mean {' or '.join(near)}?" if near else f"; {len(networks()):,} are known"
            raise ValueError(f"timm has no model {model}{hint}{age()}")
        if tag and tag not in network.tags:
            tags = ", ".join(network.tags) or "none"
            raise ValueError(f"timm has no weights {tag} for {model}: it has {tags}{age()}")
        return name

    @field_validator("image_size")
    @classmethod
    def _can_be_sized(cls, image_size: int | None, info: ValidationInfo) -> int | None:
        network = networks().get(str(info.data.get("name", "")).partition(".")[0])
        if image_size is not None and network is not None and not network.sized:
            raise ValueError(f"{network.name} takes any size from {network.smallest} pixels up: leave image_size out")
        return image_size

    @model_validator(mode="after")
    def _published(self) -> Self:
        if self.weights is Pretrained.imagenet and not self.network.tags:
            raise ValueError(f"timm has no weights for {self.network.name}: give weights = none, or a file's path")
        return self

    @property
    def network(self) -> Network:
        """The model's row of the table."""
        return networks()[self.name.partition(".")[0]]


def facts_of(params: TimmBodyParams) -> BodyFacts:
    """Return the layers, groups and image sizes of a model."""
    network = params.network
    layers = network.layer_names
    half = (len(layers) + 1) // 2
    groups = [LayerGroup("early", layers[:half]), LayerGroup("late", layers[half:])]
    body = groups if len(layers) > 1 else [LayerGroup("body", layers)]
    only = params.image_size or network.side if network.fixed else None
    return BodyFacts(
        inputs="images",
        layers=layers,
        groups=(*body, LayerGroup("head", ("head",))),
        smallest=only or network.smallest,
        largest=only,
        multiple=1 if only else network.step,
    )


COMPONENTS = (Component("body", "timm_body", TimmBodyParams, "dotexp_timm.bodies:build", facts_of),)
