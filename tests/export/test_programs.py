"""Exports to torch and ONNX: the model's outputs, for batches of any size, without dotexp."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dotexp
import pytest
import torch
from dotexp import Workspace
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.network import build_network
from dotexp.export.samples import TOLERANCE, difference
from dotexp.runs.folder import RunFolder
from exported import DIGITS, FILMS, train_digits, train_films, write_ratings
from programs import body_network, images, largest_differences, prepared
from spec_runner import runner

from specs import resolved

pytestmark = pytest.mark.run

QUICK = ("resnet18", "squeezenet1_1")
FAMILIES = (
    "resnext50_32x4d", "densenet121", "vgg11_bn", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
    "convnext_tiny", "regnet_x_400mf", "regnet_y_400mf", "swin_t", "swin_v2_t", "vit_b_32",
)  # fmt: skip
"""The smallest body of each of torchvision's other architectures."""

RATING_MODELS = (
    "embedding_dot_bias(factors = 4)",
    "embedding_dot_bias(factors = 4, unknown_rate = 10%, mean_start = true)",
    "embedding_nn([8, 4], dropout = 0.5)",
    "svd_plus_plus(factors = 4)",
    "svd_plus_plus(factors = 4, histories = users, longest = 3)",
    "svd_plus_plus(factors = 4, histories = items, unknown_rate = 10%)",
    "feature_dot_bias(factors = 4)",
    "feature_dot_bias(factors = 4, histories = both)",
)


@pytest.mark.parametrize("body", QUICK)
def test_a_body_gives_the_same_outputs_exported(body: str, tmp_path: Path) -> None:
    network, loss, side = body_network(f"{body}(weights = none)")
    for largest in largest_differences(network, loss, images(side), tmp_path):
        assert largest <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("body", FAMILIES)
def test_every_architecture_gives_the_same_outputs_exported(body: str, tmp_path: Path) -> None:
    network, loss, side = body_network(f"{body}(weights = none)")
    for largest in largest_differences(network, loss, images(side), tmp_path):
        assert largest <= TOLERANCE


@pytest.mark.parametrize("model", RATING_MODELS)
def test_a_rating_model_gives_the_same_outputs_exported(model: str, tmp_path: Path) -> None:
    write_ratings(tmp_path / "ratings.csv")
    (tmp_path / "users.csv").write_text("user,town\n" + "\n".join(f"u{n},town{n % 3}" for n in range(9)))
    text = FILMS.replace("embedding_dot_bias(factors = 3)", model)
    if "feature" in model:
        features = 'table("users.csv", id = "user", categories = ["town"])'
        text = text.replace("batch_size = 8", f"batch_size = 8, user_features = {features}")
    found = resolved(text, folder=tmp_path)
    data = DataStore().get(found.experiment.data, 42)
    network = build_network(found.experiment.model, data.facts, 0)
    with torch.no_grad():
        for parameter in network.parameters():  # large enough to tell one pair from another
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    prepared(network, found)
    users, items = (axis.flatten() for axis in torch.meshgrid(torch.arange(10), torch.arange(8), indexing="ij"))
    loss = found.experiment.loss.build(data.facts)
    with torch.no_grad():
        assert network(users, items).std() > 0.05
    for largest in largest_differences(network, loss, (users, items), tmp_path):
        assert largest <= TOLERANCE


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_digits(
        tmp_path_factory.mktemp("digits"), DIGITS.replace("body resnet18", "body squeezenet1_1").replace("16", "32")
    )


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_films(tmp_path_factory.mktemp("films"))


