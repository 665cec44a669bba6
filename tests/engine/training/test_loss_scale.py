"""Half precision with a scaled loss: the same training but for rounding, skipped steps, and exact resumption."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp import RunError
from dotexp.commands.workspace import Workspace
from dotexp.engine.build.weights import load_weights
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.engine.training.loss_scale import LossScaler
from dotexp.engine.training.proof import fault
from dotexp.experiment.experiment import OnOom, Precision
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import Position, positions
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.freeze_proof import Freezing
from dotexp_callbacks.params import Watched
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from spec_runner import QUICK
from torch.nn import Parameter
from toys import WHOLE, AdamParams, ImagesParams, SgdParams, callback, plan, stage, use

from specs import IMAGES, resolved

pytestmark = pytest.mark.run

F16 = EVERY_STEP.model_copy(update={"precision": Precision.f16})
SGD = use("optimizer", "build_sgd", SgdParams())


def run(planned: Plan, root: Path) -> RunFolder:
    """Execute a plan in a new folder."""
    folder = create_run("toy", root)
    execute(planned, folder)
    return folder


def test_f16_is_a_precision() -> None:
    assert resolved(IMAGES + "\nruntime(precision = f16)").experiment.runtime.precision is Precision.f16


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("on_oom", list(OnOom))
def test_training_is_that_of_f32_but_for_rounding(tmp_path: Path, fused: bool, on_oom: OnOom) -> None:
    """With the gradient clipped, which must see it without the scale."""
    optimizer = use("optimizer", "build_adam", AdamParams(fused=fused))
    callbacks = [callback("clip", norm=0.1), callback("accumulate", batches=2)]
    planned = plan(stage(groups=(WHOLE,), optimizer=optimizer, callbacks=callbacks), body=None)
    exact = load_weights(run(with_runtime(planned, EVERY_STEP), tmp_path).model)
    rough = load_weights(run(with_runtime(planned, F16.model_copy(update={"on_oom": on_oom})), tmp_path).model)
    assert {tensor.dtype for tensor in rough.values()} == {torch.float32}
    for name, tensor in exact.items():
        assert not torch.equal(rough[name], tensor)
        torch.testing.assert_close(rough[name], tensor, rtol=0.05, atol=0.01)


def test_clipping_sees_gradients_without_their_scale(tmp_path: Path) -> None:
    """Plain SGD moves by rate * norm; clipped before it was unscaled, the gradient would be 65536 times smaller."""
    data = ImagesParams(batch_size=32)
    train = stage(
        data=data,
        groups=(WHOLE,),
        optimizer=SGD,
        momentum=None,
        epochs=1,
        lr=0.5,
        callbacks=[callback("clip", norm=1e-2)],
    )
    planned = plan(train, data=data, body=None)
    from dotexp.engine.build.network import build_network

    start = build_network(planned.model, planned.facts, 42).state_dict()
    end = load_weights(run(with_runtime(planned, F16), tmp_path).model)
    moved = math.sqrt(sum((end[name] - start[name]).square().sum().item() for name in start))
    assert moved == pytest.approx(0.5 * 1e-2, rel=1e-3)


def test_a_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage(callbacks=[callback("ema"), callback("clip")])), F16)
    whole = run(planned, tmp_path)
    saved = positions(whole.checkpoints)
    assert len(saved) >= 8
    for position in saved:
        resumed = cut(whole, tmp_path / position.name, position)
        go_on(planned, resumed)
        assert bits(resumed) == bits(whole), position


def test_a_step_that_overflows_is_skipped_and_the_scale_halved() -> None:
    weight = Parameter(torch.ones(2))
    scaling = LossScaler(torch.optim.SGD([weight], lr=0.1), torch.device("cpu"))
    for value, moved in ((math.inf, False), (3.0, True)):
        weight.grad = None
        scaling.backward((weight * torch.tensor([1.0, 1.0])).sum())
        assert weight.grad is not None
        weight.grad[0] *= value
        before = weight.detach().clone()
        scaling.unscale()
        scaling.step()
        assert torch.equal(weight.detach(), before) is not moved
    torch.testing.assert_close(weight.detach(), torch.tensor([0.7, 0.9]))
    assert scaling.state()["scale"] == 32768.0
    other = LossScaler(torch.optim.SGD([weight], lr=0.1), torch.device("cpu"))
    other.restore(scaling.state())
    assert other.state() == scaling.state()
    assert not other.hopeless


class Overflowing(torch.nn.CrossEntropyLoss):
    """A finite loss whose gradient is none."""

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The square root of 0, whose slope is infinite, beside the loss."""
        return super().forward(input, target) + (input.float() * 0).abs().sum().sqrt()

    def activate(self, output: torch.Tensor) -> torch.Tensor:
        """As they are."""
        return output


