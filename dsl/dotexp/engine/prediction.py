"""Prediction with a run's network."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dotexp.diagnostics import UsageError
from dotexp.engine.devices import autocast, machine
from dotexp.engine.network import Network, restore_network
from dotexp.parts import Encoded
from dotexp.runs import RunFolder
from dotexp.spec import Device, Experiment


def predict(experiment: Experiment, run: RunFolder, encoded: Encoded, device: Device | None = None) -> Iterator[Tensor]:
    """Return an iterator over the activated outputs of each batch, (B,) or (B, outputs), float32 on the CPU.

    Probabilities that sum to 1 for a classification, values in the data's units for a regression. The last stage's
    loss activates them. Raises UsageError where the run has no model, ComponentError E405 where it does not fit.
    """
    if not run.model.exists():
        raise UsageError(f"{run.path} has no model to predict with: the run is {run.status}")
    with machine(experiment.runtime, device) as chosen:
        network = restore_network(experiment.model, run.read_facts(), run.model).to(chosen).eval()
        loss: nn.Module = experiment.stages[-1].loss.build().to(chosen)
    return _outputs(experiment, network, loss, encoded, chosen)


def _outputs(
    experiment: Experiment, network: Network, loss: nn.Module, encoded: Encoded, device: torch.device
) -> Iterator[Tensor]:
    cast = autocast(device, experiment.runtime.precision)
    here = Device(device.type)
    for inputs in encoded.batches:
        # Nothing global may stay changed while whoever asked has the word, so both are entered for each batch.
        with machine(experiment.runtime, here), torch.no_grad():
            with cast():
                outputs = network(*(tensor.to(device) for tensor in inputs))
            activated: Tensor = loss.activate(outputs.float())  # type: ignore[operator]
        yield activated.float().cpu()
