"""The commands as functions of `dotexp`, with typed values."""

from __future__ import annotations

from pathlib import Path

import dotexp
import pytest
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import Status

from specs import RATINGS

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
