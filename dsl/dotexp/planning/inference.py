"""How a trained network is asked: with which data, loss and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from dotexp.components.bases import DataParams
from dotexp.components.component import Use
from dotexp.experiment.experiment import Experiment, Model, Runtime


@dataclass(frozen=True)
class Inference:
    """The model, and what it is evaluated, reported on and predicted with: the last stage's data and loss."""

    model: Model
    data: Use
    loss: Use
    metrics: tuple[Use, ...]
    reports: tuple[Use, ...]
    runtime: Runtime
    seed: int

    @property
    def batch_size(self) -> int:
        """Examples in a batch."""
        assert isinstance(self.data.params, DataParams)
        return self.data.params.batch_size


def inference_of(experiment: Experiment) -> Inference:
    """How the network that an experiment trains is asked."""
    last = experiment.stages[-1]
    return Inference(
        experiment.model, last.data, last.loss, experiment.metrics, experiment.reports, experiment.runtime,
        experiment.seed,
    )  # fmt: skip
