"""Predictions into a file: the same as `predict`, errors as rows, and resumed to the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import dotexp
import polars as pl
import pytest
from dotexp import Workspace
from dotexp.export import batch
from dotexp.runs.folder import RunFolder
from exported import train_digits, train_films
from PIL import Image
from spec_runner import runner

pytestmark = pytest.mark.run


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_digits(tmp_path_factory.mktemp("digits"))


def read(path: Path) -> pl.DataFrame:
    if path.suffix == ".csv":
        return pl.read_csv(path, schema_overrides={"unknown": pl.String, "error": pl.String})
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ndjson(path, infer_schema_length=None)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    lines = [f"u{n % 10},i{n % 8}" for n in range(9000)]
    lines[5000] = "alone"
    path.write_text("\n".join(["user,item", *lines]) + "\n")
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_pair_is_a_row_and_a_bad_line_is_a_row_with_its_error(
    films: RunFolder, pairs: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / f"out.{kind}"
    seen: list[tuple[int, int | None]] = []
    written = Workspace().predict_into(films, pairs, out, progress=lambda *at: seen.append(at))
    assert (written.rows, written.errors, written.resumed) == (9000, 1, 0)
    assert seen[-1] == (9000, 9000)
    found = read(out)
    assert found.height == 9000 and list(tmp_path.glob("*.part")) == []
    good = dotexp.predict(films, [f"u{n % 10}:i{n % 8}" for n in range(20)])
    assert found["value"][:20].to_list() == pytest.approx([each.value for each in good], abs=1e-6)
    assert found["user"][:3].to_list() == ["u0", "u1", "u2"]
    bad = found.row(5000, named=True)
    assert bad["value"] is None and "pairs.csv:5002: no item" in bad["error"]
    assert found["error"].null_count() == 8999
    unknown = found.row(9, named=True)["unknown"]
    assert unknown == ("user" if kind == "csv" else ["user"])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("damage", [False, True], ids=["stopped", "cut off in a write"])
def test_stopped_and_given_again_it_ends_with_the_same_rows(
    films: RunFolder, pairs: Path, tmp_path: Path, kind: str, damage: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_ROWS", 1000)
    whole, out = tmp_path / f"whole.{kind}", tmp_path / f"out.{kind}"
    work = Workspace()
    work.predict_into(films, pairs, whole)

    def stop(done: int, total: int | None) -> None:
        if done > 4096:
            raise KeyboardInterrupt

    with pytest.raises(dotexp.DotexpError, match=r"interrupted after 8,192 rows.*\n  to go on") as stopped:
        work.predict_into(films, pairs, out, progress=stop)
    assert stopped.value.exit_code == 130 and not out.exists()
    if damage and kind != "parquet":
        with (tmp_path / f"out.{kind}.part" / "rows").open("ab") as file:
            file.write(b"half a ro")
    written = work.predict_into(films, pairs, out)
    assert (written.rows, written.errors, written.resumed) == (9000, 1, 8192)
    assert read(out).equals(read(whole))
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_bytes_do_not_depend_on_when_rows_were_written(
    films: RunFolder, pairs: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for rows in (1, 8192, 10**9):
        monkeypatch.setattr(batch, "_ROWS", rows)
        Workspace().predict_into(films, pairs, tmp_path / f"{rows}.{kind}")
        written.append((tmp_path / f"{rows}.{kind}").read_bytes())
    assert written[0] == written[1] == written[2]


def test_a_folder_of_images_with_a_bad_one(digits: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.new("L", (20, 20), number * 100).save(folder / f"{number}.png")
    (folder / "1b.png").write_bytes(b"no image")
    (folder / "2b.png").write_bytes(b"")
    files = sorted(map(str, folder.iterdir()))
    done = runner(
        "predict", "digits", *files, "--out", "o.csv", "--json", "--runs", str(digits.path.parent), folder=tmp_path
    )
    assert json.loads(done.stdout) == {"format_version": 1, "path": "o.csv", "rows": 5, "errors": 2, "resumed": 0}
    found = pl.read_csv(tmp_path / "o.csv", schema_overrides={"value": pl.String})
    assert found.columns == ["input", "value", *(f"probability_{n}" for n in range(5)), "error"]
    assert found["input"].to_list() == files
    assert [error is not None for error in found["error"]] == [False, False, True, False, True]
    assert "1b.png cannot be read: it is no image" in found["error"][2]
    assert "2b.png cannot be read: it is an empty file" in found["error"][4]
    (expected,) = dotexp.predict(digits, files[0])
    assert found["value"][0] == expected.value and expected.probabilities is not None
    assert found["probability_3"][0] == pytest.approx(expected.probabilities["3"], abs=1e-6)
    answers = dotexp.predict(digits, files)
    assert [bool(answer.error) for answer in answers] == [False, False, True, False, True]
    assert answers[0].value == expected.value


def test_all_bad_and_none_at_all(digits: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"?")
    for kind in ("csv", "jsonl", "parquet"):
        written = Workspace().predict_into(digits, tmp_path / "x.png", tmp_path / f"bad.{kind}")
        assert (written.rows, written.errors) == (1, 1)
        assert "no image" in read(tmp_path / f"bad.{kind}")["error"][0]
        empty = Workspace().predict_into(digits, [], tmp_path / f"none.{kind}")
        assert empty.rows == 0 and (tmp_path / f"none.{kind}").exists()


def test_several_labels_and_several_numbers() -> None:
    from dotexp.export.predictor import Prediction
    from dotexp.export.writers import Columns

    labels = Prediction({"input": "a"}, ("x", "y"), {"x": 0.9, "y": 0.8})
    frame = Columns(True, True, ("x", "y")).frame([labels, {"input": "b", "error": "bad"}])
    assert frame["value"].to_list() == [["x", "y"], None] and frame["probability_y"][0] == pytest.approx(0.8)
    numbers = Columns(False, True).frame([Prediction({"input": "a\udce9"}, (1.0, 2.0))])
    assert numbers["value"].to_list() == [[1.0, 2.0]] and numbers["input"][0] == "a\\udce9"


def test_what_it_refuses(films: RunFolder, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Workspace()
    with pytest.raises(dotexp.UsageError, match=r"its name ends in \.csv, \.jsonl, \.ndjson, \.parquet"):
        work.predict_into(films, "u1:i1", tmp_path / "out.xlsx")
    (tmp_path / "out.csv").touch()
    with pytest.raises(dotexp.UsageError, match="exists already"):
        work.predict_into(films, "u1:i1", tmp_path / "out.csv")

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(dotexp.DotexpError, match="interrupted"):
        work.predict_into(films, pairs, tmp_path / "a.csv", progress=stop)
    for inputs in ("u1:i1", [pairs, "u1:i1"]):
        with pytest.raises(dotexp.UsageError, match="holds predictions of another model or of other inputs: remove it"):
            work.predict_into(films, inputs, tmp_path / "a.csv")
    with pairs.open("a") as file:
        file.write("u1,i1\n")
    with pytest.raises(dotexp.UsageError, match="holds predictions of another model or of other inputs"):
        work.predict_into(films, pairs, tmp_path / "a.csv")
    (tmp_path / "a.csv.part" / "state.json").write_text("{}")
    with pytest.raises(dotexp.UsageError, match=r"state\.json is not the state of predictions"):
        work.predict_into(films, pairs, tmp_path / "a.csv")
    done = runner("predict", "films", "--user", "u1", "--out", "b.csv", folder=tmp_path)
    assert done.returncode == 2 and "--out goes with INPUT, and without --tta" in done.stderr


def test_few_rows_wait_in_memory(films: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dotexp.export import writers

    longest = 0
    plain = writers.Columns.frame

    def frame(self: writers.Columns, rows: list[writers.Row]) -> pl.DataFrame:
        nonlocal longest
        longest = max(longest, len(rows))
        return plain(self, rows)

    monkeypatch.setattr(writers.Columns, "frame", frame)
    path = tmp_path / "many.txt"
    path.write_text("u1:i2\n" * 60_000)
    assert Workspace().predict_into(films, path, tmp_path / "out.parquet").rows == 60_000
    assert 0 < longest <= 3 * 4096
