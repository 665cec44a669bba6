"""What quantising costs: metrics of an export over the validation set, beside the model's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dotexp.engine.evaluation import build_metrics
from dotexp.export.formats import Cost, Quantized
from dotexp.export.predictor import Predictor
from dotexp.language.diagnostics import UsageError
from dotexp.sdk.data import RankingMetric

Answer = Callable[[tuple[Tensor, ...]], Tensor]
"""Activated outputs of a batch."""


def require_metrics(predictor: Predictor) -> None:
    """Raise UsageError where the experiment has no metric that tells what quantising costs."""
    facts = predictor.facts
    metrics = build_metrics(predictor.restored.inference.metrics, facts, torch.device("cpu"))
    if all(isinstance(metric, RankingMetric) for metric in metrics.values()):
        which = "no metric but rankings, which are" if metrics else "no metric, which is"
        raise UsageError(
            f"what quantising costs is measured on the validation set, and `{predictor.experiment.name}` has {which} "
            f"needed for it\n  to measure it: --set metrics={'rmse' if facts.classes is None else 'accuracy'}"
        )


def cost(predictor: Predictor, answer: Answer, quantized: Quantized | None) -> Cost:
    """Measure the model's and a quantised export's metrics over the validation set; nothing of another export."""
    if quantized is None:
        return {}
    before, after = (measure(predictor, each) for each in (predictor.outputs, answer))
    return {name: (before[name], after[name]) for name in before}


def measure(predictor: Predictor, answer: Answer) -> dict[str, Any]:
    """Compute the experiment's metrics over the validation set from activated outputs; rankings are left out.

    Raises UsageError or ComponentError where the data is gone or has changed.
    """
    inference, device = predictor.restored.inference, torch.device("cpu")
    part = predictor.open_data().part("valid")
    metrics = build_metrics(inference.metrics, predictor.facts, device)
    updated = {name: metric for name, metric in metrics.items() if not isinstance(metric, RankingMetric)}
    for batch in part.batches(torch.arange(len(part)), inference.batch_size, None, device):
        outputs = answer(tuple(tensor.contiguous() for tensor in batch.inputs))
        for metric in updated.values():
            metric.update(outputs, batch.targets)
    return {name: _plain(metric.compute()) for name, metric in updated.items()}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, Tensor) else float(value)
