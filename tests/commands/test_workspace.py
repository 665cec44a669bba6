"""The commands as functions of `dotexp`, with typed values."""

from __future__ import annotations

from pathlib import Path

import dotexp
import pytest
from dotexp.language.diagnostics import Diagnostic
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import Status

from specs import RATINGS

pytestmark = pytest.mark.run

TEXT = RATINGS.replace("latent_ratings", "latent_ratings(users = 60, items = 40, batch_size = 32, test = 20%)")
TEXT += "\nmetrics rmse\nruntime(threads = 1)\n"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "films.exp"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def run(spec: Path) -> RunFolder:
    return dotexp.run(spec, runs=spec.parent / "runs")


def test_load_and_check(spec: Path) -> None:
    assert dotexp.load(spec, ["seed=7"]).experiment.seed == 7
    found, diagnostics = dotexp.check(spec)
    assert found is not None and diagnostics == ()
    with pytest.raises(dotexp.SpecError) as refused:
        dotexp.load(spec, ["optimizer=adm", "loss=msee"])
    assert [diagnostic.code for diagnostic in refused.value.diagnostics] == ["E203", "E203"]


def test_plan_run_evaluate_and_predict(spec: Path, run: RunFolder) -> None:
    plan = dotexp.plan(spec)
    assert isinstance(plan, Plan) and plan.facts.test > 0
    assert run.status is Status.finished and run.name == "films-1"
    valid, test = (dotexp.evaluate(run, part) for part in ("valid", "test"))
    assert valid.loss == pytest.approx(run.read_epochs()[-1].valid_loss, rel=1e-6)
    assert test.loss is not None and test.loss != valid.loss
    known, unknown = dotexp.predict(run, ["1:2", "nobody:2"])
    assert isinstance(known.value, float) and known.unknown == ()
    assert unknown.unknown == ("user",)


def test_a_run_in_bf16_trains_and_its_weights_stay_float32(spec: Path) -> None:
    import torch
    from safetensors.torch import load_file

    run = dotexp.run(spec, ["runtime.precision=bf16"], runs=spec.parent / "bf16")
    assert {tensor.dtype for tensor in load_file(run.model).values()} == {torch.float32}
    assert (run.read_epochs()[-1].valid_loss or 99) < 10


def test_a_finished_run_is_verified_and_not_resumed(run: RunFolder) -> None:
    before = run.model.read_bytes()
    assert dotexp.resume(run).path == run.path
    assert run.model.read_bytes() == before


# Workspace


def test_every_command_is_a_method(spec: Path, run: RunFolder) -> None:
    workspace = dotexp.Workspace(runs=str(spec.parent / "runs"), device="cpu")
    assert workspace.runs() == (run,) and workspace.open("films") == run
    assert workspace.load(str(spec), "seed=7").experiment.seed == 7
    assert workspace.check(spec, "optimizer=adm")[0] is None
    assert workspace.plan(spec).as_json() == dotexp.plan(spec).as_json()
    assert workspace.resume("films") == run
    assert workspace.evaluate("films-1") == dotexp.evaluate(run)
    assert workspace.verify(run.path).differences == ()
    assert workspace.report(run).path == run.report
    assert workspace.lr_find(spec, steps=30).stage == "train"
    again = workspace.run(workspace.load(spec))
    assert again.name == "films-2" and again.model.read_bytes() == run.model.read_bytes()


def test_a_resolved_spec_takes_no_overrides_anywhere(spec: Path) -> None:
    loaded, workspace = dotexp.load(spec), dotexp.Workspace(spec.parent / "none")
    calls = (dotexp.plan, dotexp.run, dotexp.find_lr, workspace.plan, workspace.run, workspace.lr_find)
    for call in calls:
        with pytest.raises(dotexp.UsageError, match=r"`films` is resolved already: give it to load\(spec, set\)"):
            call(loaded, set=["seed=1"])  # type: ignore[operator]
    assert not workspace.root.exists()


def test_one_override_or_several_as_text_or_in_any_sequence(spec: Path) -> None:
    for set in ("seed=7", ["seed=7"], ("seed=7",), iter(["seed=7"])):
        assert dotexp.load(spec, set=set).experiment.seed == 7  # type: ignore[arg-type]
    assert dotexp.check(spec, "optimizer.wd=0.5")[0] is not None
    assert dotexp.plan(spec, set="seed=9").seed == 9
    with pytest.raises(dotexp.SpecError) as refused:
        dotexp.load(spec, set="sead=1")
    assert len(refused.value.diagnostics) == 1


def test_a_single_input_needs_no_list(run: RunFolder, tmp_path: Path) -> None:
    runs = str(run.path.parent)
    one = dotexp.predict("films", "1:2", runs=runs)
    assert [each.input for each in one] == [{"user": "1", "item": "2"}]
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("1,2\n3,4\n")
    assert dotexp.predict(run, pairs) == dotexp.predict(run.path, [pairs]) == dotexp.predict(str(run.path), str(pairs))
    assert len(dotexp.predict(run, ("1:2", pairs))) == 3


