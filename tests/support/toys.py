"""Toy components and plans for tests of the engine; named `toys:build_…` as a plugin's are by its module."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from dotexp import (
    Body,
    CallbackFacts,
    Component,
    DataContext,
    DataFacts,
    DataParams,
    LayerGroup,
    OfKind,
    OptimizerParams,
    Params,
    RunWeights,
)
from dotexp import BodyParams as AnyBodyParams
from dotexp.components.component import AnyFacts, Use
from dotexp.experiment.experiment import (
    Device,
    Experiment,
    Freeze,
    Kept,
    Model,
    Runtime,
    Stage,
    Unfreeze,
    frozen_layers,
)
from dotexp.experiment.text import as_text
from dotexp.planning.identity import identity_text, start_text
from dotexp.planning.plan import GroupPlan, LayerCount, Plan, StagePlan
from dotexp.sdk.data import Data, Part, TensorPart
from dotexp.sdk.seeds import derive
from offered import offered
from torch import Tensor, nn

SIZE = 6
CLASSES = 3


class ImagesParams(DataParams):
    """Small random images; `poison` makes one training image NaN, `poison_valid` one validation image."""

    examples: int = 32
    valid: int = 8
    poison: int | None = None
    poison_valid: int | None = None


class Images:
    """Images (N, 3, SIZE, SIZE) and classes, a function of the seed."""

    def __init__(self, params: ImagesParams, context: DataContext) -> None:
        self.facts = image_facts(params)
        self._parts = {
            "train": _images(derive(context.seed, "train"), params.examples, params.poison),
            "valid": _images(derive(context.seed, "valid"), params.valid, params.poison_valid),
        }

    def part(self, name: str) -> Part:
        """A part by name."""
        return self._parts[name]


def image_facts(params: ImagesParams) -> DataFacts:
    """Facts of the toy images."""
    return DataFacts(
        "classification",
        train=params.examples,
        valid=params.valid,
        classes=("a", "b", "c"),
        outputs=CLASSES,
        fingerprint="toy",
        vocabulary={"classes": ["a", "b", "c"]},
    )


def _images(seed: int, count: int, poison: int | None) -> TensorPart:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, SIZE, SIZE, generator=generator)
    if poison is not None:
        images[poison] = math.nan
    return TensorPart([images], torch.randint(CLASSES, (count,), generator=generator))


def build_images(params: ImagesParams, context: DataContext) -> Data:
    """Builder of the toy images."""
    return Images(params, context)


class BodyParams(AnyBodyParams):
    """A body with batch norm, group norm and dropout in each of its two blocks."""

    weights: Annotated[Use, OfKind("weights")] | None = None
    width: int = 4
    normalized: bool = False


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.GroupNorm(2, outputs),
        nn.ReLU(),
        nn.Dropout(0.5),
    )


def build_body(params: BodyParams) -> Body:
    """Builder of the toy body: layers `stem` and `deep`."""
    module = nn.Sequential(_block(3, params.width), _block(params.width, params.width))
    scale = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3)) if params.normalized else (None, None)
    return Body(module, {"stem": module[0], "deep": module[1]}, params.width, *scale)


class HeadParams(Params):
    """Pooling, dropout and a linear layer."""


def build_head(params: HeadParams, features: int, outputs: int) -> nn.Module:
    """Builder of the toy head."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(features, outputs))


class FlatParams(Params):
    """A whole model: one linear layer over the flat image."""


class Flat(nn.Module):
    """Linear over flat images."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * SIZE * SIZE, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.linear(images.flatten(1))  # type: ignore[no-any-return]


def build_flat(params: FlatParams, facts: DataFacts) -> nn.Module:
    """Builder of the toy whole model."""
    return Flat(facts.outputs)


class LossParams(Params):
    """Cross entropy."""


class CrossEntropy(nn.CrossEntropyLoss):
    """Cross entropy, activated by a softmax."""

    def activate(self, output: Tensor) -> Tensor:
        """Probabilities."""
        return output.softmax(1)


def build_loss(params: LossParams, facts: DataFacts) -> nn.Module:
    """Builder of the toy loss."""
    return CrossEntropy()


class MetricParams(Params):
    """Share of wrong answers; draws random numbers too, which must not matter."""


class Wrong:
    """A metric in the manner of torchmetrics."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.wrong, self.seen = 0, 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch."""
        torch.rand(7)
        assert torch.allclose(outputs.sum(1), torch.ones(len(outputs)))
        self.wrong += int((outputs.argmax(1) != targets).sum())
        self.seen += len(targets)

    def compute(self) -> Tensor:
        """Share of wrong answers."""
        return torch.tensor(self.wrong / self.seen)

    def to(self, device: torch.device) -> Wrong:
        """Stay."""
        return self


def build_metric(params: MetricParams, facts: DataFacts) -> Wrong:
    """Builder of the toy metric."""
    return Wrong()


class AdamParams(OptimizerParams):
    """AdamW."""

    wd: float = 0.1
    fused: bool = False


