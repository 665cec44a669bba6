"""Loss and metrics over a part of the data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dotexp.components.component import Use
from dotexp.components.facts import DataFacts
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, machine
from dotexp.engine.build.network import restore_network
from dotexp.engine.training.ordering import read_batches
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import UsageError
from dotexp.language.wording import counted
from dotexp.planning.inference import Inference
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import is_finite
from dotexp.sdk.data import Data, Part, RankingMetric


class Metric(Protocol):
    """What a metric's builder returns: a torchmetrics metric, of which this is used, or a RankingMetric."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take in a batch of activated outputs and targets."""
        ...

    def compute(self) -> Any:
        """The metric over everything taken in."""
        ...

    def reset(self) -> None:
        """Forget everything taken in."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move to a device, in place."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Mean loss over a part's examples, and the metrics by name; nothing where the part is empty.

    `batches` counts the batches, `bad_batches` those whose loss is not a finite number.
    """

    loss: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    batches: int = 0
    bad_batches: int = 0

    def faults(self) -> Iterator[str]:
        """Say which of the numbers are not finite."""
        if self.bad_batches:
            batches = counted(self.batches, "batch", "batches")
            yield f"the validation loss is {self.loss}: {self.bad_batches} of {batches} have a loss that is not finite"
        for name, value in self.metrics.items():
            if not is_finite(value):
                yield f"the metric `{name}` is {value}"


def build_metrics(uses: Sequence[Use], facts: DataFacts, device: torch.device) -> dict[str, Metric]:
    """Build metrics by name; a name that comes again gets its place: `accuracy`, `accuracy_2`."""
    metrics: dict[str, Metric] = {}
    for name, use in named_metrics(uses).items():
        metric: Metric = use.build(facts)
        metric.to(device)
        metrics[name] = metric
    return metrics


def named_metrics(uses: Sequence[Use]) -> dict[str, Use]:
    """Name metrics as the rows of the epochs do."""
    counts = [sum(other.name == use.name for other in uses[:place]) for place, use in enumerate(uses)]
    return {use.name if count == 0 else f"{use.name}_{count + 1}": use for use, count in zip(uses, counts, strict=True)}


@torch.no_grad()
def evaluate(
    network: nn.Module,
    loss: nn.Module,
    metrics: Mapping[str, Metric],
    part: Part,
    batch_size: int,
    device: torch.device,
    cast: Callable[[], AbstractContextManager[object]],
    workers: int = 0,
    look: Callable[[], None] = lambda: None,
    train: Part | None = None,
    gather: bool = False,
) -> Evaluation:
    """Evaluate in evaluation mode, which the network is left in; every example counts the same.

    Metrics see the activated outputs, in float32. `look` is called after every batch, and may raise to stop. A ranking
    metric is computed where the training part is given. `gather` reads as the rewrite `gather_epoch` does.
    """
    if len(part) == 0:
        return Evaluation()
    network.eval()
    losses: list[Tensor] = []
    counts: list[int] = []
    updated = {name: metric for name, metric in metrics.items() if not isinstance(metric, RankingMetric)}
    for metric in updated.values():
        metric.reset()
    for batch in read_batches(part, torch.arange(len(part)), batch_size, None, device, workers, gather):
        with cast():
            outputs = network(*batch.inputs)
            losses.append(loss(outputs, batch.targets))
            counts.append(len(batch.targets))
        activated: Tensor = loss.activate(outputs.float())  # type: ignore[operator]
        for metric in updated.values():
            metric.update(activated, batch.targets)
        look()
    found = {name: _plain(metric.compute()) for name, metric in updated.items()}
    if train is not None:
        predict = _predictor(network, loss, device, cast, look)
        for name, metric in metrics.items():
            if isinstance(metric, RankingMetric):
                found[name] = metric.evaluate_ranking(predict, train, part)
    weights = torch.tensor(counts, dtype=torch.float64)
    each = torch.stack(losses).cpu().double()
    mean, bad = (each * weights).sum() / weights.sum(), int((~torch.isfinite(each)).sum())
    return Evaluation(mean.item(), {name: found[name] for name in metrics if name in found}, len(losses), bad)


def _predictor(
    network: nn.Module,
    loss: nn.Module,
    device: torch.device,
    cast: Callable[[], AbstractContextManager[object]],
    look: Callable[[], None],
) -> Callable[[tuple[Tensor, ...]], Tensor]:
    def predict(inputs: tuple[Tensor, ...]) -> Tensor:
        look()
        with cast():
            outputs = network(*(tensor.to(device) for tensor in inputs))
        answer: Tensor = loss.activate(outputs.float())  # type: ignore[operator]
        return answer

    return predict


def evaluate_run(
    inference: Inference, run: RunFolder, part: str, device: Device | None = None, store: DataStore | None = None
) -> Evaluation:
    """Compute the loss and metrics of a run's network over one of its data sets: `train`, `valid` or `test`.

    Raises UsageError where the run has no model, the data no such examples, or other classes or ids than the run's.
    """
    if not run.model.exists():
        raise UsageError(f"{run.path} has no model to evaluate: the run is {run.status}")
    data = (store or DataStore()).get(inference.data, inference.seed)
    facts = run.read_facts()
    if json.loads(json.dumps(dict(data.facts.vocabulary))) != facts.vocabulary:
        raise UsageError(f"the data has other classes or ids than {run.path} was trained on")
    with machine(inference.runtime, device) as chosen:
        network = restore_network(inference.model, facts, run.model).to(chosen)
        loss = inference.loss.build(facts).to(chosen)
        metrics = build_metrics(inference.metrics, facts, chosen)
        cast = autocast(chosen, inference.runtime.precision)
        held, train = _part(data, part), data.part("train")
        return evaluate(network, loss, metrics, held, inference.batch_size, chosen, cast, train=train)


def _part(data: Data, name: str) -> Part:
    try:
        part = data.part(name)
    except KeyError as error:
        raise UsageError(f"the data has no part `{name}`") from error
    if len(part) == 0:
        raise UsageError(f"the data has no examples in its part `{name}`")
    return part


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, Tensor) else float(value)
