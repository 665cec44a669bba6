"""Weights files as people have them: checkpoints, prefixes, other formats, tensors that are no numbers."""

from __future__ import annotations

import argparse
import gzip
import re
from collections import OrderedDict
from pathlib import Path
from urllib.error import URLError

import dotexp
import numpy as np
import pytest
import torch
from bodies import build, refusal
from dotexp import FileWeights, Use
from dotexp.components.registry import load_registry
from PIL import Image
from safetensors.torch import save_file
from spec_runner import runner
from torch import Tensor
from torchvision import models

from specs import checked, resolved


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The smallest model's weights."""
    torch.manual_seed(1)
    return dict(models.squeezenet1_1().state_dict())


def file(path: Path, **parameters: str) -> Use:
    (component,) = load_registry().find("weights", "file")
    return Use(component=component, params=FileWeights(path=path, **parameters))


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def filled(weights: object, state: dict[str, Tensor]) -> bool:
    own = build("squeezenet1_1", weights).layers["features_0"].weight
    return torch.equal(own, state["features.0.weight"])


# Checkpoints and prefixes


@pytest.mark.parametrize("prefix", ["module.", "model.", "backbone.", "net.encoder."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_common_prefix_is_named_and_can_be_stripped(
    prefix: str, suffix: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    given = {**prefixed(state, prefix), "loss.weight": torch.ones(2)}
    save_file(given, path) if suffix == ".safetensors" else torch.save(given, path)
    error = refusal("squeezenet1_1", path)
    assert error.problem.help == f'its names start with `{prefix}`: weights = file("{path}", prefix = "{prefix}")'
    assert filled(file(path, prefix=prefix), state)
    wrong = refusal("squeezenet1_1", file(path, prefix="other."))
    assert "no tensor's name in" in str(wrong) and f"`{prefix.split('.', maxsplit=1)[0]}.`" in wrong.problem.help


@pytest.mark.parametrize(
    ("wrap", "what", "key"),
    [
        (lambda state: {"epoch": 3, "model": state}, "a checkpoint", "model"),
        (lambda state: {"state_dict": state, "optimizer": {"lr": 0.1}, "best": 0.7}, "a checkpoint", "state_dict"),
        (
            lambda state: {"state_dict": state, "pytorch-lightning_version": "2.5"},
            "a Lightning checkpoint",
            "state_dict",
        ),
        (lambda state: {"ema": {"module": state}}, "a checkpoint", "ema.module"),
    ],
)
def test_a_checkpoint_says_how_its_weights_are_had(
    wrap: object, what: str, key: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    for name, prefix in (("plain.ckpt", ""), ("wrapped.ckpt", "model.")):
        path = tmp_path / name
        torch.save(wrap(prefixed(state, prefix)), path)  # type: ignore[operator]
        error = refusal("squeezenet1_1", path)
        assert str(error) == f"{path} is {what}, with its state dict inside, called `{key}`"
        common = prefix or "features."  # which all names of the body start with, where its classifier has none
        assert error.problem.help.startswith(f'weights = file("{path}"') and f'key = "{key}"' in error.problem.help
        assert (f'prefix = "{prefix}"' in error.problem.help) == bool(prefix), common
        assert filled(file(path, key=key, prefix=prefix), state)


def test_several_state_dicts_are_listed(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "two.pth"
    torch.save({"model": state, "ema": state, "epoch": 1}, path)
    assert "with its state dicts inside (`model`, `ema`)" in str(refusal("squeezenet1_1", path))
    error = refusal("squeezenet1_1", file(path, key="net"))
    assert "holds no state dict `net`" in str(error) and error.problem.help == "state dicts in it: `model`, `ema`"


def test_an_optimizers_state_is_no_state_dict(state: dict[str, Tensor], tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.save({"optimizer": optimizer.state_dict(), "net": state, "epoch": 1}, tmp_path / "a.pth")
    assert str(refusal("squeezenet1_1", tmp_path / "a.pth")).endswith("its state dict inside, called `net`")
    torch.save(optimizer.state_dict(), tmp_path / "b.pth")
    error = refusal("squeezenet1_1", tmp_path / "b.pth")
    assert "holds no state dict" in str(error) and error.problem.help == "it holds the state of an optimizer"


def test_what_stands_among_the_tensors_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({**state, "epoch": 3}, tmp_path / "a.pth")
    assert refusal("squeezenet1_1", tmp_path / "a.pth").problem.help == f"it holds {len(state)} tensors, epoch (int)"


def test_many_state_dicts_are_counted(tmp_path: Path) -> None:
    torch.save({f"fold{number}": {"w": torch.zeros(1)} for number in range(8)}, tmp_path / "a.pth")
    assert "(`fold0`, `fold1`, `fold2`, `fold3`, `fold4` and 3 more)" in str(refusal("resnet18", tmp_path / "a.pth"))


def test_a_key_and_a_prefix_are_told_together(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "both.ckpt"
    torch.save({"state_dict": prefixed(state, "model."), "epoch": 1}, path)
    error = refusal("squeezenet1_1", file(path, key="state_dict"))
    assert error.problem.help.endswith(f'weights = file("{path}", prefix = "model.", key = "state_dict")')


def test_a_state_dict_as_an_ordered_dict_is_one(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(OrderedDict(state), tmp_path / "a.pth")
    assert filled(tmp_path / "a.pth", state)


# What is no weights file


def test_python_objects_are_named_without_torchs_lecture(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(models.squeezenet1_1(), tmp_path / "whole.pth")
    error = refusal("squeezenet1_1", tmp_path / "whole.pth")
    assert "whole.pth is a file that holds Python objects (torchvision.models.squeezenet.SqueezeNet)" in str(error)
    assert "save the state dict alone" in error.problem.help
    hyper = {"state_dict": state, "hyper_parameters": argparse.Namespace(a=1), "pytorch-lightning_version": "2.5"}
    torch.save(hyper, tmp_path / "hyper.ckpt")
    assert "hyper.ckpt is a Lightning checkpoint that holds Python objects (argparse.Namespace)" in str(
        refusal("squeezenet1_1", tmp_path / "hyper.ckpt")
    )


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_other_files_are_told_by_their_content(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    old = (tmp_path / "old.pth").read_bytes()
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "script.pth"))
    np.savez(tmp_path / "arrays.npz", a=np.ones(2))
    files = {
        "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer"),
        "page.safetensors": (b"<!DOCTYPE html><html>404</html>", "is a web page (HTML), not PyTorch weights"),
        "packed.pth": (gzip.compress(whole[:999]), "is gzip, not PyTorch weights"),
        "keras.pth": (b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file"),
        "script.pth": ((tmp_path / "script.pth").read_bytes(), "is a TorchScript program"),
        "arrays.pth": ((tmp_path / "arrays.npz").read_bytes(), "is a NumPy archive, not PyTorch weights"),
        "error.pth": (b'{"message": "Not Found"}', "is JSON, not PyTorch weights"),
        "text.pth": (b"not weights at all", "is text, not weights: not weights at all"),
        "empty.pth": (b"", "is an empty file"),
        "cut.pth": (whole[: len(whole) // 2], "cannot be read as weights: it is damaged or incomplete"),
        "cut-old.pth": (old[: len(old) // 2], "cannot be read as weights: it is damaged or incomplete"),
        "noise.pth": (bytes(range(128, 256)) * 9, "cannot be read as weights: it is damaged, or no file of torch.save"),
        "cut.safetensors": (b"\x99\0\0\0\0\0\0\0{" + b" " * 300, "cannot be read as weights"),
    }
    for name, (content, said) in files.items():
        (tmp_path / name).write_bytes(content)
        message = str(refusal("squeezenet1_1", tmp_path / name))
        assert said in message and name in message
        assert not re.search("weights_only|trust|docs|\x1b", message), message


def test_the_content_counts_and_not_the_suffix(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "a.pth")
    torch.save(state, tmp_path / "b.safetensors")
    torch.save(state, tmp_path / "c.bin", _use_new_zipfile_serialization=False)
    assert all(filled(tmp_path / name, state) for name in ("a.pth", "b.safetensors", "c.bin"))


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, tmp_path / "squeezenet.pth")
    error = refusal("squeezenet1_1", tmp_path / "squeeznet.pth")
    assert "no such weights file" in str(error) and error.problem.help == f"did you mean {tmp_path / 'squeezenet.pth'}?"
    (tmp_path / "empty").mkdir()
    assert "no .safetensors, .bin or .pth file" in str(refusal("squeezenet1_1", tmp_path / "empty"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.to(torch.int8), "is of integers"),
        (lambda t: t > 0, "is of integers"),
        (lambda t: t.to(torch.complex64), "is complex"),
        (lambda t: t.to_sparse(), "is sparse"),
        (lambda t: torch.full_like(t, float("nan")), "has values that are NaN or infinite"),
        (lambda t: t.index_fill(0, torch.tensor([3]), float("inf")), "has values that are NaN or infinite"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "is quantized"),
    ],
)
@pytest.mark.filterwarnings("ignore:torch.quantize")
def test_tensors_that_are_no_numbers_are_refused(
    change: object, said: str, tmp_path: Path, state: dict[str, Tensor]
) -> None:
    torch.save({**state, "features.0.weight": change(state["features.0.weight"])}, tmp_path / "odd.pth")  # type: ignore[operator]
    message = str(refusal("squeezenet1_1", tmp_path / "odd.pth"))
    assert f"holds no usable weights: 1 tensor (features.0.weight) {said}" in message


def test_half_and_double_precision_are_taken(tmp_path: Path, state: dict[str, Tensor]) -> None:
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        torch.save({name: tensor.to(kind) for name, tensor in state.items()}, tmp_path / "a.pth")
        own = build("squeezenet1_1", tmp_path / "a.pth").layers["features_0"].weight
        assert own.dtype is torch.float32
        torch.testing.assert_close(own, state["features.0.weight"].to(kind).float())


# What check and plan see


SPEC = """
experiment photos
data image_folder("photos", size = 32, valid = 2, batch_size = 2)
model {{ body {body} head linear }}
loss cross_entropy
stage train {{ fit flat(epochs = 1, lr = 1e-3) }}
runtime(threads = 1)
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with images, to write specs beside."""
    for number in range(8):
        place = tmp_path / "photos" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (30 * number, 0, 0)).save(place / f"{number}.png")
    return tmp_path


def ask(folder: Path, command: str, body: str) -> tuple[int, str]:
    (folder / "a.exp").write_text(SPEC.format(body=body))
    done = runner(command, "a.exp", folder=folder)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


WRONG = {
    "missing": "no such weights file",
    "other": "does not fit this body: it lacks",
    "integers": "is of integers",
    "prefix": "its names start with `module.`",
    "page": "is a web page",
    "sparse": "is sparse",
}


@pytest.mark.parametrize("form", ["path", "file"])
@pytest.mark.parametrize("wrong", WRONG)
def test_plan_and_run_refuse_wrong_weights_with_a_place_and_leave_no_folder(
    photos: Path, wrong: str, form: str, state: dict[str, Tensor]
) -> None:
    contents = {
        "other": models.resnet18().state_dict(),
        "integers": {**state, "features.0.weight": state["features.0.weight"].to(torch.int8)},
        "prefix": prefixed(state, "module."),
        "sparse": {**state, "features.0.weight": state["features.0.weight"].to_sparse()},
    }
    if wrong in contents:
        torch.save(contents[wrong], photos / "w.pth")
    elif wrong == "page":
        (photos / "w.pth").write_text("<html>404</html>")
    written = '"w.pth"' if form == "path" else 'file("w.pth")'
    for command in ("plan", "run"):
        code, said = ask(photos, command, f"squeezenet1_1(weights = {written})")
        assert code == 2 and "error[E405]" in said and WRONG[wrong] in said, said
        assert "a.exp:4:38" in said or "a.exp:4:43" in said, said
        assert not (photos / "runs").exists()
    code, said = ask(photos, "check", f"squeezenet1_1(weights = {written})")
    assert (code == 2 and "error[E405]: no such weights file" in said) == (wrong == "missing")


@pytest.mark.run
def test_values_that_are_not_finite_are_found_before_the_run(photos: Path, state: dict[str, Tensor]) -> None:
    torch.save({**state, "features.0.weight": state["features.0.weight"] * float("nan")}, photos / "w.pth")
    assert ask(photos, "plan", 'squeezenet1_1(weights = "w.pth")')[0] == 0  # which reads the header alone
    code, said = ask(photos, "run", 'squeezenet1_1(weights = "w.pth")')
    assert code == 2 and "NaN or infinite" in said and not (photos / "runs").exists()


@pytest.mark.parametrize(
    "body",
    [
        "regnet_x_400mf",
        "densenet121",
        "squeezenet1_1",
        'torchvision_body("shufflenet_v2_x0_5")',
        "vit_b_32(image_size = 32)",
    ],
)
def test_a_plan_takes_what_a_run_takes(photos: Path, body: str) -> None:
    name = re.split(r"[(]", body.replace('torchvision_body("', "").replace('")', ""))[0]
    torch.save(models.get_model_builder(name)(num_classes=2).state_dict(), photos / "w.pth")
    written = f'{body}(weights = "w.pth")' if "(" not in body else body.replace(")", ', weights = "w.pth")')
    code, said = ask(photos, "plan", written)
    assert code == 0, said


@pytest.mark.run
def test_a_plan_holds_a_runs_weights_against_the_body(photos: Path) -> None:
    assert ask(photos, "run", "squeezenet1_1(weights = none)")[0] == 0
    assert ask(photos, "plan", 'squeezenet1_1(weights = run("photos"))')[0] == 0
    code, said = ask(photos, "plan", 'resnet18(weights = run("photos"))')
    assert code == 2 and "do not fit the model" in said and "a.exp:4:33" in said


def test_check_away_from_the_files_warns(tmp_path: Path) -> None:
    _, said = ask(tmp_path, "check", 'squeezenet1_1(weights = "w.pth")')
    assert "warning[W510]: no such weights file" in said
    assert ask(tmp_path, "check", 'squeezenet1_1(weights = "w.pth")')[0] == 0
    assert ask(tmp_path, "plan", 'squeezenet1_1(weights = "w.pth")')[0] == 2
    found, diagnostics = checked(SPEC.format(body='squeezenet1_1(weights = "w.pth")'), folder=tmp_path)
    assert found is not None and diagnostics == ()  # the text alone is sound


def test_weights_to_be_downloaded_are_told_by_plan_and_fetched_before_the_run(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(photos / "hub"))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    code, said = ask(photos, "plan", "squeezenet1_1")
    assert code == 0 and "warning[W505]: not on this machine, and downloaded when the run starts" in said
    assert "squeezenet1_1-b8a52dc0.pth, 5 MB" in said
    code, said = ask(photos, "run", "squeezenet1_1")
    assert code == 2 and "cannot be downloaded" in said and "a.exp:4:14" in said
    assert not (photos / "runs").exists()


@pytest.mark.run
def test_a_run_starts_from_what_file_names_and_predicts_without_it(photos: Path, state: dict[str, Tensor]) -> None:
    torch.save({"state_dict": prefixed(state, "model."), "epoch": 3}, photos / "w.ckpt")
    body = 'squeezenet1_1(weights = file("w.ckpt", prefix = "model.", key = "state_dict"))'
    spec = resolved(SPEC.format(body=body).replace("stage train {", "stage train { freeze body "), folder=photos)
    run = dotexp.run(spec, runs=photos / "runs")
    from safetensors.torch import load_file

    assert torch.equal(load_file(run.model)["body.features_0.weight"], state["features.0.weight"])
    (photos / "w.ckpt").unlink()
    assert dotexp.predict(run, photos / "photos" / "a" / "0.png")[0].probabilities is not None
    assert dotexp.evaluate(run).loss is not None
