"""What is made from the code: `python tests/support/docs.py` writes the documentation's tables and plugins' indices."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from dotexp import sdk
from dotexp.components import facts as facts_module
from dotexp.components.component import ComponentModule
from dotexp.components.component_index import index_path, index_text
from dotexp.components.params import Params
from dotexp.components.registry import load_registry
from dotexp.language.diagnostics import CODES
from dotexp.language.keywords import MODEL, STAGE, TOP, in_place

REPOSITORY = Path(__file__).resolve().parents[2]
LANGUAGE = REPOSITORY / "dsl" / "README.md"
PLUGINS = REPOSITORY / "plugins" / "README.md"


def components_table() -> str:
    """Every component that the bundled plugins offer, by kind."""
    rows = ["| kind | component | what it is | plugin |", "|---|---|---|---|"]
    for component in load_registry().components:
        if component.provider == "dotexp" or component.provider.startswith("dotexp_"):
            cells = (component.kind, f"`{component.name}`", component.doc.replace("|", "\\|"), component.provider)
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows[:2], *sorted(rows[2:])])


def codes_table() -> str:
    """Every diagnostic's code."""
    return "\n".join(["| code | about |", "|---|---|", *(f"| {code} | {about} |" for code, about in CODES.items())])


def statements_table(place: str) -> str:
    """Every statement that may stand in a place."""
    rows = [f"| {each.written} | {each.help} |" for each in in_place(place)]
    return "\n".join(["| statement | what it says |", "|---|---|", *rows])


def kinds_table() -> str:
    """Every kind that dotexp and the bundled plugins declare, with its builders."""
    rows = ["| kind | declared by | parameters | builder takes after them | returns |", "|---|---|---|---|---|"]
    for provider in load_registry().providers:
        if provider.name == "dotexp" or provider.name.startswith("dotexp_"):
            for kind in provider.kinds:
                base = "" if kind.params is Params else f"`{kind.params.__name__}`"
                takes = ", ".join(f"`{name}`" for name in kind.takes)
                rows.append(f"| {kind.name} | {provider.name} | {base} | {takes} | {kind.returns} |")
    return "\n".join(rows)


def facts_table() -> str:
    """Every class of facts that a component may have, its fields, and what they mean."""
    rows = ["| class | field | meaning |", "|---|---|---|"]
    for node in ast.parse(inspect.getsource(facts_module)).body:
        if isinstance(node, ast.ClassDef) and node.name not in ("DataFacts", "LayerGroup"):
            for field, meaning in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    assert isinstance(meaning, ast.Expr) and isinstance(meaning.value, ast.Constant), field.target.id
                    said = " ".join(str(meaning.value.value).split())
                    rows.append(f"| `{node.name}` | `{field.target.id}` | {said} |")
    return "\n".join(rows)


def sdk_table() -> str:
    """Every name that a plugin may import, by the module that defines it."""
    rows = ["| from | name | what it is |", "|---|---|---|"]
    for module, names in sdk.HOMES.items():
        home = module.removeprefix("dotexp.") if module.startswith("dotexp.sdk.") else "sdk"
        rows += [f"| `{home}` | `{name}` | {_first_sentence(module, name)} |" for name in names.split()]
    for name in sdk.MODULES:
        rows.append(f"| `sdk` | `{name}` | {_sentence(import_module(f'dotexp.sdk.{name}').__doc__)} |")
    return "\n".join(rows)


def _first_sentence(module: str, name: str) -> str:
    """First sentence of what stands behind a name's definition."""
    body = ast.parse(inspect.getsource(import_module(module))).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name and ast.get_docstring(node):
            return _sentence(ast.get_docstring(node))
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            assert isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant), name
            return _sentence(str(following.value.value))
    return _sentence(getattr(import_module(module), name).__doc__)


def _sentence(text: str | None) -> str:
    found = re.match(r"(.*?[.:])(?:\s|$)", " ".join((text or "").strip().split("\n\n")[0].split()))
    assert found, text
    return found[1].rstrip(".:").replace("|", "\\|")


TABLES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    LANGUAGE: {
        "statements": lambda: statements_table(TOP),
        "model": lambda: statements_table(MODEL),
        "stage": lambda: statements_table(STAGE),
        "components": components_table,
        "codes": codes_table,
    },
    PLUGINS: {"kinds": kinds_table, "facts": facts_table, "sdk": sdk_table},
}
"""The tables of each page, by the name between whose marks they stand."""


def indices() -> dict[Path, str]:
    """The index of each bundled plugin's components (dotexp.components.component_index), by its path."""
    made = {}
    for provider in load_registry().providers:
        modules = [each for each in provider.offered if isinstance(each, ComponentModule)]
        if provider.name.startswith("dotexp_") and modules:
            made[index_path(provider.name)] = index_text(provider.name, modules)
    return made


def section(text: str, name: str) -> str:
    """Return the text between `<!-- name -->` and `<!-- /name -->`."""
    found = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found is not None, name
    return found[1].strip()


def main() -> None:
    """Write the tables and the indices."""
    for path, text in indices().items():
        path.write_text(text, encoding="utf-8")
    for page, tables in TABLES.items():
        text = page.read_text()
        for name, make in tables.items():
            start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
            before, _, rest = text.partition(start)
            text = f"{before}{start}{make()}\n{end}{rest.partition(end)[2]}"
        page.write_text(text)


if __name__ == "__main__":
    main()
