"""Nothing that one experiment leaves behind in a module reaches the next: what a process keeps is listed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import REPOSITORY

FILES = sorted(path for top in ("dsl", "plugins") for path in (REPOSITORY / top).rglob("*.py"))

HELD = {
    "dotexp.runs.lock._held",  # which runs this process works on: true of the process, whoever asks
}
"""Variables of modules that are written while the program runs."""

CACHED = {
    "dotexp.experiment.accepted._expected",  # of a type
    "dotexp.language.parser.language",  # the grammar's tables
    "dotexp.runs.files._adapter",  # of a type
    "dotexp.testing.components._installed_kinds",
    "dotexp_timm.table._table",  # data that comes with the plugin
    "dotexp_timm.table.networks",
    "dotexp_vision.data.digits._load",  # data that comes with scikit-learn
    "dotexp_vision.models.params.params_for",  # of rows of the table
    "dotexp_vision.models.params.weight_names",
    "dotexp_vision.models.table.networks",
}
"""Functions whose answers a process keeps: of nothing, or of arguments that the code itself bounds."""

_MAKERS = {"dict", "list", "set", "defaultdict", "Counter", "deque", "OrderedDict", "local", "count"}
_MAKERS |= {"WeakKeyDictionary", "WeakValueDictionary", "WeakSet"}


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def written(path: Path) -> Iterator[str]:
    """Yield the variables of a module that a function rebinds, and those that start as an empty container."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from (f"{module_name(path)}.{name}" for name in node.names)
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if is_container_to_fill(value):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target  # type: ignore[attr-defined]
            yield f"{module_name(path)}.{ast.unparse(target)}"


def is_container_to_fill(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List):
        return not value.elts
    named = ast.unparse(value.func).rpartition(".")[2] if isinstance(value, ast.Call) else ""
    return isinstance(value, ast.Call) and named in _MAKERS and not value.args


def cached(path: Path) -> Iterator[str]:
    """Yield the functions of a module, methods included, whose answers are kept for as long as the process runs."""
    for node in ast.parse(path.read_text()).body:
        for inner in [node, *(node.body if isinstance(node, ast.ClassDef) else ())]:
            if isinstance(inner, ast.FunctionDef):
                marks = {ast.unparse(mark).partition("(")[0].rpartition(".")[2] for mark in inner.decorator_list}
                if marks & {"cache", "lru_cache"}:
                    yield f"{module_name(path)}.{inner.name}"


def test_modules_hold_no_state_but_what_is_listed() -> None:
    assert {name for path in FILES for name in written(path)} == HELD


def test_functions_keep_answers_only_where_their_arguments_are_bounded() -> None:
    assert {name for path in FILES for name in cached(path)} == CACHED


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("_last = None\ndef f():\n    global _last\n    _last = 1", {"dotexp.made._last"}),
        ("_seen: dict[str, int] = {}", {"dotexp.made._seen"}),
        ("_seen = collections.defaultdict()", {"dotexp.made._seen"}),
        ("SIZES = {'a': 1}\nNAMES = ['b']\nEMPTY = ()", set()),
        ("@lru_cache(maxsize=None)\ndef f(text): ...", {"dotexp.made.f"}),
        ("class C:\n    @functools.cache\n    def f(self): ...", {"dotexp.made.f"}),
        ("def f():\n    seen = {}\n    @cache\n    def inner(): ...", set()),
    ],
)
def test_the_rule_sees_what_it_shall(
    text: str, names: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.REPOSITORY", tmp_path)
    path = tmp_path / "dsl" / "dotexp" / "made.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert {*written(path), *cached(path)} == names
