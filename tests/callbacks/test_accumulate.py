"""Accumulation: several batches to a step are one big batch; steps are the optimizer's everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dotexp as api
import pytest
import torch
from dotexp import RunError
from dotexp.engine.build.devices import autocast, seeder
from dotexp.engine.build.network import build_network
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.training.accumulation import Accumulation
from dotexp.engine.training.loop import Machinery, StageLoop
from dotexp.engine.training.micro_batches import MicroBatches
from dotexp.experiment.experiment import Precision
from dotexp.language.diagnostics import SpecError
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import RunResult
from dotexp.sdk.data import Batch, Part
from toys import WHOLE, CrossEntropy, ImagesParams, SgdParams, build_images, callback, plan, stage, use

from specs import RATINGS, faults, resolved

SGD = use("optimizer", "build_sgd", SgdParams(momentum=0.5))
CPU = torch.device("cpu")


def run(planned: Plan, root: Path) -> tuple[RunFolder, RunResult]:
    """Execute a plan in a new folder."""
    folder = create_run(planned.name, root)
    return folder, execute(planned, folder)


def small(batch: int, batches: int, poison: int | None = None) -> Plan:
    """A linear layer on 35 examples, `batches` batches to a step."""
    data = ImagesParams(batch_size=batch, examples=35, poison=poison)
    callbacks = [callback("accumulate", batches=batches)] if batches > 1 else []
    train = stage(data=data, optimizer=SGD, momentum="momentum", groups=(WHOLE,), lr=0.1, callbacks=callbacks)
    return plan(train, data=data, body=None)


@pytest.mark.run
@pytest.mark.parametrize(("batch", "batches"), [(8, 2), (4, 4), (1, 16)])
def test_several_batches_to_a_step_are_one_big_batch(tmp_path: Path, batch: int, batches: int) -> None:
    (big, one), (parts, several) = run(small(16, 1), tmp_path), run(small(batch, batches), tmp_path)
    expected, found = load_weights(big.model), load_weights(parts.model)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6)
    assert [row.step for row in parts.read_epochs()] == [row.step for row in big.read_epochs()] == [2, 4]
    for first, second in zip(big.read_epochs(), parts.read_epochs(), strict=True):
        assert first.train_loss == pytest.approx(second.train_loss, rel=1e-5)
        assert first.valid_loss == pytest.approx(second.valid_loss, rel=1e-5)
    assert big.schedule.read_text() == parts.schedule.read_text()
    assert one.stages[0].steps == several.stages[0].steps == 4


@pytest.mark.run
def test_a_bad_loss_in_any_of_a_step_s_batches_stops_before_the_step(tmp_path: Path) -> None:
    planned = small(4, 4, poison=5)
    with pytest.raises(RunError, match=r"stage `train`, step \d of 4 .*: the loss is nan; the step was not taken"):
        run(planned, tmp_path)


class Broken:
    """A part whose data fails after some batches."""

    def __init__(self, part: Part, after: int) -> None:
        self._part, self._after = part, after

    def __len__(self) -> int:
        return len(self._part)

    def batches(self, order: torch.Tensor, batch_size: int, *rest: object) -> object:
        """Batches, and then an error."""
        for place, batch in enumerate(self._part.batches(order, batch_size, None, CPU)):
            if place == self._after:
                raise OSError("the disk is gone")
            yield batch


@pytest.mark.run
@pytest.mark.parametrize(("after", "between"), [(0, True), (1, False), (2, True), (3, False)])
def test_a_state_is_whole_between_steps_alone(after: int, between: bool) -> None:
    """In the midst of a step, batch norm has seen some of its batches already."""
    planned = small(8, 2)
    train = planned.stages[0]
    network = build_network(planned.model, planned.facts, 42)
    part = Broken(build_images(ImagesParams(batch_size=8, examples=35), _context()).part("train"), after)
    machinery = Machinery(CPU, autocast(CPU, Precision.f32), seeder(CPU))
    loop = StageLoop(train, network, CrossEntropy(), part, 42, machinery)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="the disk is gone"):
        loop.epoch(0, lambda step: None)
    assert (loop.between_steps, loop.step) == (between, after // 2)


def _context() -> object:
    from dotexp import DataContext

    return DataContext(42)


def test_a_step_that_is_split_has_the_gradient_of_all_its_batches() -> None:
    """Two batches of 5 in micro-batches of 2, 2, 1: the mean over 10; what is mixed is mixed the same way each time."""
    generator = torch.Generator().manual_seed(1)
    network = torch.nn.Linear(5, 3).double()
    batches = [
        Batch(
            (torch.randn(5, 5, dtype=torch.float64, generator=generator),), torch.randint(3, (5,), generator=generator)
        )
        for _ in range(2)
    ]

    def change(batch: Batch) -> Batch:
        return replace(batch, inputs=(batch.inputs[0] + torch.randn(5, 5, dtype=torch.float64),))

    def seeded(place: int) -> None:
        torch.manual_seed(9 + place)

    changed = []
    for place, batch in enumerate(batches):
        seeded(place)
        changed.append(change(batch))
    inputs = torch.cat([batch.inputs[0] for batch in changed])
    expected = torch.nn.functional.cross_entropy(network(inputs), torch.cat([batch.targets for batch in batches]))
    gradients = torch.autograd.grad(expected, list(network.parameters()))
    cast = autocast(CPU, Precision.f32)
    heard: list[int] = []
    ways = [
        Accumulation(network, CrossEntropy(), cast, 2, change),
        MicroBatches(network, CrossEntropy(), cast, 2, heard.append, change),
        MicroBatches(network, _Hungry(), cast, 8, heard.append, change),
    ]
    for way in ways:
        network.zero_grad(set_to_none=True)
        loss = way.backward(_drawing(batches), seeded)
        torch.testing.assert_close(loss, expected.detach())
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
    assert heard == [3, 2]


def _drawing(batches: list[Batch]) -> Iterator[Batch]:
    """The batches, by someone who draws random numbers to read them."""
    for batch in batches:
        torch.rand(3)
        yield batch


class _Hungry(CrossEntropy):
    """Runs out of memory with more than two examples."""

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Fail, or give the loss."""
        if len(target) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(input, target)


