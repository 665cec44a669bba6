"""A plugin's own kind of input, lines of text, in predict, serve and export; its query beside another of its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dotexp
import pytest
from dotexp import (
    Component,
    DataParams,
    DataSignature,
    InputForm,
    LayerGroup,
    ModelFacts,
    Params,
    Query,
    QueryOption,
    Workspace,
)
from dotexp.runs.folder import RunFolder
from exported import write_ratings
from pydantic import Field
from serving import client, picture
from spec_runner import runner
from strangers import installed, offering, plugin
from text_toys import CLASSES, LINES

pytestmark = pytest.mark.run


class LinesParams(DataParams):
    """Lines of text that are good or bad."""

    batch_size: int = Field(2, ge=1, le=64, description="lines in a batch")


class WordsParams(Params):
    """A weight for each word and class."""


FORM = InputForm(
    "text_toys:encoder", ("counts",), "lines of text", "a fine film", {"text": "a fine film"}, "lines", "line"
)
TOP = QueryOption("top", "from which end, `strongest` or `weakest`", str, "strongest", metavar="END")
BRIEF = QueryOption("brief", "without the weights")
WORDS_FOR = Query(
    "user", "text_toys:words_for", "words that speak for this class", "CLASS", asks="class", rows="words",
    options=(TOP, BRIEF), function="recommend", title="telling words", vocabulary="words",
)  # fmt: skip
SPEC = "experiment lines\ndata lines\nmodel words\nloss cross_entropy\nruntime(threads = 1)\n" + (
    "stage all { fit one_cycle(epochs = 4, lr = 0.1) }\n"
)
FILMS = (
    'experiment films\ndata ratings("ratings.csv", batch_size = 8)\nmodel embedding_dot_bias(factors = 2)\nloss mse\n'
    + ("runtime(threads = 1)\nstage all { fit one_cycle(epochs = 1, lr = 5e-3) }\n")
)


def lines_plugin(form: InputForm = FORM, *queries: Query) -> Any:
    facts = ModelFacts("counts of words", layers=("all",), groups=(LayerGroup("all", ("all",)),))
    signature = DataSignature("classification", "counts of words")
    data = Component("data", "lines", LinesParams, "text_toys:build_data", signature, inputs=form, queries=queries)
    model = Component("model", "words", WordsParams, "text_toys:build_model", facts)
    return plugin("acme", dotexp_components=offering(data, model))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of lines and one of films."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "lines.exp").write_text(SPEC)
    (folder / "films.exp").write_text(FILMS)
    write_ratings(folder / "ratings.csv")
    with installed(lines_plugin()):
        for name in ("lines", "films"):
            dotexp.run(folder / f"{name}.exp", runs=folder / "runs", report=False)
    return folder


@pytest.fixture
def acme() -> Iterator[None]:
    with installed(lines_plugin(FORM, WORDS_FOR)):
        yield


def test_lines_are_predicted_for_and_written_into_a_file(home: Path, acme: None) -> None:
    found = dotexp.predict("lines", list(LINES), runs=home / "runs")
    assert [row.value for row in found] == [CLASSES[target] for target in LINES.values()]
    assert found[0].input == {"text": "a fine film"}
    told = runner("predict", "lines", "a fine film", "dull music", "--json", folder=home)
    assert [row["value"] for row in json.loads(told.stdout)["predictions"]] == ["good", "bad"]
    assert runner("predict", "lines", "a fine film", "dull music", "--out", "o.csv", folder=home).returncode == 0
    assert (home / "o.csv").read_text().splitlines()[0] == "text,value,probability_bad,probability_good,error"
    wrong = runner("predict", "lines", " ", folder=home)
    assert (wrong.returncode, wrong.stderr) == (2, "error: a line of text has a word at least\n")
    assert "for lines of text" in " ".join(runner("predict", "--help", folder=home).stdout.split())
    with pytest.raises(TypeError, match="a line is no tuple, not a tuple of 2"):
        dotexp.predict("lines", [("a", "fine film")], runs=home / "runs")


def test_lines_are_sent_to_a_service(home: Path, acme: None) -> None:
    run = dotexp.open_run("lines", runs=home / "runs")
    expected = [row.as_json() for row in dotexp.predict(run, ["a fine film", "7"])]
    with client(run, inputs=2) as http:
        one = http.post("/predict", json={"text": "a fine film"}).json()["predictions"]
        assert one == [{**expected[0], "probabilities": pytest.approx(expected[0]["probabilities"], abs=1e-6)}]
        two = http.post("/predict", json={"lines": [{"text": "a fine film"}, {"text": 7}]}).json()["predictions"]
        assert [row["text"] for row in two] == ["a fine film", "7"]
        for body, status, message in (
            ({"text": " "}, 422, "a line of text has a word at least"),
            ({"text": None}, 422, "`text` is null: an id, text or a whole number, is wanted"),
            ({"lines": [{"text": "a"}, {"word": "a"}]}, 422, "line 2: a line is an object with `text`"),
            ({"lines": [{"text": "a"}] * 3}, 413, "there are 3 lines, and 2 are taken at once"),
            ({"user": "u1", "item": "i1"}, 422, 'the body has `item`, `user`: a question is {"text": "a fine film"}, '),
        ):
            answer = http.post("/predict", json=body)
            assert (answer.status_code, message in answer.json()["error"]["message"]) == (status, True), answer.text
        document = http.get("/openapi.json").json()
        post = document["paths"]["/predict"]["post"]
        assert post["summary"] == "Predict for lines, or name a class's telling words."
        assert document["components"]["schemas"]["Prediction"]["required"] == ["text", "value"]
        for example in post["requestBody"]["content"]["application/json"]["examples"].values():
            assert http.post("/predict", json=example["value"]).status_code in (200, 422)
        assert "Drop" not in http.get("/").text and 'name="text"' in http.get("/").text
        assert "user" not in json.dumps(document) + http.get("/").text


def test_a_query_with_a_title_is_asked_of_a_service(home: Path, acme: None) -> None:
    run = dotexp.open_run("lines", runs=home / "runs")
    with client(run) as http:
        answer = http.post("/predict", json={"class": "good", "top": "weakest", "brief": True}).json()
        rows = dotexp.ask(run, "user", "good", top="weakest", brief=True)
        assert answer == {"format_version": 1, "class": "good", "words": rows} and "weight" not in rows[0]
        assert http.post("/predict", json={"class": "good", "top": 3}).json()["error"]["message"] == (
            "`top` is 3: text is wanted"
        )
        assert "there is no class" in http.post("/predict", json={"class": "fair"}).json()["error"]["message"]


@pytest.mark.parametrize(
    ("form", "body", "kind"),
    [
        (FORM.replace(fields={}), b'{"input": "a fine film"}', "application/json"),
        (FORM.replace(fields={}, media="text/*"), b"a fine film", "text/plain"),
        (FORM.replace(fields={}, media="text/plain"), b"a fine film", "application/octet-stream"),
    ],
    ids=["no fields", "files", "files of one type"],
)
def test_other_forms_of_the_same_input(home: Path, form: InputForm, body: bytes, kind: str) -> None:
    with installed(lines_plugin(form)), client(dotexp.open_run("lines", runs=home / "runs")) as http:
        (row,) = http.post("/predict", content=body, headers={"Content-Type": kind}).json()["predictions"]
        assert row["value"] == "good"
        assert http.post("/predict", content=picture(), headers={"Content-Type": "image/png"}).status_code == 415
        assert form.media in http.get("/").text and form.media in http.get("/openapi.json").text


def test_lines_are_exported_with_samples_and_a_bundle_is_served(home: Path, acme: None, tmp_path: Path) -> None:
    import onnxruntime

    work = Workspace(home / "runs")
    exported = work.export("lines", "onnx", tmp_path / "l.onnx", samples=["a fine film", "dull music"])
    (tensor,) = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"]).get_inputs()
    assert tensor.name == "counts"
    bundle = work.export("lines", out=tmp_path / "bundle").path
    assert "spec-runner predict FOLDER 'a fine film'\n" in (bundle / "README.md").read_text()
    with client(RunFolder(bundle)) as http:
        assert http.post("/predict", json={"text": "fine"}).json()["predictions"][0]["value"] == "good"


# two plugins whose queries, and their options, have one name


def test_queries_of_one_name_are_one_option_and_the_run_decides(home: Path, acme: None) -> None:
    help = " ".join(runner("predict", "--help", folder=home).stdout.split())
    assert "What this user may like, best first, or words that speak for this class, in place of INPUT." in help
    assert "how many rows, or from which end, `strongest` or `weakest`." in help

    films = runner("predict", "films", "--user", "u1", "--top", "2", "--json", folder=home)
    assert films.returncode == 0, films.stderr
    assert json.loads(films.stdout)["recommendations"] == dotexp.recommend("films", "u1", top=2, runs=home / "runs")
    lines = runner("predict", "lines", "--user", "bad", "--top", "weakest", "--json", folder=home)
    assert json.loads(lines.stdout)["words"] == dotexp.ask("lines", "user", "bad", runs=home / "runs", top="weakest")
    assert len(dotexp.recommend("lines", "bad", "weakest", True, runs=home / "runs")) == 3
    for arguments, message in (
        (("films", "--user", "u1", "--top", "weakest"), "error: top is of type int, and 'weakest' is not\n"),
        (("films", "--user", "u1", "--top", "0"), "error: top is between 1 and 100000, and 0 is not\n"),
        (
            ("films", "--user", "u1", "--brief"),
            "error: the query `user` has no option `brief` (its options: top, seen)\n",
        ),
        (
            ("lines", "--user", "bad", "--seen"),
            "error: the query `user` has no option `seen` (its options: top, brief)\n",
        ),
    ):
        told = runner("predict", *arguments, folder=home)
        assert (told.returncode, told.stderr) == (2, message)


def test_an_option_that_is_a_flag_of_one_query_and_takes_a_value_of_another(home: Path) -> None:
    flag = WORDS_FOR.replace(options=(TOP.replace(name="seen"), BRIEF), answer="text_toys:seen")
    with installed(lines_plugin(FORM, flag)):
        assert runner("predict", "films", "--user", "u1", "--seen", folder=home).returncode == 0
        told = runner("predict", "films", "--user", "u1", "--seen", "yes", folder=home)
        assert (told.returncode, told.stderr) == (2, "error: --seen is a flag, without a value\n")
        told = runner("predict", "lines", "--user", "bad", "--seen", folder=home)
        assert (told.returncode, told.stderr) == (2, "error: --seen goes with a value\n")


def test_an_option_of_one_query_that_another_has_as_its_name(home: Path) -> None:
    near = WORDS_FOR.replace(name="telling", options=(TOP.replace(name="similar"), BRIEF))
    near = near.replace(answer="text_toys:telling", function="")
    with installed(lines_plugin(FORM, near)):
        told = runner("predict", "lines", "--telling", "bad", "--similar", "weakest", "--json", folder=home)
        assert told.returncode == 0, told.stderr
        assert len(json.loads(told.stdout)["words"]) == 3
        told = runner("predict", "films", "--user", "u1", "--similar", "i1", folder=home)
        assert told.stderr.endswith("--user and --similar are different questions: ask one at a time\n")
