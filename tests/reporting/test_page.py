"""report.html: what every run's page tells, that it is safe and self-contained, and what a component may do to it."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import dotexp
import pytest
import torch
from dotexp import Component, Facts, Params, UsageError, Use
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.weights import load_weights
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.engine.reporting import FEW, example_losses, make_subject, report_sections
from dotexp.language.diagnostics import Interrupted
from dotexp.planning.plan import Plan
from dotexp.reporting import Report, SectionRenderer, write_report
from dotexp.runs.files import write_json
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import Status
from dotexp.sdk.report import Paragraph, Picture, Pictures, Plot, Section, Subject, Table, Verbatim
from pages import Page, read_page
from spec_runner import runner
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from toys import DATA, WHOLE, Flat, plan, stage

from specs import RATINGS

pytestmark = pytest.mark.run

ALWAYS = ["Training", "Layer groups", "Data", "Spec", "Environment"]
FILMS = RATINGS.replace("latent_ratings", "latent_ratings(users = 60, items = 40, batch_size = 32)")
FILMS = FILMS.replace("experiment films", 'experiment films "Who likes <b>what</b> & why"')
FILMS += '\nmetrics rmse\nruntime(threads = 1)\n# a comment: </pre><script>alert("1")</script>\n'
EVIL = "</td><script>alert('x')</script>\"&$\\frac$"
CPU = torch.device("cpu")


class NoParams(Params):
    """Nothing to set."""


class Ear(NullListener):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        """Keep it."""
        self.warnings.append(message)


def use(name: str) -> Use:
    """A report component built by a function of this module."""
    component = Component("report", name, NoParams, f"{__name__}:{name}", Facts(), provider="acme")
    return Use(component=component, params=NoParams())


def counts(params: NoParams) -> Callable[[Subject], Sequence[Section]]:
    """Builder of a section with one of every block."""
    from matplotlib.figure import Figure

    def figure() -> Figure:
        made = Figure()
        made.add_subplot().plot([0, 1], [0, 1], label=EVIL)
        made.axes[0].legend()
        made.axes[0].set_title(EVIL)
        return made

    def report(subject: Subject) -> Sequence[Section]:
        table = Table(EVIL, ("what", EVIL), (("examples", len(subject.targets)), (EVIL, math.nan), (EVIL, None)))
        pictures = Pictures(EVIL, (Picture(torch.rand(3, 8, 8), EVIL), Picture(torch.rand(3, 100, 500), "wide")))
        return [Section(EVIL, (table, Plot(EVIL, figure), pictures, Paragraph(EVIL), Verbatim(EVIL, EVIL)))]

    return report


def boom(params: NoParams) -> Callable[[Subject], Sequence[Section]]:
    """Builder of a reporter that fails."""

    def report(subject: Subject) -> Sequence[Section]:
        raise ZeroDivisionError("the examples ran out")

    return report


def late(params: NoParams) -> Callable[[Subject], Sequence[Section]]:
    """Builder of a section whose drawing fails when the page is written."""

    def failing() -> None:
        raise ValueError("no ink")

    return lambda subject: [Section("Late", (Plot("p", failing),))]  # type: ignore[arg-type]


def dice(params: NoParams) -> Callable[[Subject], Sequence[Section]]:
    """Builder of a section that draws a random number."""
    return lambda subject: [Section("Dice", (Table("", ("n",), ((float(torch.rand(())),),)),))]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a run of the command line, and what it printed."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "films.exp").write_text(FILMS)
    done = runner("run", "films.exp", folder=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


@pytest.fixture
def toy(tmp_path: Path) -> tuple[Plan, RunFolder]:
    """A finished toy run of two stages."""
    return finished(tmp_path, plan(stage(groups=(WHOLE,)), stage("more", epochs=1, groups=(WHOLE,)), body=None))


def finished(root: Path, planned: Plan) -> tuple[Plan, RunFolder]:
    folder = create_run("toy", root)
    execute(planned, folder)
    write_json(folder.plan, planned.as_json())
    return planned, folder


def subject_of(planned: Plan, run: RunFolder) -> Subject:
    return make_subject(planned.inference, run, DataStore(), CPU)


def written(planned: Plan, run: RunFolder, *names: str) -> tuple[Report, Page]:
    """A report with these sections, and its page."""
    renderer = SectionRenderer()
    asked = replace(planned.inference, reports=tuple(map(use, names)))
    drawn, problems = report_sections(asked, run, DataStore(), renderer, {"acme": "acme-reports 1.2"})
    report = write_report(run, renderer, "", drawn, problems)
    return report, read_page(report.path)


# What every run tells


def test_a_run_ends_with_a_report_and_says_where(films: Path) -> None:
    run = RunFolder(films / "runs" / "films-1")
    assert "  report: runs/films-1/report.html\n" in (films / "said.txt").read_text()
    page = read_page(run.report)
    assert page.titles() == ALWAYS
    plots = [element.attributes["aria-label"] for element in page.all("svg")]
    assert plots == [
        "Loss by epoch", "rmse by epoch, on the validation set", "Learning rates by step, as given to the optimizer",
        "Momentum by step, as given to the optimizer",
    ]  # fmt: skip
    assert page.all("h1")[0].text == "films" and page.all("p", class_="description")[0].text == (
        "Who likes <b>what</b> & why"
    )
    row = run.read_epochs()[-1]
    facts = dict(zip([e.text for e in page.all("dt")], [e.text for e in page.all("dd")], strict=True))
    assert facts["valid loss"] == f"{row.valid_loss:.4f}" and facts["rmse"] == f"{row.metrics['rmse']:.4f}"
    assert facts["epochs"] == "1" and facts["device"] == "cpu"
    assert run.spec.read_text() in [e.text for e in page.all("pre")]
    cells = [e.text for e in page.all("td")]
    assert {("torch", torch.__version__), ("task", "ratings")} <= set(pairwise(cells))
    assert "4 of 4 trained tensors moved; nothing was frozen." in [e.text for e in page.all("p")]


def test_the_page_is_self_contained_and_escaped(films: Path) -> None:
    page = read_page(films / "runs" / "films-1" / "report.html")
    assert page.loads() == []
    assert page.all("script") == [] and page.all("iframe") == [] and page.all("b") == []
    (policy,) = [e for e in page.all("meta") if "http-equiv" in e.attributes]
    assert policy.attributes["http-equiv"] == "Content-Security-Policy"
    assert policy.attributes["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert page.all("meta", name="viewport")[0].attributes["content"] == "width=device-width, initial-scale=1"
    assert "url(" not in page.all("style")[0].text and "@import" not in page.all("style")[0].text
    assert "prefers-color-scheme: dark" in page.all("style")[0].text
    assert not any(name.startswith("on") for e in page.elements for name in e.attributes)
    identities = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(identities) == len(set(identities))
    named = {e.attributes["href"][1:] for e in page.elements if e.attributes.get("href", "").startswith("#")}
    named |= set(re.findall(r"url\(#([^)]+)\)", page.content))
    assert named <= set(identities)


@pytest.mark.process
def test_a_report_is_the_same_when_written_again_wherever_that_is(films: Path, tmp_path: Path) -> None:
    run = RunFolder(films / "runs" / "films-1")
    before = run.report.read_bytes()
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\nfont.size: 30\nsvg.fonttype: path\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATPLOTLIBRC", str(tmp_path / "matplotlibrc"))
        code = (
            "import sys; from dotexp.cli import call; code = call(['report', 'films']);"
            "heavy = {'torch', 'sklearn', 'polars', 'matplotlib.pyplot'} & sys.modules.keys();"
            "sys.exit(f'imports {heavy}' if heavy else code)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=films, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "runs/films-1/report.html\n"), done.stderr
    assert run.report.read_bytes() == before


def test_the_tables_are_the_runs_own_numbers(films: Path) -> None:
    run = RunFolder(films / "runs" / "films-1")
    done = runner("report", "films", "--json", folder=films)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["format_version"], answer["problems"]) == (0, 1, [])
    assert answer["path"] == "runs/films-1/report.html"
    sections = {section["title"]: section for section in answer["sections"]}
    assert list(sections) == ALWAYS and not any(section["failed"] for section in answer["sections"])
    tables = {table["title"]: table for table in sections["Training"]["tables"]}
    (row,) = run.read_epochs()
    assert tables["Epochs"]["header"] == ["stage", "epoch", "step", "train loss", "valid loss", "rmse", "time"]
    numbers = [row.step, row.train_loss, row.valid_loss, row.metrics["rmse"]]
    assert tables["Epochs"]["rows"][0][:6] == ["train", 1, *numbers]
    (trained,) = sections["Layer groups"]["tables"]
    rates = json.loads(run.schedule.read_text())["stages"][0]["lr"][0]
    assert trained["rows"][0][-3:] == [rates[0], max(rates), rates[-1]]
    planned = json.loads(run.plan.read_text())["stages"][0]["groups"][0]
    assert trained["rows"][0][2:5] == [planned["parameters"], planned["trainable_parameters"], "none"]


def test_no_report_where_none_is_wanted(films: Path) -> None:
    done = runner("run", "films.exp", "--no-report", "--runs", "quiet", folder=films)
    assert done.returncode == 0 and "report" not in done.stdout
    assert not (films / "quiet" / "films-1" / "report.html").exists()
    assert runner("report", "films", "--runs", "quiet", folder=films).stdout == "quiet/films-1/report.html\n"


def test_a_run_that_failed_or_was_cut_short_can_be_reported(tmp_path: Path) -> None:
    poisoned = plan(stage(), stage("more", data=DATA.model_copy(update={"poison": 3})))
    folder = create_run("toy", tmp_path)
    with pytest.raises(dotexp.RunError):
        execute(poisoned, folder)
    write_json(folder.plan, poisoned.as_json())
    page = read_page(write_report(folder, SectionRenderer()).path)
    assert page.all("span", class_="status failed") and folder.read_result() is not None
    assert page.all("p", class_="failure")[0].text == folder.read_result().reason  # type: ignore[union-attr]
    assert len(page.all("svg")) == 4
    for file in (folder.result, folder.schedule):
        file.unlink()
    page = read_page(write_report(folder, SectionRenderer()).path)
    assert page.all("span", class_="status unfinished")
    assert "Learning rates by step, as planned" in [e.attributes["aria-label"] for e in page.all("svg")]
    for file in folder.path.iterdir():
        if file.is_file() and file != folder.environment:
            file.unlink()
    page = read_page(write_report(folder, SectionRenderer()).path)
    assert page.titles() == ["Training", "Environment"] and "No epoch was finished." in page.content


def test_a_broken_folder_is_told_of_in_its_place(toy: tuple[Plan, RunFolder]) -> None:
    _, run = toy
    run.schedule.write_text('{"stages": [{"name": "train", "lr": [["fast"]], "momentum": 7}]}')
    run.environment.write_text("[1]")
    report = write_report(run, SectionRenderer())
    failed = [section.title for section in report.sections if section.failed]
    assert failed == ["Training", "Environment"]
    assert "environment.json does not hold an object" in read_page(report.path).content


# Components


def test_a_subject_is_the_run_over_its_validation_part(toy: tuple[Plan, RunFolder]) -> None:
    planned, run = toy
    subject = subject_of(planned, run)
    network = Flat(3)
    network.load_state_dict({name.removeprefix("model."): value for name, value in load_weights(run.model).items()})
    part = DataStore().get(planned.data, planned.seed).part("valid")
    (batch,) = part.batches(torch.arange(len(part)), 100, None, CPU)
    with torch.no_grad():
        logits = network(*batch.inputs)
    torch.testing.assert_close(subject.outputs, logits.softmax(1))
    torch.testing.assert_close(subject.losses(), cross_entropy(logits, batch.targets, reduction="none"))
    assert torch.equal(subject.targets, batch.targets) and subject.losses() is subject.losses()
    assert not subject.network.training and subject.augmented is None
    assert (subject.batch_size, subject.seed, subject.facts.classes) == (8, 42, ("a", "b", "c"))


class Stubborn(nn.Module):
    """A loss that vmap cannot batch."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Squared difference, or a NaN where it is one number no more."""
        assert output.shape == (1,)
        return torch.tensor(float(output.item() - target.item()) ** 2)


