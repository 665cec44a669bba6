"""A resolved experiment: every name looked up, every default filled in, nothing opened yet."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dotexp.components.component import Use
from dotexp.components.facts import LayerGroup
from dotexp.components.params import Affects, Params
from dotexp.language.effects import Effect
from dotexp.language.keywords import TOP, Form, in_place
from dotexp.record import Record

LANGUAGE_VERSION = 1


class Kept(StrEnum):
    """Modules inside frozen layers that go on training, parameters and statistics alike."""

    batchnorm = "batchnorm"
    norm = "norm"


class Unfreeze(Record):
    """Every layer trains."""


class FreezeBefore(Record):
    """Every layer before `layer` is frozen: `freeze before layer4`."""

    layer: str
    kept: Kept | None = None


class LayerSpan(Record):
    """Layers from `first` to `last`, or one layer, or a group (or `body`) by name when `last` is None."""

    first: str
    last: str | None = None


class FreezeLayers(Record):
    """The named layers, ranges and groups are frozen: `freeze stem..layer1, head`."""

    items: tuple[LayerSpan, ...]
    kept: Kept | None = None


Freeze = Unfreeze | FreezeBefore | FreezeLayers


class Device(StrEnum):
    """Where a run computes; `auto` takes CUDA, else MPS, else the CPU."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(StrEnum):
    """Numbers in the forward pass: `f32`, or `bf16` or `f16` by autocast (weights stay in float32)."""

    f32 = "f32"
    bf16 = "bf16"
    f16 = "f16"


class OnOom(StrEnum):
    """What to do where a batch does not fit into memory: stop, or accumulate its gradient over micro-batches."""

    stop = "stop"
    in_pieces = "split"  # a member called split would hide the method of strings


class RewriteName(StrEnum):
    """Faster ways to the same bits that a plan may choose; `planning/rewrites/` decides on each."""

    gather_epoch = "gather_epoch"
    async_loss_check = "async_loss_check"


_SPEED = Affects(Effect.speed)
_ROUNDING = Affects(Effect.speed, "sums are rounded otherwise")


class Runtime(Params):
    """How a run uses the machine."""

    device: Annotated[Device, _ROUNDING] = Field(
        Device.auto, description="where to compute: auto takes CUDA, else MPS, else the CPU"
    )
    precision: Precision = Field(
        Precision.f32, description="f32, or bf16 or f16 in the forward pass by autocast; f16 scales the loss"
    )
    workers: Annotated[int, _SPEED] = Field(
        0, ge=0, le=256, description="processes that prepare data which is not held in memory"
    )
    threads: Annotated[int | None, _ROUNDING] = Field(
        None, ge=1, le=1024, description="threads of an operation on the CPU; none: torch's own"
    )
    checkpoint_minutes: Annotated[float, _SPEED] = Field(
        5.0, gt=0, le=10080, description="save the run's state after so many minutes, beside the ends of epochs"
    )
    checkpoint_steps: Annotated[int | None, _SPEED] = Field(
        None,
        ge=1,
        le=10**9,
        description="save the run's state after so many steps of a stage, too; none: by time alone",
    )
    keep_checkpoints: Annotated[int, _SPEED] = Field(2, ge=1, le=10**6, description="newest checkpoints to keep")
    keep_best: Annotated[bool, _SPEED] = Field(
        True, description="keep the checkpoint of the lowest validation loss, too"
    )
    on_oom: OnOom = Field(
        OnOom.stop,
        description="a batch that does not fit into memory: stop, or split it (batch norm sees micro-batches)",
    )
    without: Annotated[tuple[RewriteName, ...], _SPEED] = Field(
        (), description="rewrites that `plan` shows and that are not wanted"
    )


class Model(Record):
    """What is trained: a body with a head, or a whole model; its layers in order and its learning-rate groups."""

    layers: tuple[str, ...]
    groups: tuple[LayerGroup, ...]
    body: Use | None = None
    head: Use | None = None
    whole: Use | None = None


class Stage(Record):
    """One stage with everything in force in it."""

    name: str
    data: Use
    loss: Use
    optimizer: Use
    fit: Use
    freeze: Freeze = Unfreeze()
    callbacks: tuple[Use, ...] = ()


class Experiment(Record):
    """A whole experiment, resolved."""

    name: str
    data: Use
    model: Model
    loss: Use
    optimizer: Use
    stages: tuple[Stage, ...]
    description: str = ""
    seed: int = 42
    metrics: tuple[Use, ...] = ()
    callbacks: tuple[Use, ...] = ()
    reports: tuple[Use, ...] = ()
    runtime: Runtime = Runtime()


def listings_of(experiment: Experiment) -> dict[str, tuple[Use, ...]]:
    """Return the components of every statement that lists several, by keyword."""
    return {each.word: getattr(experiment, each.field) for each in in_place(TOP, Form.listing)}


def frozen_layers(freeze: Freeze, layers: Sequence[str], groups: Sequence[LayerGroup]) -> frozenset[str]:
    """Layers that a freeze statement freezes; `body` stands for every layer but the head.

    Raises KeyError, with the name as its argument, where a name is neither a layer nor a group.
    """
    if isinstance(freeze, Unfreeze):
        return frozenset()
    if isinstance(freeze, FreezeBefore):
        return frozenset(layers[: _position(freeze.layer, layers)])
    return frozenset(name for item in freeze.items for name in layers_of(item, layers, groups))


def layers_of(item: LayerSpan, layers: Sequence[str], groups: Sequence[LayerGroup]) -> tuple[str, ...]:
    """Layers that one item of a freeze or groups statement names. Raises KeyError as `frozen_layers`."""
    by_group: Mapping[str, tuple[str, ...]] = {group.name: group.layers for group in groups}
    if item.last is not None:
        return tuple(layers[_position(item.first, layers) : _position(item.last, layers) + 1])
    if item.first in layers:
        return (item.first,)
    if item.first in by_group:
        return by_group[item.first]
    if item.first == "body" and "head" in layers:
        return tuple(layer for layer in layers if layer != "head")
    raise KeyError(item.first)


def _position(layer: str, layers: Sequence[str]) -> int:
    if layer not in layers:
        raise KeyError(layer)
    return layers.index(layer)
