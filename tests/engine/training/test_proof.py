"""Proof of freezing: networks and optimizers that cheat are found out, at whatever step the run is gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp import Body, Component, LayerGroup, Params, RunError
from dotexp.components.component import Use
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.state.state import from_bytes
from dotexp.engine.training.proof import digest
from dotexp.experiment.experiment import FreezeLayers, Kept, LayerSpan
from dotexp.planning.plan import Plan, StagePlan
from dotexp.runs.checkpoints import Position, positions, read_newest
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.freeze_proof import Freezing
from dotexp.runs.results import Status
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from spec_runner import runner
from torch import Tensor, nn
from toys import AdamParams, BodyParams, build_body, plan, stage, use

BODY = FreezeLayers(items=(LayerSpan(first="body"),))
STEM = FreezeLayers(items=(LayerSpan(first="stem"),))
EACH = tuple(LayerGroup(name, (name,)) for name in ("stem", "deep", "head"))


class CheatParams(BodyParams):
    """A body of two blocks that does not do as it should."""


class Counting(nn.Module):
    """Counts what passes through it, up to `most`, in evaluation mode as well."""

    count: Tensor

    def __init__(self, most: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self._most = most

    def forward(self, inputs: Tensor) -> Tensor:
        """Pass on."""
        if self.count < self._most:
            self.count += 1
        return inputs


class Nudging(nn.Module):
    """Moves its own parameter in the forward pass, whatever is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Scale."""
        self.scale.data += 1e-3
        return inputs * self.scale


class Detached(nn.Module):
    """Lets no gradient through."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Pass on."""
        return inputs.detach()


def body_with(stem_end: nn.Module) -> Body:
    """The toy body with something behind its first block, in its first layer."""
    honest = build_body(BodyParams())
    stem = nn.Sequential(honest.layers["stem"], stem_end)
    deep = honest.layers["deep"]
    return Body(nn.Sequential(stem, deep), {"stem": stem, "deep": deep}, honest.features)


def build_counting(params: CheatParams) -> Body:
    """A body that counts every batch."""
    return body_with(Counting(1 << 40))


def build_once(params: CheatParams) -> Body:
    """A body that changes at the first batch and never again."""
    return body_with(Counting(1))


def build_nudging(params: CheatParams) -> Body:
    """A body that moves a parameter by itself."""
    return body_with(Nudging())


def build_detached(params: CheatParams) -> Body:
    """A body whose first layer no gradient reaches."""
    return body_with(Detached())


def linears(first: nn.Linear, second: nn.Linear) -> Body:
    """A body of two layers over the image's channels."""
    channels_last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module = nn.Sequential(channels_last, first, nn.ReLU(), second, nn.Unflatten(1, (3, 1, 1)))
    return Body(module, {"stem": first, "deep": second}, 3)


def build_tied(params: CheatParams) -> Body:
    """Two layers with one weight between them."""
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    return linears(first, second)


def build_shared(params: CheatParams) -> Body:
    """Two layers whose weights are two parameters over the same memory."""
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = nn.Parameter(first.weight.data)
    return linears(first, second)


def build_flat(params: CheatParams) -> Body:
    """Two layers whose weights lie in one piece of memory, one behind the other."""
    first, second, memory = nn.Linear(3, 3), nn.Linear(3, 3), torch.rand(18)
    first.weight, second.weight = (nn.Parameter(part.reshape(3, 3)) for part in (memory[:9], memory[9:]))
    return linears(first, second)


class Greedy(torch.optim.SGD):
    """Decays everything that lies in the memory of what it trains."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step, and decay too much."""
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                torch.empty(0).set_(parameter.data.untyped_storage()).mul_(0.99)


class GreedyParams(Params):
    """The optimizer that decays too much."""


