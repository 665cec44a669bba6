"""What a callback is: an object that takes part in the training of a stage, where it asks to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dotexp.experiment.callback_checks import find_metric
from dotexp.runs.results import EpochRow

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from dotexp.components.component import Use
    from dotexp.components.facts import DataFacts
    from dotexp.planning.plan import StagePlan
    from dotexp.sdk.data import Batch

__all__ = ["Callback", "EpochRow", "Training"]


def _unheard(name: str, value: float | Tensor) -> None:
    """Discard a number: there is no run."""


@dataclass(frozen=True)
class Training:
    """A stage as it starts: its plan, the data's facts, the network, and the optimizer of the `parameters` that train.

    `metrics` are the experiment's, by the name under which an epoch's row has them. `log(name, value)` adds a number,
    or a tensor of one number, to the current epoch: the last value of each name is in `EpochRow.logged`, and so in
    metrics.jsonl, the progress table, the report and what listeners are told.
    """

    stage: StagePlan
    facts: DataFacts
    network: nn.Module
    optimizer: Optimizer
    parameters: tuple[nn.Parameter, ...]
    metrics: Mapping[str, Use]
    log: Callable[[str, float | Tensor], None] = _unheard

    def name_of(self, metric: Use) -> str:
        """Name under which an epoch's row has a metric. Raises LookupError for one that is not measured."""
        place = find_metric(metric, tuple(self.metrics.values()))
        if place is None:
            raise LookupError(f"`{metric.name}` is not one of the metrics")
        return tuple(self.metrics)[place]


class Callback:
    """Base of every callback: a subclass defines what it wants to hear of, and is called for nothing else.

    Each stage builds its own. Whatever later steps depend on belongs into `state_dict`, since a run may be stopped and
    resumed after any step. Random numbers come from torch's own generators, which every step seeds by its position.
    One that raises fails the run, and is named.
    """

    def stage_started(self, training: Training) -> None:
        """Hear that the stage starts. In a resumed run, `load_state_dict` follows."""

    def change_batch(self, batch: Batch) -> Batch:
        """Return what the forward pass shall see in place of a training batch; may come twice for one batch."""
        return batch

    def before_step(self, step: int) -> None:
        """Look at the gradients, or change them, before the optimizer takes step `step` of the stage, from 0."""

    def after_step(self, step: int) -> None:
        """Look at the weights after step `step`."""

    def before_validation(self) -> None:
        """Put in the weights that are to be validated; called at the stage's end, too, where they stay."""

    def after_validation(self) -> None:
        """Put the weights that are trained back, as they were."""

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Hear an epoch's numbers, with the validated weights in place; return why the stage shall stop, or None."""
        return None

    def stage_ended(self) -> int | None:
        """Leave the network as the stage shall; return the epoch, from 1, whose weights it has, or None: the last."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, text, None, and lists, tuples and maps of these: what a checkpoint keeps."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; its tensors are on the CPU."""