def test_losses_of_many_examples_are_those_of_each() -> None:
    outputs, targets = torch.rand(2 * FEW + 5), torch.rand(2 * FEW + 5)
    expected = (outputs - targets) ** 2
    torch.testing.assert_close(example_losses(nn.MSELoss(), outputs, targets), expected)
    torch.testing.assert_close(example_losses(nn.MSELoss(), outputs[:50], targets[:50]), expected[:50])
    torch.testing.assert_close(example_losses(Stubborn(), outputs[: FEW + 1], targets[: FEW + 1]), expected[: FEW + 1])


def test_sections_asked_for_come_after_how_it_went_and_are_escaped(toy: tuple[Plan, RunFolder]) -> None:
    report, page = written(*toy, "counts")
    assert page.titles() == [ALWAYS[0], EVIL, "Layer groups", "Data", "Environment"] and report.problems == ()
    assert page.all("script") == [] and page.loads() == []
    section = page.all("section")[1]
    assert section.text.count("<script>alert('x')</script>") == 14 and "NaN" in section.text and "–" in section.text
    assert [e.attributes["alt"] for e in page.all("img")] == [EVIL, "wide"]
    assert page.all("svg")[-1].attributes["aria-label"] == EVIL
    table = report.as_json()["sections"][1]["tables"][0]
    assert table["header"] == ["what", EVIL] and table["rows"][0] == ["examples", 8]
    assert report.as_json()["sections"][1]["text"] == [EVIL]