@pytest.mark.process
def test_a_torch_program_is_loaded_where_there_is_no_dotexp(digits: RunFolder, tmp_path: Path) -> None:
    exported = Workspace().export(digits, "torch", tmp_path / "m.pt2")
    assert exported.difference <= TOLERANCE and exported.bytes == (tmp_path / "m.pt2").stat().st_size
    (expected,) = dotexp.predict(digits, "digits:7")
    script = (
        "import sys, json, torch\n"
        "sys.modules['dotexp'] = None\n"
        "files = {'dotexp.json': ''}\n"
        "program = torch.export.load('m.pt2', extra_files=files).module()\n"
        "about = json.loads(files['dotexp.json'])\n"
        "outputs = program(torch.load('x.pt')).tolist()\n"
        "print(json.dumps([about['classes'], outputs]))\n"
    )
    from dotexp.commands.predicting import make_predictor

    encoded = make_predictor(digits, (), None, None).encode(["digits:7", "digits:8", "digits:9"])
    torch.save(torch.cat([batch for (batch,) in encoded.batches]), tmp_path / "x.pt")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    classes, outputs = json.loads(done.stdout)
    assert expected.probabilities is not None and len(outputs) == 3
    assert dict(zip(classes, outputs[0], strict=True)) == pytest.approx(expected.probabilities, abs=TOLERANCE)


