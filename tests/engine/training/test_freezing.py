"""Frozen means unchanged, bit for bit; everything else moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dotexp import RunError
from dotexp.engine.build.network import build_network
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.training.freezing import freeze, training_mode
from dotexp.experiment.experiment import Freeze, FreezeBefore, FreezeLayers, Kept, LayerSpan
from dotexp.runs.folder import create_run
from toys import SIZE, ImagesParams, SgdParams, plan, same, stage, use

BODY = (LayerSpan(first="body"),)
SGD = use("optimizer", "build_sgd", SgdParams(momentum=0.9))


def moved(tmp_path: Path, *freezes: Freeze) -> set[str]:
    """Names of the tensors that stages with these freeze statements changed, after one that trains everything."""
    first = stage("all", epochs=1)
    stages = [stage(f"stage{i}", freeze=frozen, optimizer=SGD, momentum=None) for i, frozen in enumerate(freezes)]
    before, after = (create_run("toy", tmp_path) for _ in range(2))
    execute(plan(first), before)
    execute(plan(first, *stages), after)
    old, new = load_weights(before.model), load_weights(after.model)
    return set(old) - same(old, new)


CONV = {"0.weight", "0.bias"}
BATCHNORM = {"1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
GROUPNORM = {"2.weight", "2.bias"}
HEAD = {"head.3.weight", "head.3.bias"}


def of(block: str, names: set[str]) -> set[str]:
    """Names with their block's prefix."""
    return {f"{block}.{name}" for name in names}


STEM = of("body.0", CONV | BATCHNORM | GROUPNORM)
DEEP = of("body.1", CONV | BATCHNORM | GROUPNORM)


@pytest.mark.run
@pytest.mark.parametrize(
    ("frozen", "expected"),
    [
        (FreezeLayers(items=BODY), HEAD),
        (FreezeBefore(layer="deep"), DEEP | HEAD),
        (FreezeLayers(items=(LayerSpan(first="head"),)), STEM | DEEP),
        (FreezeLayers(items=(LayerSpan(first="deep", last="head"),)), STEM),
        (FreezeLayers(items=BODY, kept=Kept.batchnorm), HEAD | of("body.0", BATCHNORM) | of("body.1", BATCHNORM)),
        (
            FreezeLayers(items=BODY, kept=Kept.norm),
            HEAD | of("body.0", BATCHNORM | GROUPNORM) | of("body.1", BATCHNORM | GROUPNORM),
        ),
    ],
)
def test_only_what_is_not_frozen_moves(tmp_path: Path, frozen: Freeze, expected: set[str]) -> None:
    # A convolution's bias in front of batch norm has a gradient of nothing but rounding: it may stand still.
    optional = {"body.0.0.bias", "body.1.0.bias"} & expected
    assert moved(tmp_path, frozen) | optional == expected


@pytest.mark.run
def test_a_stage_does_not_inherit_the_freeze_of_the_one_before(tmp_path: Path) -> None:
    found = moved(tmp_path, FreezeLayers(items=BODY), FreezeLayers(items=(LayerSpan(first="head"),)))
    assert found | {"body.0.0.bias", "body.1.0.bias"} == STEM | DEEP | HEAD


def test_frozen_layers_are_in_evaluation_mode_and_kept_ones_train() -> None:
    network = build_network(plan().model, plan().facts, 0)
    training_mode(network, {"stem"}, None)
    assert not any(module.training for module in network.layers["stem"].modules())
    assert all(module.training for name in ("deep", "head") for module in network.layers[name].modules())
    for kept, types in ((Kept.batchnorm, {"BatchNorm2d"}), (Kept.norm, {"BatchNorm2d", "GroupNorm"})):
        training_mode(network, {"stem"}, kept)
        assert {type(m).__name__ for m in network.layers["stem"].modules() if m.training} == types


@pytest.mark.run
def test_modes_come_back_after_validation(tmp_path: Path) -> None:
    """Two epochs: dropout of the head works in the second as well, so training it twice differs from none."""
    data = ImagesParams(batch_size=8)
    folder = create_run("toy", tmp_path)
    execute(plan(stage(epochs=3, data=data), data=data), folder)
    counted = load_weights(folder.model)["body.0.1.num_batches_tracked"]
    assert counted.item() == 3 * 4


def test_a_frozen_prefix_needs_no_graph() -> None:
    network = build_network(plan().model, plan().facts, 0)
    freeze(network, {"stem"}, None)
    training_mode(network, {"stem"}, None)
    images = torch.rand(2, 3, SIZE, SIZE)
    boundary = network.layers["stem"](images)
    assert not boundary.requires_grad
    assert network.layers["deep"](boundary).requires_grad
    freeze(network, {"stem"}, Kept.batchnorm)
    assert network.layers["stem"](images).requires_grad


def test_freezing_drops_old_gradients() -> None:
    network = build_network(plan().model, plan().facts, 0)
    network(torch.rand(4, 3, SIZE, SIZE)).sum().backward()
    freeze(network, {"stem", "deep"}, None)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [p.requires_grad for p in network.layers["head"].parameters()] == [True, True]


def test_a_stage_with_everything_frozen_is_refused(tmp_path: Path) -> None:
    frozen = FreezeLayers(items=(LayerSpan(first="stem", last="head"),))
    with pytest.raises(RunError, match="stage `train` trains nothing"):
        execute(plan(stage(freeze=frozen)), create_run("toy", tmp_path))
