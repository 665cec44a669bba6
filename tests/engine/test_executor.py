"""The executor: a plan in, a finished run folder out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp import ComponentError, DataContext, RunError, UsageError
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, choose_device, seeder
from dotexp.engine.build.network import BodyAndHead, build_network, restore_network
from dotexp.engine.build.probe import Probe
from dotexp.engine.build.weights import load_weights, save_weights
from dotexp.engine.evaluation import build_metrics, evaluate, evaluate_run
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.engine.prediction import outputs_for, restore
from dotexp.engine.training.groups import parameter_groups
from dotexp.engine.training.guard import MovingAverage, OnDevice, skips_on_device
from dotexp.engine.training.loop import Machinery, StageLoop
from dotexp.experiment.experiment import Device, FreezeLayers, LayerSpan, Precision, Runtime
from dotexp.language.diagnostics import Interrupted
from dotexp.planning.plan import LayerCount, Plan
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import EpochRow, RunResult, Status
from dotexp.sdk.data import Encoded
from dotexp.sdk.seeds import derive
from toys import (
    LOSS,
    SIZE,
    WHOLE,
    AdamParams,
    BodyParams,
    CrossEntropy,
    ImagesParams,
    SgdParams,
    WeightsUse,
    build_images,
    plan,
    same,
    stage,
    use,
)

POISON = 5


def run(planned: Plan, root: Path, **more: Any) -> tuple[RunFolder, RunResult]:
    """Execute a plan in a new folder."""
    folder = create_run(planned.name, root)
    return folder, execute(planned, folder, **more)


@pytest.mark.run
def test_a_finished_run_leaves_its_files(tmp_path: Path) -> None:
    planned = plan(stage("first"), stage("second", epochs=1))
    folder, result = run(planned, tmp_path, plugins={"dotexp_toys": "1.2"})
    assert result.status is Status.finished
    assert result == folder.read_result()
    assert [(r.name, r.epochs, r.steps) for r in result.stages] == [("first", 2, 8), ("second", 1, 4)]
    rows = folder.read_epochs()
    assert [(row.stage, row.epoch, row.step) for row in rows] == [("first", 1, 4), ("first", 2, 8), ("second", 1, 4)]
    assert all(row.seconds > 0 and row.train_loss is not None and row.valid_loss is not None for row in rows)
    assert set(rows[0].metrics) == {"metric"}
    facts = folder.read_environment()
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["versions"]["dotexp_toys"] == "1.2"
    assert (facts["device"], facts["threads"], facts["seed"], facts["data_fingerprint"]) == ("cpu", 1, 42, "toy")
    assert folder.read_facts() == planned.facts
    assert set(load_weights(folder.model)) == set(build_network(planned.model, planned.facts, 0).state_dict())


@pytest.mark.run
def test_a_run_equals_a_plain_loop(tmp_path: Path) -> None:
    """The whole model, one group, SGD with momentum: written out again in plain PyTorch, to the same bits."""
    data = ImagesParams(batch_size=8, examples=35)
    sgd = use("optimizer", "build_sgd", SgdParams(momentum=0.5))
    train = stage(data=data, optimizer=sgd, momentum="momentum", groups=(WHOLE,), lr=0.1)
    planned = plan(train, data=data, body=None)
    network = build_network(planned.model, planned.facts, 42)
    folder, result = run(planned, tmp_path)

    part = build_images(data, DataContext(42)).part("train")
    (everything,) = part.batches(torch.arange(35), 35, None, torch.device("cpu"))
    weight, bias = (value.detach().clone().requires_grad_() for value in network.parameters())
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    losses: list[float] = []
    for epoch in range(2):
        shuffle = torch.Generator().manual_seed(derive(42, "order", "train", epoch))
        order = torch.randperm(35, generator=shuffle)
        for i in range(4):
            rows = order[8 * i : 8 * i + 8]
            logits = everything.inputs[0][rows].flatten(1) @ weight.T + bias
            loss = torch.nn.functional.cross_entropy(logits, everything.targets[rows])
            gradients = torch.autograd.grad(loss, [weight, bias])
            step = 4 * epoch + i
            with torch.no_grad():
                for value, v, gradient in zip((weight, bias), velocity, gradients, strict=True):
                    v.mul_(0.95 - 0.1 * step / 8).add_(gradient)
                    value.sub_(0.1 * (step + 1) / 8 * v)
            losses.append(loss.item())
    trained = load_weights(folder.model)
    torch.testing.assert_close(trained["model.linear.weight"], weight.detach(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(trained["model.linear.bias"], bias.detach(), rtol=1e-6, atol=1e-7)
    average = 0.0
    for loss_value in losses:
        average = 0.98 * average + 0.02 * loss_value
    assert result.stages[0].train_loss == pytest.approx(average / (1 - 0.98**8), rel=1e-6)


@pytest.mark.run
def test_rates_and_momentum_used_are_the_plans(tmp_path: Path) -> None:
    planned = plan(
        stage("head", freeze=FreezeLayers(items=(LayerSpan(first="body"),))),
        stage("all"),
        stage("still", momentum=None, optimizer=use("optimizer", "build_sgd", SgdParams())),
    )
    folder, _ = run(planned, tmp_path)
    used = json.loads(folder.schedule.read_text())["stages"]
    assert [s["name"] for s in used] == ["head", "all", "still"]
    for written, expected in zip(used, planned.stages, strict=True):
        assert written["lr"] == [rates and list(rates) for rates in expected.rates]
        assert written["momentum"] == (expected.momentum and list(expected.momentum))
    assert used[0]["lr"][0] is None


def test_a_group_that_trains_needs_a_rate(tmp_path: Path) -> None:
    bad = replace(stage(), rates=(None, stage().rates[1]))
    with pytest.raises(RunError, match="trains group `body` without a learning rate"):
        run(plan(bad), tmp_path)


@pytest.mark.run
@pytest.mark.parametrize("fused", [False, True])
def test_a_loss_that_is_not_a_number_stops_before_the_step(tmp_path: Path, fused: bool) -> None:
    data = ImagesParams(batch_size=8, poison=POISON)
    optimizer = use("optimizer", "build_adam", AdamParams(fused=fused))
    planned = plan(stage(data=data, groups=(WHOLE,), optimizer=optimizer), data=data, body=None)
    folder = create_run("toy", tmp_path)
    with pytest.raises(RunError) as caught:
        execute(planned, folder)
    message = str(caught.value)
    poisoned = _poisoned_step()
    assert f"stage `train`, step {poisoned + 1} of 8 (epoch 1): the loss is nan; the step was not taken" in message
    assert f"{0.01 * (poisoned + 1) / 8:.3g} for `model`" in message
    assert "Try a lower one" in message
    result = folder.read_result()
    assert result is not None
    assert (result.status, result.reason) == (Status.failed, message)
    assert folder.environment.exists()
    assert not folder.model.exists()


def _poisoned_step() -> int:
    order = torch.randperm(32, generator=torch.Generator().manual_seed(derive(42, "order", "train", 0)))
    return order.tolist().index(POISON) // 8


def _loop(data: ImagesParams, fused: bool) -> StageLoop:
    cpu = torch.device("cpu")
    optimizer = use("optimizer", "build_adam", AdamParams(fused=fused))
    train = stage(data=data, groups=(WHOLE,), optimizer=optimizer)
    planned = plan(train, data=data, body=None)
    network = build_network(planned.model, planned.facts, 42)
    machinery = Machinery(cpu, autocast(cpu, Precision.f32), seeder(cpu))
    return StageLoop(train, network, CrossEntropy(), build_images(data, DataContext(42)).part("train"), 42, machinery)


@pytest.mark.run
@pytest.mark.parametrize("late", [False, True])
def test_weights_are_those_before_the_step_that_failed(late: bool) -> None:
    """Also where the fault is noticed only at the end of the epoch, as on CUDA: the fused kernel skips."""
    poisoned = _poisoned_step()
    assert 0 < poisoned < 3, "a step in the middle, so that there are good ones on both sides"
    loop = _loop(ImagesParams(batch_size=8, poison=POISON), fused=True)
    assert skips_on_device(loop.optimizer)
    if late:
        loop._guard = OnDevice(loop._not_finite, loop.optimizer, torch.device("cpu"))
    with pytest.raises(RunError, match=rf"step {poisoned + 1} of 8 .*the loss is nan"):
        loop.epoch(0, lambda step: None)
    short = _loop(ImagesParams(batch_size=8), fused=True)
    short._part = _Truncated(short._part, poisoned * 8)
    short.epoch(0, lambda step: None)
    expected = short._network.state_dict()
    assert same(loop._network.state_dict(), expected) == set(expected)


class _Truncated:
    """The first examples of every epoch's order."""

    def __init__(self, part: Any, examples: int) -> None:
        self._part, self._examples = part, examples

    def __len__(self) -> int:
        return len(self._part)

    def batches(self, order: torch.Tensor, *rest: Any) -> Any:
        """Batches of the first examples of the order."""
        return self._part.batches(order[: self._examples], *rest)