def test_a_component_that_fails_is_named_and_the_others_are_drawn(toy: tuple[Plan, RunFolder]) -> None:
    report, page = written(*toy, "boom", "counts", "late")
    assert page.titles() == [ALWAYS[0], "boom", EVIL, "late", "Layer groups", "Data", "Environment"]
    assert report.problems == (
        "report `boom` of acme-reports 1.2: ZeroDivisionError: the examples ran out",
        "report `late` of acme-reports 1.2: ValueError: no ink",
    )
    assert [section.title for section in report.sections if section.failed] == ["boom", "late"]
    assert len(page.all("section", class_="failed")) == 2 and "the examples ran out" in page.content


def test_what_is_no_section_is_a_fault_of_the_component() -> None:
    renderer = SectionRenderer()
    for made, message in (
        (["a section"], "a report returns Sections, and one is a str"),
        ([Section("s", ("text",))], "a section holds tables, plots, pictures and text, and this is a str"),  # type: ignore[arg-type]
        ([Section("s", (Table("t", ("a", "b"), (("1",),)),))], "the table `t` has 2 columns, and a row of 1"),
        (None, "TypeError: 'NoneType' object is not iterable"),
    ):
        _, reason = renderer.render_or_explain("s", lambda made=made: made)  # type: ignore[misc]
        assert reason == message


