"""Arguments of the Python functions: what is plain is taken, all else is told with what is expected and what came."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dotexp
import numpy as np
import pytest
import torch
from dotexp import UsageError, Workspace
from dotexp.commands import functions
from dotexp.commands.references import as_device, as_inputs, as_root
from dotexp.experiment.checking import as_overrides
from dotexp.experiment.experiment import Device
from dotexp.experiment.overrides import override_of
from paths import REPOSITORY
from PIL import Image
from spec_runner import QUICK

pytestmark = pytest.mark.run

PACKAGES = {"export": "export_run", "serve": "serve_run", "runs": "list_runs", "open": "open_run"}
"""Methods of a workspace that are named as packages of dotexp are, and their functions."""

WRONG: list[Any] = [3, 2.5, b"films", object(), Image.new("RGB", (2, 2)), np.zeros(3), torch.zeros(2)]
"""What is no text, path, run, spec or override."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec and a finished run."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "films.exp").write_text(QUICK)
    dotexp.run(folder / "films.exp", runs=folder / "runs", report=False)
    return folder


def told(call: Callable[..., Any], *arguments: Any, **more: Any) -> str:
    """Call a function that raises TypeError, and return what that says."""
    with pytest.raises(TypeError) as caught:
        call(*arguments, **more)
    return str(caught.value)


def test_functions_methods_names_and_documentation_agree() -> None:
    """Every command is a function as well; `dir`, `__all__` and dsl/README.md list the same."""
    methods = {name for name in vars(Workspace) if not name.startswith("_")} - {"registry"}
    named = {PACKAGES.get(name, name) for name in methods}
    assert named <= set(dir(dotexp)) and named <= set(dotexp.__all__) and set(dotexp.__all__) <= set(dir(dotexp))
    for name in dotexp.__all__:
        assert getattr(dotexp, name) is not None
    text = (REPOSITORY / "dsl" / "README.md").read_text()
    section = text[text.index("## From Python") : text.index("## Overrides")]
    assert [name for name in named if f"`{name}`" not in section.replace("`dotexp.", "`")] == []
    assert [name for name in methods if f"`{name}`" not in section] == []


@pytest.mark.parametrize("name", sorted(vars(functions).keys() & set(dotexp.__all__) - {"Workspace", "Prediction"}))
def test_a_function_takes_what_its_method_takes(name: str) -> None:
    function = getattr(functions, name)
    method = getattr(Workspace, {v: k for k, v in PACKAGES.items()}.get(name, function.__name__))
    taken, own = inspect.signature(function).parameters, inspect.signature(method).parameters
    assert set(taken) - {"runs", "device"} == set(own) - {"self"}
    assert {n: taken[n].default for n in own if n != "self"} == {n: p.default for n, p in own.items() if n != "self"}


def test_plain_values_of_other_types_are_taken(films: Path) -> None:
    runs = films / "runs"
    work = Workspace(str(runs))
    pairs = ["1:2", "3:4"]
    wanted = [each.value for each in work.predict("films", pairs)]
    for inputs in (
        tuple(pairs), iter(pairs), (each for each in pairs), np.array(pairs), dict.fromkeys(pairs).keys(),
        [(1, 2), (3, 4)], [("1", 2), ("3", "4")], [tuple(each) for each in np.array([[1, 2], [3, 4]])],
    ):  # fmt: skip
        assert [each.value for each in work.predict("films", inputs)] == wanted
    assert work.predict("films", "1:2")[0].value == wanted[0]
    (films / "pairs.csv").write_text("1,2\n3,4\n")
    assert [each.value for each in work.predict(runs / "films-1", films / "pairs.csv")] == wanted
    assert dotexp.recommend("films", 1, runs=runs) == dotexp.recommend("films", "1", runs=runs)
    assert dotexp.similar_items("films", np.int64(2), runs=runs) == dotexp.similar_items("films", "2", runs=runs)
    path, value = "stage.train.fit.epochs", 2
    text, node = f"{path}={value}", override_of(path, value)
    given: list[Any] = [text, [text], iter([text]), (each for each in [text]), {path: value}, node, [node]]
    for set_ in given:
        assert dotexp.plan(films / "films.exp", set=set_, runs=runs).stages[0].epochs == value
    assert as_overrides(None) == () and as_root(None) == Path("runs")
    assert as_device("cpu") is as_device(Device.cpu) is as_device(torch.device("cpu")) is Device.cpu
    assert as_device(torch.device("cuda")) is as_device(torch.device("cuda:0")) is Device.cuda
    assert as_device(None) is as_device("auto") is None