@pytest.mark.run
def test_losses_noted_on_the_device_average_as_those_seen_at_once() -> None:
    at_once, noted = _loop(ImagesParams(batch_size=8), True), _loop(ImagesParams(batch_size=8), True)
    noted._guard = OnDevice(noted._not_finite, noted.optimizer, torch.device("cpu"), every=3)
    for loop in (at_once, noted):
        loop.epoch(0, lambda step: None)
    assert at_once.train_loss == noted.train_loss is not None


@pytest.mark.run
def test_weights_that_overflow_are_noticed_at_the_end_of_the_epoch(tmp_path: Path) -> None:
    data = ImagesParams(batch_size=32)
    sgd = use("optimizer", "build_sgd", SgdParams())
    planned = plan(
        stage(data=data, optimizer=sgd, momentum=None, lr=math.inf, epochs=1, groups=(WHOLE,)), data=data, body=None
    )
    with pytest.raises(RunError, match=r"after step 1 of 1 .*weights are no longer finite"):
        run(planned, tmp_path)


def test_moving_average_is_debiased() -> None:
    average = MovingAverage()
    assert average.value is None
    average.add(3.0)
    assert average.value == pytest.approx(3.0, abs=1e-15)
    average.add(5.0)
    assert average.value == pytest.approx((0.98 * 3 + 5) / 1.98, rel=1e-15)


