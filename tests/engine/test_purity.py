"""A run is a pure function of the plan, the data and the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp.engine.build.network import build_network
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.experiment.experiment import FreezeLayers, LayerSpan
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import RunResult
from dotexp.sdk.data import TensorPart
from dotexp.sdk.seeds import Draw, derive
from toys import ImagesParams, SgdParams, plan, same, stage, use


def run(planned: Plan, root: Path, **more: Any) -> tuple[RunFolder, RunResult]:
    """Execute a plan in a new folder."""
    folder = create_run(planned.name, root)
    return folder, execute(planned, folder, **more)


@pytest.mark.run
def test_the_same_plan_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    runs = [run(plan(stage(), seed=seed), tmp_path)[0] for seed in (42, 42, 43)]
    first, again, other = (load_weights(folder.model) for folder in runs)
    assert same(first, again) == set(first)
    assert not same(first, other) & {"head.3.weight", "body.0.0.weight"}
    numbers = [[(row.train_loss, row.valid_loss, row.metrics) for row in folder.read_epochs()] for folder in runs]
    assert numbers[0] == numbers[1] != numbers[2]


@pytest.mark.run
def test_what_runs_before_a_step_does_not_change_it(tmp_path: Path) -> None:
    """Dropout is f(seed, stage, step): validation, whose metric draws random numbers, changes nothing."""
    with_valid = ImagesParams(batch_size=8, valid=8)
    without = ImagesParams(batch_size=8, valid=0)
    first, _ = run(plan(stage(data=with_valid), data=with_valid), tmp_path)
    second, result = run(plan(stage(data=without), data=without, metrics=()), tmp_path)
    weights = load_weights(first.model)
    assert same(weights, load_weights(second.model)) == set(weights)
    assert result.stages[0].valid_loss is None


@pytest.mark.run
def test_the_callers_random_numbers_and_settings_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    run(plan(stage(epochs=1)), tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_initial_weights_are_a_function_of_the_seed_alone() -> None:
    model, facts = plan().model, plan().facts
    torch.manual_seed(1)
    first = build_network(model, facts, 42).state_dict()
    torch.manual_seed(2)
    again = build_network(model, facts, 42).state_dict()
    assert same(first, again) == set(first)
    other = build_network(model, facts, 43).state_dict()
    assert "head.3.weight" not in same(first, other)


@pytest.mark.run
def test_the_random_state_outside_does_not_matter(tmp_path: Path) -> None:
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        weights.append(load_weights(run(plan(stage()), tmp_path)[0].model))
    assert same(*weights) == set(weights[0])


@pytest.mark.run
def test_a_second_stage_does_not_depend_on_what_was_drawn_in_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first stage that moves nothing, one epoch long or two: dropout and order of the second are the same."""
    monkeypatch.setattr("dotexp.engine.stage_sequence.fault", lambda *arguments: None)  # that nothing moves is a fault
    still = use("optimizer", "build_sgd", SgdParams())
    body = FreezeLayers(items=(LayerSpan(first="body"),))
    weights = []
    for epochs in (1, 2):
        warm = stage("warm", epochs=epochs, lr=1e-30, optimizer=still, momentum=None, freeze=body)
        weights.append(load_weights(run(plan(warm, stage("train")), tmp_path)[0].model))
    assert same(*weights) == set(weights[0])


@pytest.mark.run
def test_order_is_a_function_of_seed_stage_and_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[list[int]] = []
    batches = TensorPart.batches

    def spy(part: TensorPart, order: torch.Tensor, batch_size: int, draw: Draw | None, *rest: Any) -> Any:
        if draw is not None:
            orders.append(order.tolist())
        return batches(part, order, batch_size, draw, *rest)

    monkeypatch.setattr(TensorPart, "batches", spy)
    data = ImagesParams(batch_size=8, examples=35)
    run(plan(stage("a", data=data), stage("b", data=data, epochs=1), data=data), tmp_path)
    expected = []
    for name, epoch in (("a", 0), ("a", 1), ("b", 0)):
        generator = torch.Generator().manual_seed(derive(42, "order", name, epoch))
        expected.append(torch.randperm(35, generator=generator).tolist()[:32])
    assert orders == expected
    assert len({tuple(order) for order in orders}) == 3
    assert all(len(set(order)) == 32 for order in orders)