# in the plan

RATED = RATINGS.replace("latent_ratings", "latent_ratings(users = 40, items = 30, density = 50%, batch_size = 32)")


def test_the_plan_counts_the_optimizer_s_steps() -> None:
    plain, three = (
        api.plan(resolved(RATED)).stages[0],
        api.plan(resolved(RATED + "\ncallbacks accumulate(3)")).stages[0],
    )
    examples = api.plan(resolved(RATED)).facts.train
    assert plain.steps_per_epoch == examples // 32
    assert three.steps_per_epoch == examples // 96
    assert (three.batch_size, three.batches_per_step) == (32, 3)
    assert [len(rates) for rates in three.rates if rates is not None] == [three.steps]
    answer = api.plan(resolved(RATED + "\ncallbacks accumulate(3)")).as_json()["stages"][0]
    assert (answer["steps_per_epoch"], answer["batch_size"], answer["batches_per_step"]) == (examples // 96, 32, 3)


def test_fewer_examples_than_a_step_takes_are_refused() -> None:
    with pytest.raises(SpecError, match=r"E403.*fewer than the 100 batches of 32 that make a step"):
        api.plan(resolved(RATED + "\ncallbacks accumulate(100)"))


def test_one_stage_may_accumulate_and_another_not() -> None:
    text = RATED + "stage more { callbacks accumulate(2), clip fit flat(epochs = 1, lr = 1e-3) }"
    assert faults(text) == []
    assert [each.batches_per_step for each in api.plan(resolved(text)).stages] == [1, 2]
