"""Bundles: moved away from the run and its data, they give the run's predictions, and say when they cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dotexp
import pytest
import torch
from dotexp import Workspace
from dotexp.runs.folder import RunFolder
from exported import DIGITS, FILMS, train_digits, train_films, write_ratings
from PIL import Image
from safetensors.torch import load_file, save_file
from spec_runner import runner

pytestmark = pytest.mark.run


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_films(tmp_path_factory.mktemp("films"))


def test_a_bundle_predicts_what_its_run_does_where_run_and_data_are_gone(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    write_ratings(home / "ratings.csv")
    (home / "films.exp").write_text(FILMS)
    run = dotexp.run(home / "films.exp", runs=home / "runs", report=False)
    pairs = ["u1:i2", "u8:i6", "nobody:i3"]
    before = dotexp.predict(run, pairs)
    best = dotexp.recommend(run, "u1", top=3, seen=True)
    exported = Workspace(home / "runs").export(run, out=home / "films-bundle")
    assert exported.path == home / "films-bundle" and exported.difference == 0 and exported.samples == 12
    shutil.move(exported.path, away / "model")
    shutil.rmtree(home)
    assert dotexp.predict(away / "model", pairs) == before
    assert dotexp.recommend(away / "model", "u1", top=3, seen=True) == best
    done = runner("predict", "model", *pairs, "--json", folder=away)
    assert [row["value"] for row in json.loads(done.stdout)["predictions"]] == [row.value for row in before]
    with pytest.raises(dotexp.UsageError, match="what the user has rated is not known without the run's data"):
        dotexp.recommend(away / "model", "u1")


def test_a_bundle_holds_what_prediction_needs_and_nothing_of_the_machine(digits: RunFolder, tmp_path: Path) -> None:
    path = Workspace().export(digits, out=tmp_path / "b").path
    assert {file.name for file in path.iterdir()} == {
        "README.md", "bundle.json", "model.safetensors", "resolved.exp", "result.json", "samples.safetensors",
        "vocabulary.json",
    }  # fmt: skip
    for file in path.iterdir():
        assert str(digits.path.parent).encode() not in file.read_bytes(), file
    manifest = json.loads((path / "bundle.json").read_text())
    assert manifest["inputs"] == [{"dtype": "float32", "shape": ["batch", 3, 16, 16]}]
    assert manifest["preprocessing"]["data"]["params"]["size"] == 16 and manifest["classes"] == list("01234")
    samples = load_file(path / "samples.safetensors")
    assert samples["outputs"].shape == (len(samples["input_0"]), 5)
    torch.testing.assert_close(samples["outputs"].sum(1), torch.ones(len(samples["outputs"])))


def test_the_model_card_says_what_data_and_which_metric(digits: RunFolder, tmp_path: Path) -> None:
    card = (Workspace().export(digits, out=tmp_path / "b").path / "README.md").read_text()
    result = digits.read_result()
    assert result is not None
    assert card.startswith("---\nlibrary_name: dotexp\npipeline_tag: image-classification\n")
    assert f"    - type: accuracy\n      value: {result.stages[-1].metrics['accuracy']!r}\n" in card
    assert "| data | `digits` |" in card and "721, 180, 0" in card and digits.read_facts().fingerprint in card
    assert "Five digits \\| &lt;b>bold&lt;/b>" in card
    shown = [line.split(" | ") for line in card.splitlines() if line.startswith("| digits:")]
    assert len(shown) == 8
    for name, answer in ((row[0][2:], row[1].removesuffix(" |")) for row in shown):
        assert dotexp.predict(digits, name)[0].value == answer


def test_paths_and_local_weights_are_left_out_of_the_spec(films: RunFolder, digits: RunFolder, tmp_path: Path) -> None:
    spec = tmp_path / "again.exp"
    spec.write_text(DIGITS.replace("weights = none", f'weights = run("{digits.path}")'))
    again = dotexp.run(spec, runs=tmp_path / "runs", report=False)
    path = Workspace().export(again, out=tmp_path / "b").path
    assert "resnet18(weights = none)" in (path / "resolved.exp").read_text()
    assert "started from another run's weights" in (path / "README.md").read_text()
    assert dotexp.predict(path, "digits:3") == dotexp.predict(again, "digits:3")
    text = (Workspace().export(films, out=tmp_path / "f").path / "resolved.exp").read_text()
    assert 'path = "ratings.csv"' in text


def test_a_bundle_is_evaluated_where_its_data_is_now(films: RunFolder, tmp_path: Path) -> None:
    path = Workspace().export(films, out=tmp_path / "b").path
    with pytest.raises(dotexp.SpecError, match=r"E401.*no such file|E401"):
        dotexp.evaluate(path)
    data = films.path.parent.parent / "ratings.csv"
    assert dotexp.evaluate(path, set=f"data.path={data}") == dotexp.evaluate(films)


@pytest.mark.parametrize("weights", ['run("b")', '"b"'], ids=["as a run", "as a folder"])
def test_a_bundle_is_a_start_for_another_run(digits: RunFolder, tmp_path: Path, weights: str) -> None:
    path = Workspace().export(digits, out=tmp_path / "b").path
    spec = tmp_path / "next.exp"
    spec.write_text(DIGITS.replace("weights = none", f"weights = {weights}").replace("0..4", "5..9"))
    (tmp_path / "runs").mkdir()
    shutil.copytree(path, tmp_path / "runs" / "b")
    run = dotexp.run(spec, ["stage.all.freeze=body"], runs=tmp_path / "runs", report=False)
    before, after = load_file(digits.model), load_file(run.model)
    body = [name for name in before if name.startswith("body.")]
    assert body and all(torch.equal(before[name], after[name]) for name in body)


@pytest.mark.parametrize("weights", ['run("b")', '"b"'], ids=["as a run", "as a folder"])
def test_a_damaged_bundle_starts_no_run(digits: RunFolder, tmp_path: Path, weights: str) -> None:
    path = Workspace().export(digits, out=tmp_path / "b").path
    spec = tmp_path / "next.exp"
    spec.write_text(DIGITS.replace("weights = none", f"weights = {weights}"))
    shutil.copytree(path, tmp_path / "runs" / "b")
    for copy in (path, tmp_path / "runs" / "b"):
        with (copy / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\x7f")
    done = runner("plan", str(spec), folder=tmp_path)
    assert done.returncode == 2 and "error[E405]" in done.stderr
    assert "b is damaged: model.safetensors is not as it was written; copy it again" in done.stderr
    with pytest.raises(dotexp.SpecError, match=r"E405.*is damaged"):
        dotexp.run(spec, runs=tmp_path / "runs", report=False)


def test_samples_may_be_given_and_the_data_gone(digits: RunFolder, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), "grey").save(tmp_path / "grey.png")
    work = Workspace(digits.path.parent)
    exported = work.export("digits", out=tmp_path / "b", samples=[str(tmp_path / "grey.png"), "digits:4"])
    assert exported.samples == 2
    assert "| digits:4 |" in (exported.path / "README.md").read_text()


def test_without_data_the_cure_is_named(tmp_path: Path) -> None:
    write_ratings(tmp_path / "ratings.csv")
    (tmp_path / "films.exp").write_text(FILMS)
    assert runner("run", "films.exp", "--no-report", folder=tmp_path).returncode == 0
    (tmp_path / "ratings.csv").rename(tmp_path / "moved.csv")
    done = runner("export", "films", folder=tmp_path)
    assert done.returncode == 2 and "--set data.path=NEW" in done.stderr and "--sample INPUT" in done.stderr
    done = runner("export", "films", "--set", "data.path=moved.csv", folder=tmp_path)
    assert done.stdout.startswith("films-1-bundle:")
    answer = json.loads(runner("export", "films", "--sample", "u1:i1", "--out", "x", "--json", folder=tmp_path).stdout)
    assert answer["samples"] == 1 and answer["format"] == "bundle" and answer["difference"] == 0
    (tmp_path / "moved.csv").write_text("user,item,rating\n" + "\n".join(f"a{n},b,{n % 5}" for n in range(20)))
    done = runner("export", "films", "--set", "data.path=moved.csv", "--out", "y", folder=tmp_path)
    assert done.returncode == 2 and "has other users or items" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["films-1-bundle", "runs", "x"]


# what a bundle refuses


@pytest.fixture
def bundle(films: RunFolder, tmp_path: Path) -> Path:
    return Workspace().export(films, out=tmp_path / "bundle").path


def test_every_damaged_file_is_named(bundle: Path) -> None:
    (bundle / "vocabulary.json").unlink()
    with (bundle / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    (bundle / "samples.safetensors").write_bytes(b"")
    with pytest.raises(dotexp.UsageError) as refused:
        dotexp.predict(bundle, "u1:i1")
    assert str(refused.value) == (
        f"the bundle {bundle} is damaged: model.safetensors is not as it was written, samples.safetensors is not as it "
        "was written, vocabulary.json is missing; copy it again"
    )


def test_the_card_may_be_edited(bundle: Path) -> None:
    (bundle / "README.md").write_text("our model")
    assert dotexp.predict(bundle, "u1:i1")[0].input == {"user": "u1", "item": "i1"}


@pytest.mark.parametrize("off", [2e-3, float("nan")])
def test_other_outputs_than_the_samples_are_refused_with_the_versions_that_changed(bundle: Path, off: float) -> None:
    tensors = load_file(bundle / "samples.safetensors")
    tensors["outputs"][0] += 0.5 * off
    save_file(tensors, bundle / "samples.safetensors")
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert "dotexp_collab" in manifest["versions"] and "dotexp_vision" not in manifest["versions"]
    manifest["versions"] |= {"torch": "1.0", "dotexp_collab": "0.0.1", "acme": "3"}
    rewrite(bundle, manifest)
    with pytest.raises(
        dotexp.UsageError, match=r"gives other outputs here.* 0.0001 is allowed; .*torch 1\.0, now 2.*"
    ) as told:
        dotexp.predict(bundle, "u1:i1")
    assert "dotexp_collab 0.0.1, now " in str(told.value) and "acme 3, not installed now" in str(told.value)


def test_a_spec_that_another_version_refuses_is_told_with_the_versions_that_changed(bundle: Path) -> None:
    """As where a plugin is missing, or no longer has a parameter."""
    text = (bundle / "resolved.exp").read_text().replace("factors = 3", "factors = 3, rank = 2")
    (bundle / "resolved.exp").write_text(text)
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["versions"]["dotexp_collab"] = "9.9"
    rewrite(bundle, manifest, "resolved.exp")
    with pytest.raises(dotexp.SpecError, match="`rank`") as refused:
        dotexp.predict(bundle, "u1:i1")
    assert "versions since: dotexp_collab 9.9, now " in refused.value.diagnostics[0].help


def rewrite(bundle: Path, manifest: dict[str, dict[str, dict[str, str]]], name: str = "samples.safetensors") -> None:
    from dotexp.runs.bundle_files import checksum

    manifest["files"][name]["sha256"] = checksum(bundle / name)
    (bundle / "bundle.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{", "bundle.json"),
        ("[]", "is not a JSON object"),
        ("{}", "format None, and this dotexp reads format 1"),
        ('{"format_version": 2, "files": {}}', "format 2, and this dotexp reads format 1"),
        ('{"format_version": 1}', "lists no files"),
        ('{"format_version": 1, "files": {"../../etc/passwd": 3}}', "is missing"),
    ],
    ids=["cut", "list", "empty", "newer", "no files", "elsewhere"],
)
def test_a_manifest_that_is_none_is_refused(bundle: Path, manifest: str, message: str) -> None:
    (bundle / "bundle.json").write_text(manifest)
    with pytest.raises(dotexp.UsageError, match=message):
        dotexp.predict(bundle, "u1:i1")


def test_what_exists_is_not_overwritten_and_only_finished_runs_are_exported(films: RunFolder, tmp_path: Path) -> None:
    work = Workspace()
    (tmp_path / "taken").mkdir()
    with pytest.raises(dotexp.UsageError, match=r"taken exists already: name another with --out"):
        work.export(films, out=tmp_path / "taken")
    with pytest.raises(dotexp.UsageError, match="there is no format `tflite`: formats are bundle, onnx, torch"):
        work.export(films, "tflite", tmp_path / "x")
    unfinished = tmp_path / "films-7"
    shutil.copytree(films.path, unfinished)
    (unfinished / "result.json").unlink()
    with pytest.raises(dotexp.UsageError, match="is unfinished: a bundle is made of a finished run"):
        work.export(unfinished, out=tmp_path / "x")
    (unfinished / "model.safetensors").unlink()
    with pytest.raises(dotexp.UsageError, match="has no model"):
        work.export(unfinished, out=tmp_path / "x")
    assert {path.name for path in tmp_path.iterdir()} == {"taken", "films-7"}
