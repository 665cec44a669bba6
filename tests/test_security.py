"""What dsl/README.md promises under Threats: a stranger's spec, weights or data run nothing and write nowhere else."""

from __future__ import annotations

import ast
import gzip
import json
import os
import pickle
import struct
import sys
import zlib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from dotexp import ComponentError, DataContext, UsageError
from dotexp.components.registry import load_registry
from dotexp.engine.build.probe import Probe
from dotexp.experiment.json import as_json
from dotexp.experiment.text import as_text
from dotexp.language.diagnostics import Diagnostic, render
from dotexp.language.source import source_from_text
from dotexp.runs.folder import create_run
from dotexp.sdk.tables import files
from dotexp_collab.data.params import RatingsParams
from dotexp_collab.data.ratings import build
from dotexp_vision.data.decode import MOST_PIXELS, UnreadableImageError, read_image
from dotexp_vision.models.weights import read_tensors

from specs import IMAGES, RATINGS, checked, faults, resolved

ROOT = Path(__file__).parents[1]
CODE = sorted([*(ROOT / "dsl").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below a folder with its size and time of change."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


# Code


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
def test_a_pickle_given_as_weights_is_refused_and_not_run(tmp_path: Path, legacy: bool) -> None:
    marker, file = tmp_path / "marker", tmp_path / "weights.pth"
    torch.save({"fc.weight": Bomb(marker)}, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ComponentError, match="which are not read: they may run code"):
        read_tensors(file)
    assert not marker.exists()
    torch.load(file, weights_only=False)  # the same file does harm where it is let
    assert marker.exists()


def test_a_plain_pickle_given_as_weights_is_refused_and_not_run(tmp_path: Path) -> None:
    marker, file = tmp_path / "marker", tmp_path / "weights.pt"
    file.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(ComponentError):
        read_tensors(file)
    assert not marker.exists()


@pytest.mark.parametrize(
    "change",
    [
        ("loss cross_entropy", "loss stranger.build"),
        ("loss cross_entropy", "loss stranger"),
        ("loss cross_entropy", 'loss "stranger:build"'),
        ("head mlp", "head os.system"),
        ("head mlp", "head dotexp.load_attribute"),
        ("one_cycle(epochs = 1", "stranger.one_cycle(epochs = 1"),
        ("\nexperiment", '\nextends "stranger.py"\nexperiment'),
        ("digits(classes = 0..4)", 'ratings("x", encoding = "stranger")'),
        ("digits(classes = 0..4)", 'ratings("x", encoding = "../stranger")'),
    ],
)
def test_a_spec_cannot_name_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str]) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "stranger.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = IMAGES.replace(*change)
    assert text != IMAGES
    found, diagnostics = checked(text, folder=tmp_path)
    assert found is None and any(d.code.startswith("E") for d in diagnostics)
    assert "stranger" not in sys.modules and not marker.exists()


def test_plugins_come_from_installed_entry_points_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "dotexp_stranger.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "dotexp_stranger" not in [provider.name for provider in load_registry().providers]
    assert not marker.exists()
    load_registry([EntryPoint("dotexp_stranger", "dotexp_stranger", "dotexp")])  # the same module, once installed
    assert marker.exists()


BUILTINS = {"eval", "exec", "__import__", "compile"}
METHODS = {"format_map", "system", "popen", "literal_eval", "Template", "from_string"}
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "code", "runpy"}


def test_the_code_has_no_way_to_run_text() -> None:
    assert len(CODE) > 80
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not imported & MODULES, place
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            assert name not in METHODS and not (isinstance(called, ast.Name) and name in BUILTINS), place
            if isinstance(called, ast.Attribute) and name == "format":
                template = node.args[0] if ast.unparse(called.value) == "pl" else called.value
                constant = isinstance(template, ast.Name) and template.id.isupper()  # a constant of the module
                assert constant or isinstance(template, ast.Constant), place
            if ast.unparse(called) in ("torch.load", "np.load", "numpy.load"):
                safe = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert safe.get("weights_only") == "True", place


def test_user_text_is_never_a_format_string() -> None:
    hostile = "{0.__class__.__mro__} %s %(x)d $HOME {{}} `id` [red]"
    found = resolved(RATINGS.replace("experiment films", f'experiment films "{hostile}"'))
    assert found.experiment.description == hostile and hostile in as_text(found.experiment)
    assert as_json(found.experiment)["description"] == hostile
    assert hostile in render(Diagnostic("E402", hostile, None))


# Weights


def safetensors(header: bytes, length: int | None = None, body: bytes = b"") -> bytes:
    """A file by the format's rules, or not."""
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def tensor(shape: list[int], offsets: list[int]) -> bytes:
    return json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()


