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
    "serve", "commands", "cli", "testing",
)  # fmt: skip
"""Folders of the package in the order in which data flows: a module imports from its own and from those before it."""

GROUND = {"record", "stop_signals", "version"}
"""Modules beside the folders that any other may import."""

FACE = {"__init__"}
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


def allowed_to_plugins() -> set[str]:
    """The names of dotexp that a plugin may import: those of dotexp.sdk, from there or from dotexp."""
    from dotexp import sdk

    homes = {module.removeprefix("dotexp.sdk.") for module in sdk.HOMES if module.startswith("dotexp.sdk.")}
    modules = {f"dotexp.sdk.{name}" for name in homes | set(sdk.MODULES)}
    inside = {f"{module}.{name}" for module in modules for name in public_names(module)}
    names = {f"{package}.{name}" for package in ("dotexp", "dotexp.sdk") for name in (*sdk.__all__, "API")}
    return {"dotexp", "dotexp.sdk"} | names | modules | inside


def public_names(module: str) -> list[str]:
    """The names that a module says are public, or those that it defines without an underscore in front."""
    path = PACKAGE.parent / module.replace(".", "/")
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    defined: list[str] = []
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id == "__all__" and isinstance(node, ast.Assign):
                return list(ast.literal_eval(node.value))
            defined += [target.id] if isinstance(target, ast.Name) else []
        defined += [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
    return [name for name in defined if not name.startswith("_")]


@pytest.mark.parametrize("file", sorted((REPOSITORY / "plugins").rglob("*.py")), ids=lambda p: p.stem)
def test_plugins_import_only_the_sdk(file: Path) -> None:
    allowed = allowed_to_plugins()
    for name in imports(file, typing_too=True):
        top = name.split(".")[0]
        assert top != "dotexp" or name in allowed, f"{file} imports {name}, which is not in dotexp.sdk"
        assert not top.startswith("dotexp_") or top in file.parts, f"{file} imports {name}, of another plugin"


@pytest.mark.parametrize(
    ("line", "fine"),
    [
        ("from dotexp import Component, hookimpl", True),
        ("from dotexp import Batch, tables", True),
        ("from dotexp.sdk import Section, weights", True),
        ("from dotexp.sdk.tables import open_table", True),
        ("import dotexp", True),
        ("from dotexp import run", False),
        ("from dotexp.components.component import Component", False),
        ("from dotexp.sdk.data import DataLoader", False),
        ("from dotexp.sdk.tables.columns import Block", False),
        ("from dotexp.engine.training import loop", False),
        ("import dotexp.runs.folder", False),
    ],
)
def test_the_rule_for_plugins_sees_what_it_shall(line: str, fine: bool, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(line)
    assert all(name in allowed_to_plugins() for name in imports(tmp_path / "plugin.py")) is fine


def test_every_public_name_of_the_sdk_is_dotexp_s() -> None:
    import dotexp
    from dotexp import sdk

    for module, names in sdk.HOMES.items():
        if module.startswith("dotexp.sdk."):
            assert set(names.split()) == set(public_names(module)), module
    files = {
        path.stem for path in (PACKAGE / "sdk").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    homes = {module.rpartition(".")[2] for module in sdk.HOMES if module.startswith("dotexp.sdk.")}
    assert files - {"__init__"} == homes | set(sdk.MODULES)
    for name in sdk.__all__:
        assert getattr(dotexp, name) is getattr(sdk, name), name


SPECS = sorted(f"specs/{path.name}" for path in (REPOSITORY / "specs").glob("*.exp"))
HEAVY = {"torch", "torchvision", "torchmetrics", "timm", "sklearn", "polars"}
"""Packages that no light command and no plugin's face imports."""

LIGHT = [
    ["--help"], ["check", *SPECS], ["check", "--json", *SPECS],
    ["fmt", "--check", *SPECS], ["upgrade", "--check", *SPECS], ["explain", "specs/pets.exp"],
    ["diff", "specs/digits.exp", "specs/digits.exp"], ["resolve", "specs/pets.exp"],
    ["show", "adam"], ["plugins"], ["schema"], ["runs", "ls"], ["--version"],
]  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize("arguments", LIGHT, ids=lambda a: a[0])
def test_light_commands_do_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from dotexp.cli import call; code = call(sys.argv[1:]);"
        f"heavy = {HEAVY} & sys.modules.keys();"
        "sys.exit(f'imports {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_public_face_is_sorted_and_whole() -> None:
    import dotexp

    assert list(dotexp.__all__) == sorted(dotexp.__all__)
    assert all(hasattr(dotexp, name) for name in dotexp.__all__)


FACES = sorted(path.parent.name for path in (REPOSITORY / "plugins").glob("*/__init__.py"))


@pytest.mark.process
@pytest.mark.parametrize("face", FACES)
def test_a_bundled_plugin_says_what_it_offers_without_a_heavy_import(face: str) -> None:
    """In an interpreter of its own: its face, and every component with its sentence and parameters."""
    code = (
        "import sys; from dotexp.components.registry import load_registry;"
        f"(own,) = (each for each in load_registry().providers if each.name == {face!r});"
        "found = [(c.doc, c.params.model_fields) for c in own.components];"
        f"heavy = {HEAVY} & sys.modules.keys(); sys.exit(f'imports {{heavy}}' if heavy or not found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.process
def test_what_plugins_import_loads_no_parser() -> None:
    from dotexp import sdk

    modules = ", ".join([*sdk.HOMES, *(f"dotexp.sdk.{name}" for name in sdk.MODULES)])
    code = f"import sys, {modules}; sys.exit(' '.join({{'lark', 'dotexp.language.parser'}} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
