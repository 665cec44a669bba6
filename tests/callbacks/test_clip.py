"""Clipping: the step of the clipped gradient, worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from dotexp import DataContext, Use
from dotexp.engine.build.network import build_network
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.experiment.experiment import FreezeLayers, LayerSpan
from dotexp.runs.folder import create_run
from dotexp.sdk.callback import Training
from dotexp.sdk.seeds import derive
from toys import WHOLE, ImagesParams, SgdParams, build_images, callback, plan, stage, use

DATA = ImagesParams(batch_size=32, examples=32)
SGD = use("optimizer", "build_sgd", SgdParams())
LR = 0.5


def first_step(tmp_path: Path, *callbacks: Use) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What one step of plain SGD moved, over the rate, and the gradient in float64: by name."""
    train = stage(data=DATA, optimizer=SGD, momentum=None, groups=(WHOLE,), lr=LR, epochs=1, callbacks=callbacks)
    planned = plan(train, data=DATA, body=None)
    network = build_network(planned.model, planned.facts, 42)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    order = torch.randperm(32, generator=torch.Generator().manual_seed(derive(42, "order", "train", 0)))
    (batch,) = build_images(DATA, DataContext(42)).part("train").batches(order, 32, None, torch.device("cpu"))
    network.double()
    torch.nn.functional.cross_entropy(network(batch.inputs[0].double()), batch.targets).backward()  # type: ignore[no-untyped-call]
    gradient = {
        name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
    }
    folder = create_run("toy", tmp_path)
    execute(planned, folder)
    moved = load_weights(folder.model)
    return {name: (start[name].double() - moved[name].double()) / LR for name in start}, gradient


def norm_of(tensors: dict[str, torch.Tensor]) -> float:
    """Norm of all of them as one vector."""
    return math.sqrt(sum(tensor.square().sum().item() for tensor in tensors.values()))


@pytest.mark.run
def test_without_it_a_step_is_the_gradient(tmp_path: Path) -> None:
    moved, gradient = first_step(tmp_path)
    assert moved.keys() == gradient.keys() == {"model.linear.weight", "model.linear.bias"}
    for name, tensor in gradient.items():
        torch.testing.assert_close(moved[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.run
def test_a_long_gradient_is_shortened_to_the_norm_over_all_parameters(tmp_path: Path) -> None:
    _, gradient = first_step(tmp_path)
    limit = norm_of(gradient) / 3
    moved, _ = first_step(tmp_path, callback("clip", norm=limit))
    assert norm_of(moved) == pytest.approx(limit, rel=1e-4)
    for name, tensor in gradient.items():
        torch.testing.assert_close(moved[name], tensor / 3, rtol=1e-3, atol=1e-6)


@pytest.mark.run
def test_a_short_one_is_left_alone(tmp_path: Path) -> None:
    _, gradient = first_step(tmp_path)
    moved, _ = first_step(tmp_path, callback("clip", norm=norm_of(gradient) * 2))
    for name, tensor in gradient.items():
        torch.testing.assert_close(moved[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.run
def test_by_value_each_number_is_bounded(tmp_path: Path) -> None:
    _, gradient = first_step(tmp_path)
    limit = max(tensor.abs().max().item() for tensor in gradient.values()) / 4
    moved, _ = first_step(tmp_path, callback("clip", value=limit))
    for name, tensor in gradient.items():
        assert (tensor.abs() > limit).any()
        torch.testing.assert_close(moved[name], tensor.clamp(-limit, limit), rtol=1e-4, atol=1e-6)


def test_the_norm_is_that_of_what_trains_alone() -> None:
    """A frozen body has no gradient, and none is asked for."""
    body = FreezeLayers(items=(LayerSpan(first="body"),))
    planned = plan(stage(freeze=body))
    network = build_network(planned.model, planned.facts, 42)
    head = tuple(network.layers["head"].parameters())
    for parameter in head:
        parameter.grad = torch.ones_like(parameter)
    callbacks = StageCallbacks([callback("clip", norm=0.1)])
    callbacks.stage_started(Training(planned.stages[0], planned.facts, network, torch.optim.SGD(head), head, {}))
    (before_step,) = callbacks.before_step
    before_step(0)
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in head if p.grad is not None))
    assert norm == pytest.approx(0.1, rel=1e-4)