def test_a_folder_of_runs_is_text_or_a_path(spec: Path, run: RunFolder) -> None:
    runs = str(run.path.parent)
    assert dotexp.evaluate("films-1", runs=runs) == dotexp.evaluate("films-1", runs=run.path.parent)
    assert dotexp.resume("films-1", runs=runs).status is Status.finished
    assert dotexp.recommend("films-1", "1", top=1, runs=runs)[0]["rank"] == 1
    assert dotexp.interpret("films-1", "item_bias(top = 1)", runs=runs)[0].rows
    with pytest.raises(dotexp.UsageError, match="there is no run `nothing`"):
        dotexp.verify("nothing", runs=runs)


def test_a_device_is_named_or_left_to_the_spec(spec: Path) -> None:
    assert dotexp.Workspace().device is dotexp.Workspace(device=None).device is None
    assert dotexp.Workspace(device="cpu").device == "cpu"
    with pytest.raises(dotexp.UsageError, match="there is no device `gpu`: devices are auto, cpu, cuda, mps"):
        dotexp.Workspace(device="gpu")
    with pytest.raises(dotexp.UsageError, match="there is no device `gpu`"):
        dotexp.run(spec, device="gpu")


def test_warnings_of_every_command_are_diagnostics(tmp_path: Path) -> None:
    import shutil

    heard: list[Diagnostic] = []
    spec = tmp_path / "films.exp"
    spec.write_text(TEXT + "param spare = 1\n")
    dotexp.plan(spec, notify=heard.extend)
    dotexp.run(spec, runs=tmp_path, notify=heard.extend, report=False)
    dotexp.find_lr(spec, runs=tmp_path, steps=10, notify=heard.extend)
    assert [each.code for each in heard if each.code != "W505"] == ["W501"] * 3
    run = dotexp.Workspace(tmp_path).open("films")
    run.result.unlink()
    shutil.rmtree(run.checkpoints)
    heard.clear()
    dotexp.resume(run, notify=heard.extend, report=False)
    assert [each.code for each in heard] == ["W508"] and "starts from the beginning" in heard[0].message


@pytest.mark.process
def test_names_are_listed_before_they_are_used() -> None:
    import subprocess
    import sys

    script = "import dotexp, sys; print(set(dotexp.__all__) - set(dir(dotexp)), 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set() False\n"


# A run's data that has moved


MOVED = [
    ("image_folder", 'image_folder("pictures", size = 32, batch_size = 4, valid = 25%)', {"pictures": "data.path"}),
    (
        "image_list",
        'image_list("labels.csv", path = "pictures", size = 32, batch_size = 4, valid = 25%)',
        {"pictures": "data.path", "labels.csv": "data.table"},
    ),
    ("ratings", 'ratings("pairs.csv", valid = 25%, batch_size = 4)', {"pairs.csv": "data.path"}),
    (
        "features",
        'ratings("pairs.csv", valid = 25%, batch_size = 4, items = "titles.csv")',
        {"pairs.csv": "data.path", "titles.csv": "data.items"},
    ),
]


@pytest.mark.parametrize(("data", "places"), [case[1:] for case in MOVED], ids=[case[0] for case in MOVED])
def test_data_that_has_moved_is_told_with_the_override_that_names_it_anew(
    tmp_path: Path, data: str, places: dict[str, str]
) -> None:
    from PIL import Image

    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(24)]
    for name in names:
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (10 * len(name), 0, 0)).save(tmp_path / "pictures" / name)
    (tmp_path / "labels.csv").write_text("name,label\n" + "".join(f"{name},{name[0]}\n" for name in names))
    (tmp_path / "pairs.csv").write_text(
        "user,item,rating\n" + "".join(f"u{i % 5},i{i % 7},{i % 4}\n" for i in range(40))
    )
    (tmp_path / "titles.csv").write_text("item,title\n" + "".join(f"i{i},Film {i}\n" for i in range(7)))
    model = "embedding_dot_bias(4)" if data.startswith("ratings") else "{ body resnet18(weights = none)  head linear }"
    loss = "mse" if data.startswith("ratings") else "cross_entropy"
    spec = tmp_path / "moved.exp"
    spec.write_text(
        f"experiment moved\ndata {data}\nmodel {model}\nloss {loss}\nruntime(threads = 1)\n"
        "stage one { fit one_cycle(epochs = 1, lr = 1e-3) }\n"
    )
    run = dotexp.run(spec, runs=tmp_path / "runs", report=False)
    before = dotexp.evaluate(run)
    for old, path in places.items():
        (tmp_path / old).rename(tmp_path / f"new-{old}")
        with pytest.raises(dotexp.SpecError) as refused:
            dotexp.evaluate(run)
        (fault,) = refused.value.diagnostics
        assert fault.code == "E401" and fault.help.endswith(f"where it has moved since the run: --set {path}=NEW")
        assert fault.span is not None and fault.span.source.line(fault.span.line).strip().startswith(path[5:] + " = ")
        assert fault.span.column < 20
        cure = [f'{path}="{tmp_path / f"new-{old}"}"']
        assert dotexp.evaluate(run, set=cure) == before
        (tmp_path / f"new-{old}").rename(tmp_path / old)