def test_gradients_that_are_never_finite_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toys.build_loss", lambda params, facts: Overflowing())
    data = ImagesParams(batch_size=1, examples=40, valid=0)
    planned = plan(stage(data=data, groups=(WHOLE,), optimizer=SGD, momentum=None, epochs=1), data=data, body=None)
    with pytest.raises(RunError, match="gradients are not finite in f16, however the loss is scaled: take bf16 or f32"):
        run(with_runtime(planned, F16.model_copy(update={"checkpoint_steps": None})), tmp_path)


class Careless(torch.optim.Adam):
    """Fused, with a step of its own that moves every weight whatever its gradient is."""

    def step(self, closure: Any = None) -> Any:
        """Add the gradient."""
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter -= parameter.grad.to_dense()


class DecayFirst(torch.optim.SGD):
    """Fused, with a decay before torch's step."""

    def step(self, closure: Any = None) -> Any:
        """Halve the weights, then step."""
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.mul_(0.5)
        return super().step(closure)


@pytest.mark.parametrize("kind", [Careless, DecayFirst])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_an_optimizer_with_a_step_of_its_own_is_not_called_for_a_skipped_one(kind: Any, value: float) -> None:
    weight = Parameter(torch.ones(3))
    scaler = LossScaler(kind([weight], lr=0.1, fused=True), torch.device("cpu"))
    for gradient in (value, 0.25):
        weight.grad = torch.tensor([0.0, gradient, 0.0])
        scaler.backward((weight * 0).sum())
        before = weight.detach().clone()
        scaler.unscale()
        scaler.step()
        assert torch.equal(weight.detach(), before) is not math.isfinite(gradient)
    assert scaler.skipped == 1


ROWS = (
    QUICK.replace("embedding_dot_bias(factors = 4)", "embedding_nn([16])")
    + "\noptimizer adam(sparse = rows)\nruntime(device = cpu, threads = 1, precision = f16)"
)


def test_rows_stay_numbers_where_a_step_is_skipped(tmp_path: Path) -> None:
    """The first gradients overflow at the scale that f16 starts with; the touched rows are not moved by them."""
    run = Workspace(tmp_path).run(resolved(ROWS.replace("runtime(threads = 1)", "")), report=False)
    weights = load_weights(run.model)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    result = run.read_result()
    assert result is not None
    (stage_result,) = result.stages
    assert 0 < stage_result.skipped_steps < stage_result.steps


class Heard(NullListener):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        """Keep it."""
        self.warnings.append(message)