def build_adam(params: AdamParams, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Builder of the toy AdamW."""
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), eps=1e-5, fused=params.fused)


class SgdParams(Params):
    """SGD without a field for decay."""

    momentum: float = 0.0


def build_sgd(params: SgdParams, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Builder of the toy SGD."""
    return torch.optim.SGD(groups, momentum=params.momentum)


class FitParams(Params):
    """A policy, already worked out in the plan."""


class WeightsUse(RunWeights):
    """Weights of a run."""


def use(kind: str, build: str, params: Params, facts: AnyFacts | None = None) -> Use:
    """A component in use, named as its builder is."""
    name = build.removeprefix("build_")
    return Use(component=Component(kind, name, type(params), f"toys:{build}", facts=facts), params=params)


LAYERS = ("stem", "deep", "head")
GROUPS = (LayerGroup("body", ("stem", "deep")), LayerGroup("head", ("head",)))
WHOLE = LayerGroup("model", ("model",))
ADAM = use("optimizer", "build_adam", AdamParams())
LOSS = use("loss", "build_loss", LossParams())
METRICS = (use("metric", "build_metric", MetricParams()),)
DATA = ImagesParams(batch_size=8)
BODY = BodyParams()
UNFREEZE = Unfreeze()


def plan(
    *stages: StagePlan,
    data: ImagesParams = DATA,
    body: BodyParams | None = BODY,
    seed: int = 42,
    metrics: Sequence[Use] = METRICS,
    name: str = "toy",
) -> Plan:
    """A plan of these stages; `body=None` takes the whole model."""
    if body is None:
        model = Model(whole=use("model", "build_flat", FlatParams()), layers=("model",), groups=(WHOLE,))
    else:
        head = use("head", "build_head", HeadParams())
        model = Model(body=use("body", "build_body", body), head=head, layers=LAYERS, groups=GROUPS)
    experiment = Experiment(
        name=name,
        seed=seed,
        data=use("data", "build_images", data),
        model=model,
        loss=LOSS,
        optimizer=stages[0].optimizer if stages else ADAM,
        metrics=tuple(metrics),
        stages=tuple(
            Stage(
                name=s.name,
                data=s.data,
                loss=s.loss,
                optimizer=s.optimizer,
                fit=s.fit,
                freeze=s.freeze,
                callbacks=s.callbacks,
            )
            for s in stages
        ),
        runtime=Runtime(device=Device.cpu, threads=1),
    )
    texts = [start_text(experiment, place) for place in range(len(stages))]
    return Plan(
        name=name,
        description="",
        seed=seed,
        data=experiment.data,
        model=model,
        metrics=experiment.metrics,
        reports=(),
        runtime=experiment.runtime,
        facts=image_facts(data),
        layers=tuple(LayerCount(layer, 1) for layer in model.layers),
        stages=tuple(replace(s, start_text=text) for s, text in zip(stages, texts, strict=True)),
        text=as_text(experiment),
        identity=identity_text(experiment),
    )


def stage(
    name: str = "train",
    *,
    freeze: Freeze = UNFREEZE,
    epochs: int = 2,
    data: ImagesParams = DATA,
    optimizer: Use = ADAM,
    lr: float = 1e-2,
    momentum: str | None = "betas",
    groups: tuple[LayerGroup, ...] = GROUPS,
    loss: Use = LOSS,
    callbacks: Sequence[Use] = (),
) -> StagePlan:
    """A stage whose rates and momentum differ in every step and group."""
    kept: Kept | None = getattr(freeze, "kept", None)
    layers = tuple(layer for group in groups for layer in group.layers)
    frozen = frozen_layers(freeze, layers, groups)
    batches = max((each.facts_as(CallbackFacts).batches_per_step for each in callbacks), default=1)
    per_epoch = data.examples // (data.batch_size * batches)
    steps = epochs * per_epoch
    still = [kept is None and frozen.issuperset(group.layers) for group in groups]
    rates = [tuple(lr * (place + 1) * (i + 1) / steps for i in range(steps)) for place in range(len(groups))]
    return StagePlan(
        name=name,
        data=use("data", "build_images", data),
        loss=loss,
        optimizer=optimizer,
        fit=use("policy", "", FitParams()),
        freeze=freeze,
        epochs=epochs,
        batch_size=data.batch_size,
        steps_per_epoch=per_epoch,
        groups=tuple(GroupPlan(g.name, g.layers, 1, 1, "none", (), "train") for g in groups),
        frozen=frozen,
        rates=tuple(None if s else r for s, r in zip(still, rates, strict=True)),
        momentum=None if momentum is None else tuple(0.95 - 0.1 * i / steps for i in range(steps)),
        momentum_key=momentum,
        callbacks=tuple(callbacks),
        batches_per_step=batches,
    )


def callback(name: str, **arguments: Any) -> Use:
    """A bundled callback."""
    component = next(each for each in offered("callbacks") if each.name == name)
    return Use(component=component, params=component.params(**arguments))


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> set[str]:
    """Names of the tensors that are equal bit for bit."""
    return {name for name in first if torch.equal(first[name], second[name])}