def test_random_numbers_of_a_component_are_its_own(toy: tuple[Plan, RunFolder]) -> None:
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    alone = written(*toy, "boom", "dice")[0].as_json()["sections"][2]["tables"]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert written(*toy, "dice", "dice")[0].as_json()["sections"][2]["tables"] == alone


def test_there_is_no_subject_without_a_model_or_with_other_classes(toy: tuple[Plan, RunFolder]) -> None:
    planned, run = toy
    facts = run.read_facts()
    run.write_facts(replace(facts, vocabulary={"classes": ["x", "y", "z"]}))
    with pytest.raises(UsageError, match="the data has other classes or ids than"):
        subject_of(planned, run)
    run.model.unlink()
    with pytest.raises(UsageError, match="has no model to report on: the run is finished"):
        subject_of(planned, run)


# At the end of a run


SMALL = """
experiment zeros
data digits(classes = 0..1, valid = 320, size = 40, batch_size = 20)
model { body squeezenet1_1(weights = none)  head linear }
loss cross_entropy
stage train { fit one_cycle(epochs = 1, lr = 1e-3) }
report confusion_matrix, tta
runtime(threads = 1)
"""


@pytest.fixture(scope="module")
def zeros(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder, Ear]:
    """A spec, its run, and what was warned of."""
    spec, ear = tmp_path_factory.mktemp("zeros") / "zeros.exp", Ear()
    spec.write_text(SMALL)
    return spec, dotexp.run(spec, runs=spec.parent / "runs", listener=ear), ear