def test_decay_spares_norms_and_biases_unless_told() -> None:
    network = build_network(plan().model, plan().facts, 0)
    by_id = {id(parameter): name for name, parameter in network.named_parameters()}

    def decays(params: AdamParams) -> dict[str, tuple[str, float]]:
        groups = parameter_groups(network, stage(optimizer=use("optimizer", "build_adam", params)))
        return {by_id[id(p)]: (g.name, g.weight_decay) for g in groups for p in g.parameters}

    found = decays(AdamParams(wd=0.1))
    assert {name for name, (_, wd) in found.items() if wd} == {"body.0.0.weight", "body.1.0.weight", "head.3.weight"}
    assert set(found) == set(by_id.values())
    assert found["head.3.bias"] == ("head.undecayed", 0.0)
    assert found["body.1.0.weight"] == ("body", 0.1)
    assert {wd for _, wd in decays(AdamParams(wd=0.1, wd_norm_bias=True)).values()} == {0.1}
    without = parameter_groups(network, stage(optimizer=use("optimizer", "build_sgd", SgdParams())))
    assert {group.weight_decay for group in without} == {0.0}


def test_embedding_tables_are_decayed() -> None:
    class Collab(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factors = torch.nn.Embedding(4, 2)
            self.item_bias = torch.nn.Embedding(4, 1)

    class Holder(BodyAndHead):
        def __init__(self, model: torch.nn.Module) -> None:
            torch.nn.Module.__init__(self)
            self.layers = {"model": model}

    groups = parameter_groups(Holder(Collab()), stage(groups=(WHOLE,)))
    assert [(len(group.parameters), group.weight_decay) for group in groups] == [(2, 0.1)]


def test_evaluation_counts_every_example_the_same() -> None:
    data = build_images(ImagesParams(valid=10), DataContext(1))
    planned = plan()
    network = build_network(planned.model, planned.facts, 0)
    cpu = torch.device("cpu")
    loss = LOSS.build(planned.facts)
    metrics = build_metrics(planned.metrics * 2, planned.facts, cpu)
    found = evaluate(network, loss, metrics, data.part("valid"), 4, cpu, autocast(cpu, Precision.f32))
    (batch,) = data.part("valid").batches(torch.arange(10), 10, None, cpu)
    with torch.no_grad():
        logits = network.eval()(*batch.inputs).double()
    expected = -(logits.log_softmax(1)[torch.arange(10), batch.targets]).mean()
    assert found.loss == pytest.approx(expected.item(), rel=1e-6)
    wrong = (logits.argmax(1) != batch.targets).double().mean().item()
    assert found.metrics == {"metric": pytest.approx(wrong), "metric_2": pytest.approx(wrong)}
    assert not network.training


@pytest.mark.run
def test_a_run_starts_from_the_body_of_another(tmp_path: Path) -> None:
    first, _ = run(plan(stage(), body=BodyParams(normalized=True)), tmp_path)
    weights = use("weights", "", WeightsUse(run=str(first.path)))
    planned = plan(stage(), body=BodyParams(weights=weights), name="second")
    network = build_network(planned.model, planned.facts, 7)
    tensors = load_weights(first.model)
    state = network.state_dict()
    assert same(tensors, state) == {name for name in tensors if not name.startswith("head.")}
    assert state["normalize.mean"].flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert run(planned, tmp_path)[1].status is Status.finished


@pytest.mark.run
def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    first, _ = run(plan(stage(epochs=1)), tmp_path)
    weights = use("weights", "", WeightsUse(run=str(first.path)))
    wider = plan(stage(), body=BodyParams(weights=weights, width=6))
    with pytest.raises(ComponentError, match=r"of another shape: 0\.0\.bias \(4,\) for \(6,\)") as caught:
        build_network(wider.model, wider.facts, 0)
    assert (caught.value.problem.code, caught.value.problem.field) == ("E405", "weights")
    save_weights({"body.0.0.weight": torch.zeros(4, 3, 3, 3), "body.extra": torch.zeros(1)}, first.model)
    with pytest.raises(ComponentError, match=r"missing: 0\.0\.bias, .*not in the model: extra"):
        build_network(plan(stage(), body=BodyParams(weights=weights)).model, wider.facts, 0)
    first.model.write_bytes(b"\x00" * 20)
    with pytest.raises(ComponentError, match="cannot be read"):
        load_weights(first.model)
    with pytest.raises(ComponentError, match="there are no weights at"):
        load_weights(tmp_path / "none.safetensors")


def test_ties_and_channels_last_survive_the_disk(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    images = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    save_weights({"a": shared, "b": shared, "c": images, "count": torch.tensor(3)}, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded["a"] is loaded["b"]
    assert torch.equal(loaded["b"], shared)
    assert torch.equal(loaded["c"], images)
    assert loaded["c"].is_contiguous()
    assert loaded["count"].item() == 3


@pytest.mark.run
def test_prediction_gives_probabilities_of_the_saved_network(tmp_path: Path) -> None:
    planned = plan(stage(), body=BodyParams(normalized=True))
    folder, _ = run(planned, tmp_path)
    images = torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    encoded = Encoded([{"n": i} for i in range(5)], iter([(images[:3],), (images[3:],)]))
    batches = list(outputs_for(restore(planned.inference, folder), encoded))
    assert [len(batch) for batch in batches] == [3, 2]
    found = torch.cat(batches)
    assert torch.is_grad_enabled()
    network = restore_network(planned.model, planned.facts, folder.model).eval()
    with torch.no_grad():
        logits = network(images)
    expected = logits.exp() / logits.exp().sum(1, keepdim=True)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(1), torch.ones(5))
    folder.model.unlink()
    with pytest.raises(UsageError, match="no model to predict with"):
        restore(planned.inference, folder)


def test_probe_reads_facts_and_counts_layers_without_weights(tmp_path: Path) -> None:
    weights = use("weights", "", WeightsUse(run=str(tmp_path / "gone")))
    planned = plan(stage(), body=BodyParams(weights=weights))
    probe = Probe(tmp_path)
    assert probe.data_facts(planned.data, 42) == planned.facts
    assert probe.layer_counts(planned.model, planned.facts) == (
        LayerCount("stem", 3 * 4 * 9 + 4 + 8 + 8, 8, 16),
        LayerCount("deep", 4 * 4 * 9 + 4 + 8 + 8, 8, 16),
        LayerCount("head", 4 * 3 + 3),
    )
    whole = plan(stage(groups=(WHOLE,)), body=None)
    assert probe.layer_counts(whole.model, whole.facts) == (LayerCount("model", 108 * 3 + 3),)


@pytest.mark.run
def test_probe_finds_the_run_that_weights_come_from(tmp_path: Path) -> None:
    folder, _ = run(plan(stage(epochs=1)), tmp_path)
    probe = Probe(tmp_path)
    assert probe.run_folder("toy") == probe.run_folder("toy-1") == folder.path.resolve()
    folder.model.unlink()
    with pytest.raises(UsageError, match=r"no model\.safetensors to start from"):
        probe.run_folder("toy-1")


@pytest.mark.run
def test_a_run_is_evaluated_again_to_the_same_numbers(tmp_path: Path) -> None:
    planned = plan(stage(), body=BodyParams(normalized=True))
    folder, result = run(planned, tmp_path)
    found = evaluate_run(planned.inference, folder, "valid")
    assert (found.loss, found.metrics) == (result.stages[0].valid_loss, result.stages[0].metrics)
    assert evaluate_run(planned.inference, folder, "train").loss != found.loss
    with pytest.raises(UsageError, match="the data has no part `test`"):
        evaluate_run(planned.inference, folder, "test")
    empty = ImagesParams(batch_size=8, valid=0)
    with pytest.raises(UsageError, match="no examples in its part `valid`"):
        evaluate_run(plan(stage(data=empty), data=empty).inference, folder, "valid")
    folder.write_facts(replace(planned.facts, vocabulary={"classes": ["c", "b", "a"]}))
    with pytest.raises(UsageError, match="other classes or ids"):
        evaluate_run(planned.inference, folder, "valid")


def test_data_is_opened_once() -> None:
    store = DataStore()
    first = store.get(use("data", "build_images", ImagesParams(valid=4)), 1)
    assert store.get(use("data", "build_images", ImagesParams(valid=4)), 1) is first
    assert store.get(use("data", "build_images", ImagesParams(valid=5)), 1) is not first
    assert store.get(use("data", "build_images", ImagesParams(valid=4)), 2) is not first


class Recorder(NullListener):
    """Writes down what it hears; interrupts after an epoch if told to."""

    def __init__(self, interrupt: bool = False) -> None:
        self.heard: list[str] = []
        self._interrupt = interrupt

    def run_started(self, plan: Plan, run: RunFolder) -> None:
        """Write it down."""
        self.heard.append(f"run {plan.name}")

    def stage_started(self, name: str, steps: int) -> None:
        """Write it down."""
        self.heard.append(f"stage {name} {steps}")

    def progress(self, step: int) -> None:
        """Write it down."""
        self.heard.append(f"step {step}")

    def epoch_ended(self, row: EpochRow) -> None:
        """Write it down, or do as an impatient user does."""
        self.heard.append(f"epoch {row.epoch}")
        if self._interrupt:
            raise KeyboardInterrupt

    def run_ended(self, result: RunResult) -> None:
        """Write it down."""
        self.heard.append(f"end {result.status}")


@pytest.mark.run
def test_a_listener_hears_of_the_run(tmp_path: Path) -> None:
    listener = Recorder()
    run(plan(stage()), tmp_path, listener=listener)
    heard = ["run toy", "stage train 8", "step 4", "epoch 1", "step 8", "epoch 2", "end finished"]
    assert [line for line in listener.heard if line in heard] == heard


@pytest.mark.run
def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    folder, listener = create_run("toy", tmp_path), Recorder(interrupt=True)
    with pytest.raises(Interrupted, match="in stage `train`, epoch 1"):
        execute(plan(stage()), folder, listener)
    result = folder.read_result()
    assert result is not None
    assert result.status is Status.interrupted
    assert listener.heard[-1] == "end interrupted"
    assert len(folder.read_epochs()) == 1
    assert json.loads(folder.schedule.read_text())["stages"][0]["lr"][0] == list(stage().rates[0] or ())[:4]


def test_any_other_fault_becomes_a_failed_run(tmp_path: Path) -> None:
    broken = use("loss", "build_nothing", AdamParams())
    folder = create_run("toy", tmp_path)
    with pytest.raises(
        RunError, match=r"builder toys:build_nothing: AttributeError.*\n  at the start of stage `train`"
    ):
        execute(plan(stage(loss=broken)), folder)
    assert folder.status is Status.failed


class Broken(NullListener):
    """Fails when the run ends."""

    def run_ended(self, result: RunResult) -> None:
        """Fail."""
        raise RunError("the tracker is gone")


@pytest.mark.run
def test_a_listener_that_fails_at_the_end_does_not_hide_why_the_run_did(tmp_path: Path) -> None:
    data = ImagesParams(batch_size=8, poison=POISON)
    folder = create_run("toy", tmp_path)
    with pytest.raises(RunError, match="the loss is nan"):
        execute(plan(stage(data=data), data=data), folder, Broken())
    result = folder.read_result()
    assert result is not None
    assert "the loss is nan" in (result.reason or "")


def test_data_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    planned = plan(stage())
    with pytest.raises(RunError, match="plan it again"):
        run(replace(planned, facts=replace(planned.facts, fingerprint="old")), tmp_path)


def test_a_device_that_is_not_there_is_a_wrong_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device(Device.auto) == torch.device("cpu")
    folder = create_run("toy", tmp_path)
    with pytest.raises(UsageError, match="device `cuda` is not available here: take `cpu` or `auto`"):
        execute(plan(stage()), folder, device=Device.cuda)
    assert folder.read_environment()["device"] is None
    assert folder.status is Status.failed


@pytest.mark.run
def test_bf16_trains_float32_weights(tmp_path: Path) -> None:
    planned = plan(stage(groups=(WHOLE,)), body=None)
    runtime = Runtime(device=Device.cpu, precision=Precision.bf16)
    lower = replace(planned, runtime=runtime)
    exact, rough = (load_weights(run(each, tmp_path)[0].model) for each in (planned, lower))
    assert {tensor.dtype for tensor in rough.values()} == {torch.float32}
    assert not same(exact, rough)
    for name, tensor in exact.items():
        torch.testing.assert_close(rough[name], tensor, rtol=0.1, atol=0.02)


def test_layers_other_than_planned_are_refused() -> None:
    model = plan().model.replace(layers=("stem", "head"))
    with pytest.raises(RunError, match="layers are stem, deep, head; planned were stem, head"):
        build_network(model, plan().facts, 0)