def build_greedy(params: GreedyParams, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Build it."""
    return Greedy(groups)


GREEDY = Use(
    component=Component("optimizer", "greedy", GreedyParams, f"{__name__}:build_greedy"), params=GreedyParams()
)


def cheating(build: Callable[[CheatParams], Body], *stages: StagePlan) -> Plan:
    """A plan with another body."""
    planned = plan(*stages)
    component = Component("body", build.__name__.removeprefix("build_"), CheatParams, f"{__name__}:{build.__name__}")
    model = planned.model.replace(body=Use(component=component, params=CheatParams()))
    return with_runtime(replace(planned, model=model), EVERY_STEP)


def proofs(run: RunFolder) -> dict[str, Freezing]:
    """What the run's result says of its stages' freezing."""
    result = run.read_result()
    assert result is not None
    return {each.name: each.freezing for each in result.stages if each.freezing is not None}


CHANGED = [
    (build_counting, stage(freeze=BODY), ("body.0.1.count",)),
    (build_once, stage(freeze=BODY), ("body.0.1.count",)),
    (build_nudging, stage(freeze=BODY), ("body.0.1.scale",)),
    (build_nudging, stage(freeze=FreezeLayers(items=(LayerSpan(first="body"),), kept=Kept.norm)), ("body.0.1.scale",)),
    (build_shared, stage(freeze=STEM), ("body.1.weight",)),
    (build_flat, stage(freeze=STEM, optimizer=GREEDY, momentum=None), ("body.1.weight",)),
]


@pytest.mark.run
@pytest.mark.parametrize(("build", "dishonest", "changed"), CHANGED, ids=lambda value: getattr(value, "__name__", None))
def test_what_changes_although_it_is_frozen_fails_the_run(
    tmp_path: Path, build: Callable[[CheatParams], Body], dishonest: StagePlan, changed: tuple[str, ...]
) -> None:
    run = create_run("toy", tmp_path)
    with pytest.raises(RunError) as caught:
        execute(cheating(build, dishonest, stage("never")), run)
    message = str(caught.value)
    assert message.startswith(f"stage `train` is not what it says: frozen tensors changed: {', '.join(changed)}; ")
    assert caught.value.exit_code == 1
    result = run.read_result()
    assert result is not None and result.status is Status.failed and result.reason == message
    found = proofs(run)["train"]
    assert found.changed == changed and found.before != found.after
    assert [each.name for each in result.stages] == ["train"], "the next stage is not begun"
    assert not run.model.exists()
    stored, damaged = read_newest(run.checkpoints)
    assert stored is not None and damaged == () and stored.position == Position(0, 8, 2)
    kept = from_bytes(stored.tensors)
    assert f"state/network/{changed[0]}" in kept and str(run.checkpoints) in message


@pytest.mark.run
def test_what_is_tied_to_something_frozen_is_frozen(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    execute(cheating(build_tied, stage(freeze=STEM)), run)
    found = proofs(run)["train"]
    assert (found.frozen_tensors, found.changed) == (2, ())
    assert found.trained_tensors == 3, "the second layer's bias, and the head"


@pytest.mark.run
def test_a_group_that_no_gradient_reaches_fails_the_run(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    with pytest.raises(RunError, match=r"nothing of group `stem` has moved, with learning rates up to 0\.01: it got"):
        execute(cheating(build_detached, stage(groups=EACH)), run)
    found = proofs(run)["train"]
    assert found.still_groups == found.still_layers == ("stem",)
    assert found.still == tuple(f"body.0.0.{name}" for name in PARAMETERS)
    assert found.before is None and found.after is None and found.frozen_tensors == 0


@pytest.mark.run
def test_a_layer_that_stands_still_in_a_group_that_moves_is_named(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    execute(cheating(build_detached, stage()), run)
    found = proofs(run)["train"]
    assert (found.still_layers, found.still_groups) == (("stem",), ())
    assert {f"body.0.0.{name}" for name in PARAMETERS} <= set(found.still)


@pytest.mark.run
def test_a_learning_rate_of_nothing_moves_nothing_and_is_fine(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    execute(with_runtime(plan(stage(lr=0.0)), EVERY_STEP), run)
    assert proofs(run)["train"].still_groups == ("body", "head")


PARAMETERS = ("0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias")
BUFFERS = ("1.running_mean", "1.running_var", "1.num_batches_tracked")


def by_hand(run: RunFolder, names: list[str]) -> str:
    """The fingerprint, from the saved weights."""
    weights = load_weights(run.model)
    lines = ""
    for name in sorted(names):
        shape, data = tuple(weights[name].shape), weights[name].numpy().tobytes()
        lines += f"{name} {sha256(f'{weights[name].dtype} {shape} '.encode() + data).hexdigest()}\n"
    return sha256(lines.encode()).hexdigest()


@pytest.mark.run
def test_the_fingerprint_is_that_of_the_weights_at_the_start(tmp_path: Path) -> None:
    first, both = create_run("toy", tmp_path), create_run("toy", tmp_path)
    execute(plan(stage("all")), first)
    execute(plan(stage("all"), stage("head", freeze=BODY)), both)
    names = [f"body.{block}.{name}" for block in (0, 1) for name in (*PARAMETERS, *BUFFERS)]
    found = proofs(both)["head"]
    assert found.before == found.after == by_hand(first, names) == by_hand(both, names)
    assert (found.frozen_tensors, found.changed) == (18, ())
    assert (found.trained_tensors, found.still) == (2, ())
    assert proofs(both)["all"].before is None
    written = json.loads(both.result.read_text())["stages"][1]["freezing"]
    assert written["frozen_tensors"] == 18 and written["before"] == found.before and written["still_groups"] == []


@pytest.mark.run
@pytest.mark.parametrize(("kept", "frozen"), [(Kept.batchnorm, 2 * 4), (Kept.norm, 2 * 2)])
def test_norms_that_go_on_training_are_not_held_to_be_frozen(tmp_path: Path, kept: Kept, frozen: int) -> None:
    run = create_run("toy", tmp_path)
    execute(plan(stage(freeze=FreezeLayers(items=BODY.items, kept=kept))), run)
    found = proofs(run)["train"]
    assert (found.frozen_tensors, found.changed, found.still_groups) == (frozen, (), ())
    assert found.trained_tensors == 2 + 12 - frozen


@pytest.mark.run
def test_the_proof_is_the_same_wherever_a_run_is_resumed(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage("head", freeze=BODY, epochs=1), stage("all", epochs=1)), EVERY_STEP)
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    for position in (None, *positions(whole.checkpoints)):
        resumed = cut(whole, tmp_path / f"cut-{position.name if position else 'start'}", position)
        go_on(planned, resumed)
        assert proofs(resumed) == proofs(whole), position
        assert bits(resumed) == bits(whole), position


@pytest.mark.run
def test_a_change_before_the_interruption_is_found_after_it(tmp_path: Path) -> None:
    """The buffer changes in the first step: only what the stage started with can tell."""
    planned = cheating(build_once, stage("first"), stage("train", freeze=BODY))
    honest = cheating(build_once, stage("train", freeze=BODY))
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    assert proofs(whole)["train"].changed == (), "it had counted before the stage began"
    run = create_run("toy", tmp_path)
    with pytest.raises(RunError) as caught:
        execute(honest, run)
    found = positions(run.checkpoints)
    assert len(found) == 10
    for position in found:
        copy = RunFolder(tmp_path / f"cut-{position.name}")
        resumed = cut_failed(run, copy, position)
        with pytest.raises(RunError) as again:
            go_on(honest, resumed)
        assert str(again.value).partition("\n")[0] == str(caught.value).partition("\n")[0]
        assert proofs(resumed) == proofs(run)


def cut_failed(run: RunFolder, copy: RunFolder, position: Position) -> RunFolder:
    """Cut off a run that failed, and so has no model."""
    run.model.touch()
    return cut(run, copy.path, position)


def test_digests_tell_values_shapes_and_kinds_of_number_apart() -> None:
    one = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    same = [one.clone(), one.t().contiguous().t(), torch.stack([one, one])[1]]
    assert {digest(each) for each in same} == {digest(one)}
    others = [one + 1e-7, one.reshape(4), one.view(torch.int32), -one * 0, one * 0, torch.zeros(()), torch.zeros(0)]
    assert len({digest(each) for each in (one, *others)}) == 8, "a negative nought is not a nought"
    assert digest(one.bfloat16()) != digest(one.half())


@pytest.mark.run
def test_results_of_before_there_were_proofs_are_read(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    execute(plan(stage()), run)
    old = json.loads(run.result.read_text())
    del old["stages"][0]["freezing"]
    run.result.write_text(json.dumps(old))
    result = run.read_result()
    assert result is not None and result.stages[0].freezing is None
    assert runner("runs", "show", "toy-1", "--runs", str(tmp_path), folder=tmp_path).returncode == 0


@pytest.mark.run
def test_runs_show_tells_of_it(tmp_path: Path) -> None:
    execute(plan(stage("head", freeze=BODY), stage("all")), create_run("toy", tmp_path))
    with pytest.raises(RunError):
        execute(cheating(build_counting, stage(freeze=BODY)), create_run("toy", tmp_path))
    done = runner("runs", "show", "toy-1", "--runs", ".", folder=tmp_path)
    fingerprint = proofs(RunFolder(tmp_path / "toy-1"))["head"].before
    assert fingerprint is not None
    (head,) = (line for line in done.stdout.splitlines() if line.startswith("stage head: "))
    assert f"18 frozen tensors unchanged (sha256 {fingerprint[:12]}); 2 of 2 trained" in head
    (every,) = (line for line in done.stdout.splitlines() if line.startswith("stage all: "))
    assert "nothing frozen; " in every
    cheat = runner("runs", "show", "toy-2", "--runs", ".", folder=tmp_path)
    assert "1 of 19 frozen tensors CHANGED: body.0.1.count; 2 of 2 trained tensors moved" in cheat.stdout
    answer = json.loads(runner("runs", "show", "toy-2", "--runs", ".", "--json", folder=tmp_path).stdout)
    assert answer["stages"][0]["freezing"]["changed"] == ["body.0.1.count"]


@pytest.mark.run
def test_a_whole_model_has_nothing_frozen_and_moves(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    whole = (LayerGroup("model", ("model",)),)
    execute(plan(stage(groups=whole, optimizer=use("optimizer", "build_adam", AdamParams())), body=None), run)
    found = proofs(run)["train"]
    assert (found.frozen_tensors, found.before, found.trained_tensors, found.still) == (0, None, 2, ())