class Overflows(torch.nn.CrossEntropyLoss):
    """A finite loss whose gradient overflows in the first passes."""

    passes = 0
    bad = 0

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Beside the loss, the square root of 0, whose slope is infinite."""
        Overflows.passes += 1
        loss = super().forward(input, target)
        return loss + (input.float() * 0).abs().sum().sqrt() if Overflows.passes <= Overflows.bad else loss

    def activate(self, output: torch.Tensor) -> torch.Tensor:
        """Probabilities."""
        return output.softmax(1)


def overflowing(monkeypatch: pytest.MonkeyPatch, bad: int) -> Plan:
    """A plan of four steps, of which the gradients of the first `bad` overflow; nothing is validated."""
    monkeypatch.setattr(Overflows, "passes", 0)
    monkeypatch.setattr(Overflows, "bad", bad)
    monkeypatch.setattr("toys.build_loss", lambda params, facts: Overflows())
    data = ImagesParams(batch_size=8, valid=0)
    whole = stage(data=data, groups=(WHOLE,), optimizer=SGD, momentum=None, epochs=1, lr=0.5)
    return with_runtime(plan(whole, data=data, body=None), F16)


@pytest.mark.parametrize(("bad", "said"), [(1, "1 of 4 steps was skipped"), (3, "3 of 4 steps were skipped")])
def test_skipped_steps_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int, said: str
) -> None:
    heard, folder = Heard(), create_run("toy", tmp_path)
    result = execute(overflowing(monkeypatch, bad), folder, heard)
    assert result.stages[0].skipped_steps == bad
    (warning,) = heard.warnings
    assert said in warning and "gradients overflowed in f16" in warning


def test_a_stage_whose_every_step_was_skipped_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that its rate is too low: the loss scale had no steps left to come down."""
    with pytest.raises(RunError) as caught:
        execute(overflowing(monkeypatch, 4), create_run("toy", tmp_path))
    message = str(caught.value)
    assert "all 4 steps were skipped, since gradients overflowed in f16" in message
    assert "bf16 or f32, or more steps" in message and "raise its rate" not in message


@pytest.mark.parametrize(
    ("skipped", "said"),
    [
        (0, "raise its rate, or look for what keeps gradients from it"),
        (1, "raise its rate, or look for what keeps gradients from it. 1 of 4 steps was skipped"),
        (2, "2 of 4 steps were skipped, since gradients overflowed in f16, and the others gave it no gradient, or one"),
        (3, "3 of 4 steps were skipped, since gradients overflowed in f16, and the others gave it no gradient, or one"),
    ],
)
def test_a_group_that_has_not_moved_is_told_the_likelier_cause_first(skipped: int, said: str) -> None:
    frozen = Freezing(0, None, None, (), 1, ("linear",), ("model",), ("model",))
    message = fault(frozen, stage(groups=(WHOLE,)), 4, skipped)
    assert message is not None and said in message
    assert ("take precision = bf16 or f32, or more steps" in message) is (skipped > 1)


@pytest.mark.parametrize("stopped", ["early_stopping", "accumulate"])
def test_skipped_steps_are_counted_beside_callbacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    """Of two passes to a step either may overflow; of a stage that stops early the steps that were taken count."""
    monkeypatch.setattr(Overflows, "passes", 0)
    monkeypatch.setattr(Overflows, "bad", 3)
    monkeypatch.setattr("toys.build_loss", lambda params, facts: Overflows())
    data = ImagesParams(batch_size=8, valid=0)
    early = callback("early_stopping", monitor=Watched.train_loss, patience=1, min_delta=1e6)
    given = early if stopped == "early_stopping" else callback("accumulate", batches=2)
    train = stage(data=data, groups=(WHOLE,), optimizer=SGD, momentum=None, epochs=3, lr=0.5, callbacks=[given])
    result = execute(with_runtime(plan(train, data=data, body=None), F16), create_run("toy", tmp_path))
    expected = ("3 of 8 steps", 3) if stopped == "early_stopping" else ("2 of 6 steps", 2)
    assert result.stages[0].skipped_text.startswith(expected[0]) and result.stages[0].skipped_steps == expected[1]


def test_skipped_steps_are_counted_through_interruptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, whole = overflowing(monkeypatch, 2), create_run("toy", tmp_path)
    execute(planned, whole)
    for step in (1, 2, 3):
        Overflows.passes = step
        run = cut(whole, tmp_path / f"cut-{step}", Position(0, step, 0))
        go_on(planned, run)
        assert bits(run) == bits(whole)
