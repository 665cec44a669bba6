"""The straight line is held: modules import downward only, light commands never import torch, plugins only the face."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import REPOSITORY

PACKAGE = REPOSITORY / "dsl" / "dotexp"
ORDER = (
    "language", "components", "experiment", "planning", "runs", "sdk", "reporting", "engine", "export",
    "commands", "cli",
)  # fmt: skip
"""Folders of the package in the order in which data flows: a module imports from its own and from those before it."""

GROUND = {"version"}
"""Modules beside the folders that any other may import."""

FACE = {"__init__", "testing"}
"""Modules beside the folders that no folder imports."""


def folders() -> set[str]:
    return {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}


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


def test_every_folder_and_module_has_its_place() -> None:
    assert folders() == set(ORDER)
    assert {path.stem for path in PACKAGE.glob("*.py")} == GROUND | FACE


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_downward_only(folder: str) -> None:
    allowed = {*ORDER[: ORDER.index(folder) + 1], *GROUND}
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert files
    for file in files:
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "dotexp" and len(parts) > 1:
                assert parts[1] in allowed, f"{file} imports {name}, which stands above {folder}"


HELPERS = (
    *("callback", "data", "fields", "names", "report", "schedules", "seeds", "sniffing", "splits", "tables"),
    "weights",
)
"""Modules that plugins may import beside the names `dotexp` exports."""


@pytest.mark.parametrize("file", sorted((REPOSITORY / "plugins").rglob("*.py")), ids=lambda p: p.stem)
def test_plugins_import_only_what_dotexp_exports(file: Path) -> None:
    import dotexp

    public = {f"dotexp.{name}" for name in dotexp.__all__} | {"dotexp"}
    helpers = {f"dotexp.sdk.{name}" for name in HELPERS} | {"dotexp.sdk"}
    for name in imports(file, typing_too=True):
        if name.split(".")[0] == "dotexp":
            assert name in public | helpers or name.rsplit(".", 1)[0] in helpers, name
        other = name.split(".")[0]
        assert not other.startswith("dotexp_") or other in file.parts, f"{file} imports {name}"


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
