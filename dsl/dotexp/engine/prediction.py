"""Prediction with a run's network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dotexp.engine.build.devices import autocast, machine
from dotexp.engine.build.network import Network, restore_network
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import UsageError
from dotexp.planning.inference import Inference
from dotexp.runs.folder import RunFolder
from dotexp.sdk.data import Data, Encoded, Trained
from dotexp.sdk.seeds import Draw

PLAIN_SHARE = 0.25
"""Weight of the plain pass in test-time augmentation: fastai's `beta`."""


@dataclass(frozen=True)
class Restored:
    """A run's network and loss in evaluation mode, on a device."""

    inference: Inference
    network: Network
    loss: nn.Module
    device: torch.device


def restore(inference: Inference, run: RunFolder, device: Device | None = None) -> Restored:
    """Restore a run's network. Raises UsageError where the run has no model, ComponentError E405 where it differs."""
    if not run.model.exists():
        raise UsageError(f"{run.path} has no model to predict with: the run is {run.status}")
    with machine(inference.runtime, device) as chosen:
        facts = run.read_facts()
        network = restore_network(inference.model, facts, run.model).to(chosen).eval()
        loss: nn.Module = inference.loss.build(facts).to(chosen)
    return Restored(inference, network, loss, chosen)


def outputs_for(restored: Restored, encoded: Encoded, tta: int = 0) -> Iterator[Tensor]:
    """Return an iterator over the activated outputs of each batch, (B,) or (B, outputs), float32 on the CPU.

    Probabilities that sum to 1 for a classification, values in the data's units for a regression. The last stage's
    loss activates them. With `tta` they are 0.25 of the plain outputs and 0.75 of the mean of so many passes over
    augmented inputs, drawn from the experiment's seed. Raises UsageError where nothing augments the inputs.
    """
    return _outputs(restored, _passes(restored.inference, encoded, tta))


def trained(restored: Restored, vocabulary: Mapping[str, Any], open_data: Callable[[], Data]) -> Trained:
    """Return a restored model as a data component's questions want it."""

    def scores(batches: Iterator[tuple[Tensor, ...]]) -> Iterator[Tensor]:
        return _outputs(restored, ((inputs,) for inputs in batches))

    return Trained(next(restored.network.children()), scores, vocabulary, open_data)


def _passes(inference: Inference, encoded: Encoded, tta: int) -> Iterator[tuple[tuple[Tensor, ...], ...]]:
    """Yield each batch's inputs, plain first and then augmented `tta` times."""
    if tta and encoded.augmented is None:
        data = inference.data.name
        raise UsageError(
            f"`{data}` augmented nothing in this run, so there is nothing to average: images are augmented by "
            "data(augment = standard)"
        )
    augmented = [encoded.augmented(Draw(inference.seed, "tta", i)) for i in range(tta)] if encoded.augmented else []
    return zip(encoded.batches, *augmented, strict=True)


def _outputs(restored: Restored, batches: Iterator[tuple[tuple[Tensor, ...], ...]]) -> Iterator[Tensor]:
    runtime, device = restored.inference.runtime, restored.device
    cast = autocast(device, runtime.precision)
    here = Device(device.type)

    def activated(inputs: tuple[Tensor, ...]) -> Tensor:
        with cast():
            outputs = restored.network(*(tensor.to(device) for tensor in inputs))
        answer: Tensor = restored.loss.activate(outputs.float())  # type: ignore[operator]
        return answer.float()

    for passes in batches:
        # Nothing global may stay changed while whoever asked has the word, so both are entered for each batch.
        with machine(runtime, here), torch.no_grad():
            plain, *augmented = map(activated, passes)
            answers = torch.stack(augmented).mean(0).lerp(plain, PLAIN_SHARE) if augmented else plain
        yield answers.cpu()
