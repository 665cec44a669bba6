"""The straight line is held: modules import downward only, light commands never import torch, plugins only the face."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY

PACKAGE = REPOSITORY / "dsl" / "dotexp"
ORDER = (
    "source", "diagnostics", "seeds", "document", "names", "literals", "tokens", "grammar", "trouble", "sign_errors",
    "syntax_errors", "building", "reading", "parser", "components", "builtins", "hookspecs", "spec", "plugins",
    "resolve", "checking", "schedules", "splits", "parts", "pretrained", "reports", "plans", "hints", "planner",
    "proofs", "runs", "lr_suggestions", "spec_edits", "rate_edits", "reporting", "callbacks", "locks", "checkpoints",
    "engine", "testing", "interpreting", "lr_find", "recommending", "api", "cli",
)  # fmt: skip
"""Every module of the package, the lowest first: a module imports only what stands before it."""

FREE = {"__init__", "api"}
"""The public face re-exports from anywhere."""


def modules() -> list[str]:
    return sorted({path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if _is_module(path)})


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


def imports(file: Path, typing_too: bool = False) -> Iterator[str]:
    """Names of modules that a file imports, those for the type checker alone left out unless asked for."""
    tree = ast.parse(file.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not typing_too
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_every_module_has_its_place_in_the_order() -> None:
    assert set(modules()) - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("module", [name for name in ORDER if name not in FREE])
def test_a_module_imports_downward_only(module: str) -> None:
    path = PACKAGE / f"{module}.py"
    files = [path] if path.exists() else sorted((PACKAGE / module).rglob("*.py"))
    allowed = set(ORDER[: ORDER.index(module) + 1])
    for file in files:
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "dotexp" and len(parts) > 1 and parts[1] in ORDER:
                assert parts[1] in allowed, f"{file.name} imports {name}, which stands above {module}"


HELPERS = ("callbacks", "parts", "pretrained", "reports", "schedules", "seeds", "splits")
"""Modules that plugins may import beside the names `dotexp` exports."""


@pytest.mark.parametrize("file", sorted((REPOSITORY / "plugins").rglob("*.py")), ids=lambda p: p.stem)
def test_plugins_import_only_what_dotexp_exports(file: Path) -> None:
    import dotexp

    public = {f"dotexp.{name}" for name in dotexp.__all__} | {"dotexp"}
    helpers = {f"dotexp.{name}" for name in HELPERS}
    for name in imports(file, typing_too=True):
        if name.split(".")[0] == "dotexp":
            assert name in public | helpers or name.rsplit(".", 1)[0] in helpers, name
        other = name.split(".")[0]
        assert not other.startswith("dotexp_") or other == file.parent.name, f"{file} imports {name}"


SPECS = sorted(f"specs/{path.name}" for path in (REPOSITORY / "specs").glob("*.exp"))
LIGHT = [
    ["--help"], ["check", *SPECS], ["check", "--json", *SPECS],
    ["resolve", "specs/pets.exp"], ["show", "adam"], ["plugins"], ["schema"], ["runs", "ls"], ["--version"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", LIGHT, ids=lambda a: a[0])
def test_light_commands_do_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from dotexp.cli import call; code = call(sys.argv[1:]);"
        "heavy = {'torch', 'torchvision', 'torchmetrics', 'sklearn', 'polars'} & sys.modules.keys();"
        "sys.exit(f'imports {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_public_face_is_sorted_and_whole() -> None:
    import dotexp

    assert list(dotexp.__all__) == sorted(dotexp.__all__)
    assert all(hasattr(dotexp, name) for name in dotexp.__all__)


def test_bundled_faces_import_without_torch() -> None:
    from dotexp.testing import check_face

    for name in ("dotexp_vision", "dotexp_collab", "dotexp_optimizers", "dotexp_losses"):
        check_face(name)
