"""The learning-rate sweep: against one written out by hand, from the weights a run would have, leaving files alone."""

from __future__ import annotations

import json
import os
import re
import signal
from hashlib import sha256
from pathlib import Path
from typing import Any

import dotexp
import pytest
import torch
from dotexp import Component, LayerGroup, Params, RunError, UsageError
from dotexp.cli.lr_find_view import chart
from dotexp.commands.rate_edits import rate_text
from dotexp.components.component import Use
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.network import build_network
from dotexp.engine.executor import execute
from dotexp.engine.lr_find import InitialWeights, initial_weights, sweep_stage, weights_by_training, weights_from_run
from dotexp.engine.lr_suggestions import Rule, Sweep, sweep_rates
from dotexp.experiment.experiment import FreezeLayers, LayerSpan
from dotexp.language.diagnostics import Interrupted
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import Position
from dotexp.runs.folder import create_run
from dotexp.sdk.seeds import Draw
from interruptions import EVERY_STEP, cut, with_runtime
from spec_runner import QUICK, runner
from toys import DATA, AdamParams, ImagesParams, SgdParams, build_adam, build_images, plan, stage, use

pytestmark = pytest.mark.run

WHOLE = (LayerGroup("model", ("model",)),)
SGD = use("optimizer", "build_sgd", SgdParams())
BODY = FreezeLayers(items=(LayerSpan(first="body"),))
SEEN: list[list[dict[str, Any]]] = []
"""What the optimizer that takes notes had in each step, group by group."""


class NotingParams(AdamParams):
    """Adam that takes notes."""