@pytest.mark.parametrize(
    "content",
    [
        safetensors(b"{}", 2**63),
        safetensors(b"{}", 2**40),
        safetensors(b"{}", 90_000_000),
        safetensors(tensor([2**31, 2**31], [0, 4]), body=b"1234"),
        safetensors(tensor([2**40], [0, 2**42]), body=b"1234"),
        safetensors(tensor([1], [4, 0]), body=b"1234"),
        safetensors(b"[" * 100_000),
        safetensors(b'{"a":' * 100_000),
        safetensors(b"\xff\xfe"),
        b"",
        b"\x01",
    ],
)
def test_hostile_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    from dotexp.engine.build.weights import load_weights

    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    for reader in (read_tensors, load_weights):
        with pytest.raises(ComponentError) as caught:
            reader(file)
        assert caught.value.problem.code == "E405" and "a.safetensors" in str(caught.value)


# Paths


@pytest.mark.parametrize("name", ["../x", "..", "a/b", "/tmp/x", "a\\b", "", ".", "a b", "x" * 65, "a.b", "é", "a\n"])
def test_an_experiment_cannot_name_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        create_run(name, tmp_path / "runs")
    assert everything_in(tmp_path) == {}
    for written in (name, f'"{name}"'):
        found, _ = checked(RATINGS.replace("experiment films", f"experiment {written}"))
        assert found is None or found.experiment.name == "a"  # a word and then a string or a new line


def test_a_run_named_by_a_path_is_only_read(tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    for name in ("model.safetensors", "result.json", "plan.json"):
        (outside / name).write_bytes(b"{}")
    (tmp_path / "a" / "runs").mkdir(parents=True)
    before = everything_in(tmp_path)
    text = IMAGES.replace("weights = none", 'weights = run("../../elsewhere")')
    body = resolved(text, folder=tmp_path / "a").experiment.model.body
    assert body is not None
    named = dict(body.params)["weights"].params.run
    assert Probe(tmp_path / "a" / "runs").run_folder(named) == outside
    with pytest.raises(UsageError):
        create_run(named, tmp_path / "a" / "runs")
    assert everything_in(tmp_path) == before


# Bombs


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_an_endless_base_file_is_refused(tmp_path: Path, kind: str) -> None:
    base = tmp_path / "base.exp"
    if kind == "pipe":
        os.mkfifo(base)
    else:
        base.symlink_to("/dev/zero")
    _, diagnostics = checked(f'extends "{base}"')
    assert diagnostics[0].code == "E211" and "not a file" in diagnostics[0].message


def test_a_large_base_file_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base.exp"
    with base.open("wb") as file:
        file.truncate(2**40)
    assert "E107" in [code for code, _ in faults(f'extends "{base}"')]


def test_a_gzip_bomb_in_ratings_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 1_000_000)
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(b"1,2,3\n" * 200_000))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(ComponentError, match=r"bomb\.gz has more than 1,000,000 bytes") as caught:
        build(RatingsParams(path=bomb), DataContext(1))
    assert caught.value.problem.field == "path"
    bomb.write_bytes(gzip.compress(b"1,2,3\n" * 1000))
    assert build(RatingsParams(path=bomb), DataContext(1)).facts.train == 800


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_endless_ratings_are_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "ratings.csv"
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    with pytest.raises(ComponentError, match="is not a file"):
        build(RatingsParams(path=file), DataContext(1))


def png(width: int, height: int) -> bytes:
    """A PNG that says how large it is, with next to nothing in it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(50_000, 50_000), (17_001, 10_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_bomb_is_refused_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    assert size[0] * size[1] > MOST_PIXELS
    file = tmp_path / "bomb.png"
    file.write_bytes(png(*size))
    with pytest.raises(UnreadableImageError, match=r"bomb\.png cannot be read: .*pixels"):
        read_image(file)


# What is shown


def test_diagnostics_hold_no_commands_for_the_terminal() -> None:
    _, diagnostics = checked('extends "\\u001b[2J\\u202ex\\u000a"')
    shown = "".join(render(d) for d in diagnostics)
    assert "\x1b" not in shown and "\u202e" not in shown and "\N{REPLACEMENT CHARACTER}" in shown


def test_controls_and_changes_of_direction_are_written_out_as_escapes() -> None:
    text = RATINGS.replace("experiment films", 'experiment films "\\u001b[2J\\u202e\\u2028\\u007f\\ufffe\\u0085"')
    found = resolved(text)
    written = as_text(found.experiment)
    assert "\\u001b[2J\\u202e\\u2028\\u007f\\ufffe\\u0085" in written
    assert resolved(written).experiment == found.experiment
    assert source_from_text(written).text == written


@pytest.mark.parametrize("metadata", ["[]", "3", '{"ties": []}', '{"ties": {"a": []}}', "[" * 100_000])
def test_weights_with_hostile_metadata_are_refused(metadata: str, tmp_path: Path) -> None:
    import torch
    from dotexp.engine.build.weights import load_weights
    from dotexp.language.diagnostics import ComponentError
    from safetensors.torch import save

    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": torch.zeros(1)}, {"dotexp": metadata}))
    with pytest.raises(ComponentError) as refused:
        load_weights(path)
    assert refused.value.problem.code == "E405"


def test_a_spec_that_never_ends_is_refused() -> None:
    from dotexp.experiment.checking import check
    from dotexp.language.diagnostics import UsageError

    with pytest.raises(UsageError, match="not a file"):
        check("/dev/zero")
