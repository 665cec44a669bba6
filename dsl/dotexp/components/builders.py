"""What builders are given and what they return, where it is not torch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn


class DataContext(NamedTuple):
    """What a data builder is given beside its parameters.

    `seed` is the experiment's. `shared` is a mapping that lives as long as the run: what the data of one stage has
    read, the data of the next finds there; None: nothing is shared.
    """

    seed: int
    shared: MutableMapping[str, Any] | None = None


class Body(NamedTuple):
    """A body as its builder returns it.

    `module` maps images (N, 3, H, W), normalized by `mean` and `std` (None: as they are, in 0..1), to feature maps
    (N, `features`, h, w); `layers` names its layers in order.
    """

    module: nn.Module
    layers: Mapping[str, nn.Module]
    features: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class Schedule(NamedTuple):
    """A learning-rate schedule over `n` steps, as a policy's builder returns it.

    `factor(i)` multiplies every group's peak learning rate at step i, from 0; `momentum(i)` is the momentum (None: the
    optimizer's own).
    """

    factor: Callable[[int], float]
    momentum: Callable[[int], float] | None = None
