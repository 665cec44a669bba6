"""Metrics of an export over the validation set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dotexp.engine.evaluation import build_metrics
from dotexp.export.predictor import Predictor
from dotexp.sdk.data import RankingMetric


def measure(predictor: Predictor, answer: Callable[[tuple[Tensor, ...]], Tensor]) -> dict[str, Any]:
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