def test_the_report_statement_adds_sections_and_a_fault_of_one_is_a_warning(
    zeros: tuple[Path, RunFolder, Ear],
) -> None:
    _, run, ear = zeros
    assert run.status is Status.finished
    assert read_page(run.report).titles() == [ALWAYS[0], "Confusion matrix", "tta", *ALWAYS[1:]]
    version = dotexp.__version__
    reason = "the data augments no images, so there is nothing to average (give the data `augment = standard`)"
    assert ear.warnings == [f"report `tta` of dotexp {version}: {reason}"]


def test_other_sections_can_be_asked_for_later(zeros: tuple[Path, RunFolder, Ear]) -> None:
    spec, run, _ = zeros
    done = runner("report", "zeros", "--set", "report=[most_confused(1)]", folder=spec.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "runs/zeros-1/report.html\n", "")
    assert read_page(run.report).titles() == [ALWAYS[0], "Most confused", *ALWAYS[1:]]
    done = runner("report", "zeros", "--set", "report=[most_confusd]", folder=spec.parent)
    assert done.returncode == 2 and "did you mean `most_confused`" in done.stderr


def test_a_report_is_written_where_the_data_or_a_plugin_is_gone(
    zeros: tuple[Path, RunFolder, Ear], tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "zeros-1")
    shutil.copytree(zeros[1].path, run.path)
    text = run.resolved.read_text()
    run.resolved.write_text(re.sub(r"data vision.digits\([^)]*\)", 'data image_folder("gone")', text))
    report = dotexp.report(run)
    assert len(report.problems) == 1 and "the sections asked for are left out: " in report.problems[0]
    assert "gone does not exist" in report.problems[0]
    assert read_page(run.report).titles() == [ALWAYS[0], "Sections asked for", *ALWAYS[1:]]
    run.resolved.write_text(text.replace("squeezenet1_1", "body_of_a_plugin"))
    report = dotexp.report(run)
    assert "resolved.exp is not understood here" in report.problems[0] and "body_of_a_plugin" in report.problems[0]
    assert read_page(run.report).titles() == ALWAYS


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_report_that_cannot_be_written_does_not_lose_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("dotexp.reporting.write_text", fail)
    (tmp_path / "films.exp").write_text(FILMS)
    ear = Ear()
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(Interrupted, match="films-1 is finished, its report is not written: spec-runner report"):
            dotexp.run(tmp_path / "films.exp", runs=tmp_path / "runs", listener=ear)
    else:
        dotexp.run(tmp_path / "films.exp", runs=tmp_path / "runs", listener=ear)
        assert "the report is not written: MachineError" in ear.warnings[0] and "spec-runner report" in ear.warnings[0]
    assert RunFolder(tmp_path / "runs" / "films-1").status is Status.finished


def test_a_run_that_is_gone_on_with_ends_with_a_report_too(films: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "films-1")
    shutil.copytree(films / "runs" / "films-1", run.path)
    for file in (run.result, run.model, run.report):
        file.unlink()
    done = runner("resume", str(run.path), folder=tmp_path)
    assert done.returncode == 0 and f"  report: {run.report}\n" in done.stdout, done.stderr
    assert read_page(run.report).titles() == ALWAYS