def test_an_onnx_model_names_its_batch_inputs_and_labels(digits: RunFolder, films: RunFolder, tmp_path: Path) -> None:
    import onnxruntime

    Workspace().export(digits, "onnx", tmp_path / "d.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "d.onnx", providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape) for each in session.get_inputs()] == [("images", ["batch", 3, 32, 32])]
    assert [(each.name, each.shape) for each in session.get_outputs()] == [("predictions", ["batch", 5])]
    about = json.loads(session.get_modelmeta().custom_metadata_map["dotexp.json"])
    assert about["classes"] == list("01234") and about["preprocessing"]["data"]["params"]["size"] == 32
    for count in (1, 2, 7):
        (found,) = session.run(None, {"images": images(32, count)[0].numpy()})
        assert found.shape == (count, 5) and found.sum(1) == pytest.approx([1.0] * count, abs=1e-5)
    done = runner("export", "films", "--to", "onnx", "--runs", str(films.path.parent), "--json", folder=tmp_path)
    answer = json.loads(done.stdout)
    assert answer["path"] == "films-1.onnx" and answer["difference"] <= TOLERANCE
    pairs = onnxruntime.InferenceSession(tmp_path / "films-1.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in pairs.get_inputs()] == ["users", "items"]


def test_weights_too_large_for_one_onnx_file_are_in_another_beside_it(
    digits: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dotexp.export import onnx

    whole = Workspace().export(digits, "onnx", tmp_path / "whole.onnx")
    monkeypatch.setattr(onnx, "_LARGEST", 1_000_000)
    parted = Workspace().export(digits, "onnx", tmp_path / "parted.onnx")
    model, data = tmp_path / "parted.onnx", tmp_path / "parted.onnx.data"
    assert model.stat().st_size < 1_000_000 < data.stat().st_size
    assert parted.bytes == model.stat().st_size + data.stat().st_size and parted.difference == whole.difference
    answers = [onnx.session_answer(path)(images(32)) for path in (tmp_path / "whole.onnx", model)]
    assert torch.equal(*answers)
    small = Workspace().export(digits, "onnx", tmp_path / "small.onnx", quantize="int8")
    assert small.bytes < parted.bytes / 2
    model.unlink()
    with pytest.raises(dotexp.UsageError, match=r"parted\.onnx\.data exists already"):
        Workspace().export(digits, "onnx", model)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["parted.onnx.data", "small.onnx", "whole.onnx"]


def test_outputs_that_differ_fail_and_leave_no_file(
    digits: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dotexp.export import programs

    plain = programs.Program.forward
    monkeypatch.setattr(programs.Program, "forward", lambda self, *inputs: plain(self, *inputs) + 1e-3)
    for format in ("torch", "onnx"):
        with pytest.raises(dotexp.RunError, match=rf"the {format} export gives other outputs .* 0\.001 on"):
            Workspace().export(digits, format, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format", "quantize"), [("bundle", "bf16"), ("torch", "bf16"), ("onnx", "int8")])
def test_quantised_it_is_smaller_and_says_what_it_costs(
    digits: RunFolder, tmp_path: Path, format: str, quantize: str
) -> None:
    work = Workspace()
    plain = work.export(digits, format, tmp_path / "plain")
    small = work.export(digits, format, tmp_path / "small", quantize=quantize)
    assert small.bytes < 0.75 * plain.bytes and 0 < small.difference < 0.2
    model, export = small.metrics["accuracy"]
    assert model == pytest.approx(dotexp.evaluate(digits).metrics["accuracy"]) and abs(export - model) < 0.1
    assert small.as_json()["metrics"] == {"accuracy": {"model": model, "export": export}}
    about = metadata(tmp_path / "small", format)
    assert about["quantized"] == quantize and about["metrics"] == small.as_json()["metrics"]
    assert "quantized" not in metadata(tmp_path / "plain", format)
    if format == "bundle":
        card = (small.path / "README.md").read_text()
        assert f"| metric | run | bf16 |\n|---|---|---|\n| accuracy | {model:.6g} | {export:.6g} |" in card
        assert f"    - type: accuracy\n      value: {export!r}\n" in card
        assert "Quantised" not in (plain.path / "README.md").read_text()
        assert dotexp.evaluate(small.path).metrics["accuracy"] == pytest.approx(export)


def metadata(path: Path, format: str) -> dict[str, Any]:
    if format == "bundle":
        text = (path / "bundle.json").read_text()
    elif format == "torch":
        files = {"dotexp.json": ""}
        torch.export.load(path, extra_files=files)
        text = files["dotexp.json"]
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        text = session.get_modelmeta().custom_metadata_map["dotexp.json"]
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("metrics", "told"), [("", "no metric, which is"), ("metrics precision_at(3)", "no metric but rankings, which are")]
)
def test_without_a_metric_quantising_is_refused_with_one_to_measure_it_by(
    tmp_path: Path, metrics: str, told: str
) -> None:
    write_ratings(tmp_path / "ratings.csv")
    (tmp_path / "films.exp").write_text(FILMS.replace("metrics rmse", metrics))
    run = dotexp.run(tmp_path / "films.exp", runs=tmp_path / "runs", report=False)
    work = Workspace(tmp_path / "runs")
    with pytest.raises(dotexp.UsageError, match=rf"`films` has {told} needed for it\n.*--set metrics=rmse"):
        work.export(run, "onnx", tmp_path / "m.onnx", quantize="int8")
    assert not (tmp_path / "m.onnx").exists()
    exported = work.export(run, "onnx", tmp_path / "m.onnx", quantize="int8", set="metrics=rmse")
    assert exported.metrics["rmse"][0] == pytest.approx(exported.metrics["rmse"][1], rel=0.05)


def test_quantising_is_refused_where_it_does_not_fit(digits: RunFolder, tmp_path: Path) -> None:
    work = Workspace()
    with pytest.raises(dotexp.UsageError, match="onnx is quantised to int8, not to bf16"):
        work.export(digits, "onnx", tmp_path / "x", quantize="bf16")
    with pytest.raises(dotexp.UsageError, match="`int4` is no quantisation: bf16 and int8 are"):
        work.export(digits, "onnx", tmp_path / "x", quantize="int4")


def test_a_missing_extra_is_told_with_the_line_that_installs_it(
    digits: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dotexp.export import requirements

    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name.startswith("onnx") else object())
    done = runner("export", str(digits.path), "--to", "onnx", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: an ONNX export needs onnx and onnxscript and onnxruntime, which are not installed\n"
        "  to install what it needs: pip install 'dotexp[onnx]'\n"
    )


def test_differences_are_relative_to_large_outputs_and_see_what_is_no_number() -> None:
    ones, nan = torch.ones(3), torch.tensor([1.0, float("nan"), 1.0])
    assert difference(ones * 0.5, ones * 0.75) == 0.25
    assert difference(ones * 100, ones * 200) == 0.5
    assert difference(nan, ones) == difference(ones, nan) == difference(ones, ones[:2]) == float("inf")
