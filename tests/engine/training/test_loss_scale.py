"""Half precision with a scaled loss: the same training but for rounding, steps left out, and exact resumption."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from dotexp import RunError
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.training.loss_scale import LossScaler
from dotexp.experiment.experiment import OnOom, Precision
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import positions
from dotexp.runs.folder import RunFolder, create_run
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from torch.nn import Parameter
from toys import WHOLE, AdamParams, ImagesParams, SgdParams, callback, plan, stage, use

from specs import IMAGES, resolved

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
    for position in positions(whole.checkpoints):
        resumed = cut(whole, tmp_path / position.name, position)
        go_on(planned, resumed)
        assert bits(resumed) == bits(whole), position


def test_a_step_that_overflows_is_left_out_and_the_scale_halved() -> None:
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


def test_gradients_that_are_never_finite_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toys.build_loss", lambda params, facts: Overflowing())
    data = ImagesParams(batch_size=1, examples=40, valid=0)
    planned = plan(stage(data=data, groups=(WHOLE,), optimizer=SGD, momentum=None, epochs=1), data=data, body=None)
    with pytest.raises(RunError, match="gradients are not finite in f16, however the loss is scaled: take bf16 or f32"):
        run(with_runtime(planned, F16.model_copy(update={"checkpoint_steps": None})), tmp_path)