@pytest.mark.parametrize("wrong", WRONG, ids=lambda each: type(each).__name__)
def test_a_wrong_type_is_told_with_what_is_expected(films: Path, wrong: Any) -> None:
    came = f", not {type(wrong).__name__}"
    spec, runs = films / "films.exp", films / "runs"
    work = Workspace(runs)
    for call in (dotexp.check, dotexp.load, dotexp.plan, dotexp.run, dotexp.lr_find):
        assert told(call, wrong) == f"a spec is a path, or what load returned{came}"
        if isinstance(wrong, np.ndarray | torch.Tensor):
            continue
        message = told(call, spec, set=wrong)
        assert message.startswith("set is an override such as ") and message.endswith(came)
    for method in (work.evaluate, work.resume, work.report, work.verify, work.open, work.export, work.serve):
        assert told(method, wrong) == f"a run is its name, its path or its RunFolder{came}"
    for ask in (dotexp.recommend, dotexp.similar_items):
        assert told(ask, wrong, "1").startswith("a run is its name")
    assert told(Workspace, wrong) == f"runs is the path of a folder{came}"
    assert told(Workspace, runs, wrong).startswith("device is one of auto, cpu") and came in told(as_device, wrong)
    assert told(dotexp.interpret, "films", wrong, runs=runs).startswith("report is a report written as in a spec")


@pytest.mark.parametrize(
    ("wrong", "came"),
    [
        (None, "NoneType"), (7, "int"), (b"a.jpg", "bytes"), ([b"a.jpg"], "bytes"), ([None], "NoneType"), ([7], "int"),
        (Image.new("RGB", (2, 2)), "Image"), ([Image.new("RGB", (2, 2))], "Image"), (np.zeros((2, 2)), "ndarray"),
        ({"user": 1}, "dict"), ((196, 242), "int"), ([(1.5, 2)], "float"),
        ([(True, 2)], "bool"), ([["1", "2"]], "list"), (torch.zeros(2), "Tensor"),
    ],
)  # fmt: skip
def test_inputs_of_another_type_are_told_before_a_model_is_read(films: Path, wrong: Any, came: str) -> None:
    work = Workspace(films / "runs")
    for call in (work.predict, work.iter_predictions, lambda run, given: work.predict_into(run, given, "out.csv")):
        assert told(call, "there-is-no-run", wrong).partition(";")[0].endswith(f", not {came}")
    if isinstance(wrong, tuple):
        assert told(as_inputs, wrong).endswith("write a single input of several ids in a list: [(196, 242)]")


def test_tables_are_refused_and_ids_with_a_colon_are_not_split() -> None:
    import polars as pl

    assert told(as_inputs, pl.DataFrame({"user": ["1"]})).endswith("not DataFrame")
    assert as_inputs([("a:b", 2), "a:b"]) == [("a:b", "2"), "a:b"]
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES"):
        as_device(torch.device("cuda:1"))  # type: ignore[arg-type]


def test_numbers_of_another_type_are_told(films: Path) -> None:
    for name, wrong in (("steps", "20"), ("steps", 20.5), ("steps", True), ("first", "1e-7"), ("last", None)):
        assert told(dotexp.lr_find, films / "films.exp", **{name: wrong}).startswith(f"{name} is a ")
    for wrong in ("2", 1.5, None, True):
        assert told(Workspace(films / "runs").predict, "films", "1:2", tta=wrong).startswith("tta is a whole number")