def build_noting(params: NotingParams, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Build it, with a hook before each step."""
    optimizer = build_adam(params, groups)

    def note(_: object, *arguments: object) -> None:
        SEEN.append([{key: group[key] for key in ("name", "lr", "betas")} for group in optimizer.param_groups])

    optimizer.register_step_pre_hook(note)
    return optimizer


NOTING = Use(
    component=Component("optimizer", "noting", NotingParams, f"{__name__}:build_noting"), params=NotingParams()
)


def swept(
    planned: Plan, rates: tuple[float, ...], index: int = 0, start: InitialWeights | None = None, **more: Any
) -> Sweep:
    """Sweep a stage's last group; the groups' peaks are 1, 2, … as in a toy's stage."""
    groups = len(planned.stages[index].groups)
    peaks: tuple[float | None, ...] = tuple(float(i + 1) for i in range(groups))
    return sweep_stage(planned, index, groups - 1, peaks, rates, start or initial_weights(), DataStore(), **more)


def by_hand(planned: Plan, rates: tuple[float, ...]) -> list[float]:
    """Plain SGD over a linear model in float64, its loss averaged as fastai does; round the epochs of four batches."""
    network = build_network(planned.model, planned.facts, 42).double()
    weight, bias = network.state_dict().values()
    part = build_images(DATA, dotexp.DataContext(42)).part("train")
    losses, average = [], 0.0
    for i, rate in enumerate(rates):
        generator = torch.Generator().manual_seed(Draw(42, "train", i // 4).order())
        rows = torch.randperm(32, generator=generator)[8 * (i % 4) :][:8]
        batch = next(iter(part.batches(rows, 8, None, torch.device("cpu"))))
        flat, wanted = batch.inputs[0].double().flatten(1), torch.nn.functional.one_hot(batch.targets, 3)
        outputs = (flat @ weight.T + bias).softmax(1)
        average = 0.98 * average - 0.02 * (outputs * wanted).sum(1).log().mean().item()
        losses.append(average / (1 - 0.98 ** (i + 1)))
        error = (outputs - wanted) / 8
        weight -= rate * error.T @ flat
        bias -= rate * error.sum(0)
    return losses


def test_the_sweep_is_the_one_written_out_by_hand() -> None:
    planned = plan(stage(groups=WHOLE, optimizer=SGD, momentum=None), body=None)
    rates = sweep_rates(30, 1e-4, 0.5)
    found = swept(planned, rates)
    assert (found.rates, found.planned, found.stopped) == (rates, 30, "")
    assert found.losses == pytest.approx(by_hand(planned, rates), rel=1e-4)
    assert max(found.losses) - min(found.losses) > 0.05, "something was learned"
    assert found == swept(planned, rates), "it is the same again"


def test_groups_keep_their_ratio_and_the_optimizer_its_momentum() -> None:
    SEEN.clear()
    rates = sweep_rates(10, 1e-4, 1e-2)
    swept(plan(stage(optimizer=NOTING)), rates)
    assert len(SEEN) == 10
    for rate, groups in zip(rates, SEEN, strict=True):
        assert {group["name"]: group["lr"] for group in groups} == {
            "head": rate,
            "head.undecayed": rate,
            "body": pytest.approx(rate / 2),
            "body.undecayed": pytest.approx(rate / 2),
        }
        assert {group["betas"] for group in groups} == {(0.9, 0.99)}


def test_what_is_frozen_in_the_stage_is_frozen_in_the_sweep() -> None:
    SEEN.clear()
    planned = plan(stage(optimizer=NOTING, freeze=BODY))
    swept(planned, sweep_rates(5))
    assert {group["name"] for groups in SEEN for group in groups} == {"head", "head.undecayed"}


def test_a_loss_that_explodes_ends_the_sweep() -> None:
    planned = plan(stage(groups=WHOLE, optimizer=SGD, momentum=None), body=None)
    found = swept(planned, sweep_rates(100, 1e-2, 1e4))
    assert found.stopped == "the loss was more than 4 times its lowest"
    assert len(found.losses) == len(found.rates) < 100
    assert found.losses[-1] > 4 * min(found.losses) >= found.losses[-2]


def test_a_loss_that_is_no_number_ends_the_sweep_and_fails_it_in_the_first_step() -> None:
    """Each example in turn has a loss that is no number; it comes in one of the first four steps."""
    lengths = []
    for poison in range(24):
        data = ImagesParams(batch_size=8, poison=poison)
        planned = plan(stage(groups=WHOLE, optimizer=SGD, momentum=None, data=data), body=None, data=data)
        try:
            found = swept(planned, sweep_rates())
        except RunError as error:
            assert str(error).startswith("the first loss of stage `train` is not a finite number")
            lengths.append(0)
        else:
            assert found.stopped == "the loss was no longer a number"
            assert len(found.losses) == len(found.rates)
            lengths.append(len(found.losses))
    assert set(lengths) == {0, 1, 2, 3}


def test_a_stages_start_is_the_same_trained_anew_or_from_a_checkpoint(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage("head", freeze=BODY), stage("all")), EVERY_STEP)
    run = create_run("toy", tmp_path)
    execute(planned, run)
    stored = weights_from_run(planned, 1, run, planned.stages[1].start_text)
    trained = weights_by_training(planned, 1, None, {}, DataStore(), None)
    assert stored is not None and stored.tensors is not None and trained.tensors is not None
    assert stored.tensors.keys() == trained.tensors.keys()
    assert all(torch.equal(stored.tensors[name], trained.tensors[name]) for name in stored.tensors)
    assert stored.origin == "those with which toy-1 began the stage, from its checkpoint 2-0-2"
    assert trained.origin == "those that the stages before it end with, trained for this: `head`"
    rates = sweep_rates(12)
    assert swept(planned, rates, 1, stored) == swept(planned, rates, 1, trained)
    assert swept(planned, rates, 1, stored) != swept(planned, rates, 1, initial_weights())


def test_a_run_that_goes_on_has_the_start_as_well_and_one_further_on_may_not(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage("head", freeze=BODY), stage("all")), EVERY_STEP)
    run = create_run("toy", tmp_path)
    execute(planned, run)
    unfinished = cut(run, tmp_path / "cut", Position(1, 3, 2))
    assert weights_from_run(planned, 1, unfinished, planned.stages[1].start_text) is not None
    early = cut(run, tmp_path / "early", Position(0, 3, 0))
    assert weights_from_run(planned, 1, early, planned.stages[1].start_text) is None
    (run.checkpoints / "2-0-2.safetensors").write_bytes(b"damaged")
    assert weights_from_run(planned, 1, run, planned.stages[1].start_text) is None


def test_a_run_that_came_there_otherwise_is_refused(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    one, other = plan(stage("head"), stage("all")), plan(stage("head", optimizer=SGD, momentum=None), stage("all"))
    with pytest.raises(UsageError) as caught:
        weights_from_run(one, 1, run, other.stages[1].start_text)
    assert "did not come to the stage `all` as this spec would:\n  experiment: was `optimizer sgd(" in str(caught.value)
    later = plan(stage("head"), stage("all", optimizer=SGD, momentum=None))
    assert weights_from_run(one, 1, run, later.stages[1].start_text) is None, "the stage itself may differ"


class BrokenParams(Params):
    """A loss that cannot be computed."""


class Broken(torch.nn.Module):
    """Raises."""

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Raise."""
        raise ValueError("no loss today")

    def activate(self, outputs: torch.Tensor) -> torch.Tensor:
        """As they are."""
        return outputs


def build_broken(params: BrokenParams, facts: object) -> torch.nn.Module:
    """Builder."""
    return Broken()


def test_what_goes_wrong_is_told() -> None:
    broken = Use(component=Component("loss", "broken", BrokenParams, f"{__name__}:build_broken"), params=BrokenParams())
    with pytest.raises(RunError, match="loss `broken` fails in forward: ValueError: no loss today"):
        swept(plan(stage(loss=broken)), sweep_rates())
    planned = plan(stage("first", loss=broken), stage("second"))
    with pytest.raises(RunError) as caught:
        weights_by_training(planned, 1, None, {}, DataStore(), None)
    assert str(caught.value).startswith(
        "before stage `second`: loss `broken` fails in forward: ValueError: no loss today"
    )
    assert "resume" not in str(caught.value), "there is no run to go on with"


def test_an_interruption_ends_it_in_either_part() -> None:
    planned = plan(stage("first"), stage("second"))

    def stop(step: int) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="no learning rate was found, and no file has changed") as caught:
        swept(planned, sweep_rates(), progress=stop)
    assert caught.value.exit_code == 130 and signal.getsignal(signal.SIGINT) is before

    from dotexp.engine.events import NullListener
    from dotexp.runs.results import EpochRow

    class Impatient(NullListener):
        def epoch_ended(self, row: EpochRow) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        weights_by_training(planned, 1, None, {}, DataStore(), Impatient())
    assert str(caught.value) == "interrupted: no learning rate was found, and no file has changed"


# The command.

TWO = QUICK.replace(
    "stage train { fit one_cycle(epochs = 1, lr = 5e-3) }",
    "stage first { fit one_cycle(epochs = 1, lr = 5e-3) }  # as in the lesson\n"
    "stage second { fit one_cycle(epochs = 1, lr = slice(1e-4)) }",
)


def contents(folder: Path) -> dict[str, str]:
    """Every file's digest."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_only_stage_needs_no_name_and_no_file_changes(tmp_path: Path) -> None:
    (tmp_path / "films.exp").write_text(QUICK)
    before = contents(tmp_path)
    done = runner("lr-find", "films.exp", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == before
    lines = done.stdout.splitlines()
    assert re.fullmatch(
        r"films, stage train: \d+ of 100 steps, the learning rate of `model` from 1e-07 to \d.*", lines[0]
    )
    assert lines[1] == "  weights: the model's initial ones, this being the first stage"
    assert any("┬" in line for line in lines) and any("█" in line for line in lines)
    assert re.search(r"V  valley +\d\.\de-\d\d  lr = \d(\.\d)?e-\d  \(chosen\)", done.stdout)


def test_json_and_the_function_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "films.exp").write_text(TWO)
    done = runner("lr-find", "films.exp", "--stage", "second", "--json", "--steps", "40", folder=tmp_path)
    assert "stage first" in done.stderr and "films-before-second" in done.stderr, "what is trained first is shown"
    answer = json.loads(done.stdout)
    found = dotexp.find_lr(tmp_path / "films.exp", "second", steps=40)
    assert answer["lr"] == list(found.sweep.rates) and answer["loss"] == list(found.sweep.losses)
    assert answer["suggestions"] == {
        str(rule): {"lr": found.suggestions[rule], "value": found.values[rule]} for rule in Rule
    }
    assert (answer["format_version"], answer["experiment"], answer["stage"]) == (1, "films", "second")
    assert (answer["group"], answer["peaks"], answer["written"]) == ("model", {"model": 1e-4}, None)
    assert answer["weights"] == "those that the stages before it end with, trained for this: `first`"
    valley = found.suggestions[Rule.valley]
    assert valley is not None and found.values[Rule.valley] == f"slice({rate_text(valley)})"


def test_write_puts_the_suggestion_into_the_spec(tmp_path: Path) -> None:
    path = tmp_path / "films.exp"
    path.write_text(TWO)
    done = runner("lr-find", "films.exp", "--stage", "first", "--write", "--suggestion", "minimum", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = re.search(r"written: lr = (\S+), at films\.exp:6:46", done.stdout)
    assert told is not None and "M  minimum" in done.stdout
    assert path.read_text() == TWO.replace("lr = 5e-3", f"lr = {told[1]}")
    assert runner("check", "films.exp", folder=tmp_path).returncode == 0


def test_write_of_what_is_not_borne_out_fails(tmp_path: Path) -> None:
    path = tmp_path / "films.exp"
    path.write_text(QUICK)
    done = runner("lr-find", "films.exp", "--write", "--steps", "10", folder=tmp_path)
    assert (done.returncode, path.read_text()) == (1, QUICK)
    assert "nothing is written: the curve does not bear out a suggestion by `valley`" in done.stderr
    assert "the curve does not bear one out" in done.stdout


def test_run_gives_the_weights_where_it_has_them(tmp_path: Path) -> None:
    text = TWO.replace("runtime(threads = 1)", "runtime(threads = 1, keep_checkpoints = 9)")
    (tmp_path / "films.exp").write_text(text)
    assert runner("run", "films.exp", "--no-report", folder=tmp_path).returncode == 0
    before = contents(tmp_path)
    call = ("lr-find", "films.exp", "--stage", "second", "--steps", "20")
    done = runner(*call, "--run", "films", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "weights: those with which films-1 began the stage, from its checkpoint 2-0-1" in done.stdout
    assert contents(tmp_path) == before and "stage first" not in done.stderr
    anew = runner(*call, folder=tmp_path)
    assert anew.stdout.splitlines()[3:] == done.stdout.splitlines()[3:], "the same curve"
    for path in (tmp_path / "runs" / "films-1" / "checkpoints").glob("2-0-1.*"):
        path.unlink()
    gone = runner(*call, "--run", "films-1", folder=tmp_path)
    assert "keeps no checkpoint of the stage's start: the stages before it are trained" in gone.stderr
    assert gone.stdout == anew.stdout
    (tmp_path / "films.exp").write_text(text.replace("lr = 5e-3", "lr = 6e-3"))
    other = runner(*call, "--run", "films-1", folder=tmp_path)
    assert other.returncode == 2 and "did not come to the stage `second` as this spec would" in other.stderr


def test_out_draws_the_curve(tmp_path: Path) -> None:
    (tmp_path / "films.exp").write_text(QUICK)
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")):
        done = runner("lr-find", "films.exp", "--steps", "30", "--out", name, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).read_bytes().startswith(start)
    drawn = (tmp_path / "a.svg").read_bytes()
    runner("lr-find", "films.exp", "--steps", "30", "--out", "a.svg", folder=tmp_path)
    assert (tmp_path / "a.svg").read_bytes() == drawn
    for name, said in (("a.gif", "should end in .png, .svg or .pdf"), ("none/a.png", "there is no folder none")):
        done = runner("lr-find", "films.exp", "--out", name, folder=tmp_path)
        assert done.returncode == 2 and said in done.stderr and done.stdout == "", "nothing was trained for it"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage", "thrid"], "there is no stage `thrid`: the experiment's are first, second"),
        ([], "say which stage: the experiment's are first, second"),
        (["--stage", "first", "--from", "1", "--to", "0.1"], "to a higher one, not from 1 to 0.1"),
        (["--stage", "second", "--run", "none-1"], "there is no run `none-1`"),
        (["--stage", "first", "--set", "optimizer=adm"], "unknown optimizer `adm`"),
        (["--stage", "first", "--steps", "3"], "3 is not in the range"),
    ],
)
def test_calls_that_are_wrong(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "films.exp").write_text(TWO)
    done = runner("lr-find", "films.exp", *arguments, folder=tmp_path)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert done.stdout == ""


def test_the_chart_marks_what_is_suggested() -> None:
    """A straight fall over eight steps to a decade from 1e-4 on, the first tenth and the last five left out."""
    rates = sweep_rates(40, 1e-5, 1.0)
    losses = tuple(float(40 - i) for i in range(40))
    drawn = chart(Sweep(rates, losses, 40), {Rule.valley: 1e-3, Rule.steep: 1e-3, Rule.minimum: None})
    assert drawn[0].startswith("       36 │█") and drawn[9].startswith("        6 │") and len(drawn) == 13
    bars = [line[11:] for line in drawn[:10]]
    heights = [sum(" ▁▂▃▄▅▆▇█".index(row[i]) for row in bars if i < len(row)) for i in range(31)]
    assert heights == sorted(heights, reverse=True) and (heights[0], heights[-1]) == (80, 1)
    labels, marks = drawn[11], drawn[12]
    assert labels.index("1e-3") == marks.index("V") == 11 + 8 * 2 - 4
    assert marks.strip() == "VS"


def test_a_flat_curve_can_be_drawn() -> None:
    assert len(chart(Sweep((1.0,), (2.0,), 1), dict.fromkeys(Rule))) == 13
    assert len(chart(Sweep(sweep_rates(), (2.0,) * 100), dict.fromkeys(Rule))) == 13


@pytest.mark.parametrize("target", ["1e38", "-1e38", "3e37"])
def test_a_first_loss_that_is_no_number_is_told(tmp_path: Path, target: str) -> None:
    """Squares beyond float32."""
    rows = "".join(f"{row % 20},{row % 17},{target}\n" for row in range(200))
    (tmp_path / "big.csv").write_text("user,item,rating\n" + rows)
    (tmp_path / "big.exp").write_text("""
experiment big
data ratings("big.csv", user = "user", item = "item", rating = "rating", valid = 10%, batch_size = 16)
model embedding_dot_bias(factors = 4, bounded = false)
loss mse
stage train { fit one_cycle(epochs = 1, lr = 1e-3) }
""")
    for more in ([], ["--json"], ["--steps", "10", "--out", "curve.svg"], ["--write"]):
        done = runner("lr-find", "big.exp", *more, folder=tmp_path)
        assert done.returncode == 1 and "the first loss of stage `train` is not a finite number" in done.stderr
        assert "IndexError" not in done.stderr and done.stdout == ""
        assert sorted(path.name for path in tmp_path.iterdir()) == ["big.csv", "big.exp"]


def test_a_sweep_is_printed_though_its_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "films.exp").write_text(QUICK)
    command = ["lr-find", "films.exp", "--steps", "10", "--out", f"{'c' * 300}.svg"]
    done = runner(*command, folder=tmp_path)
    assert done.returncode == 2 and "valley" in done.stdout and "shorter name" in done.stderr
    done = runner(*command, "--json", folder=tmp_path)
    assert done.returncode == 2 and len(json.loads(done.stdout)["loss"]) == 10
