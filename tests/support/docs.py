"""Tables in the documentation, made from the code: `python tests/support/docs.py` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from dotexp.components.registry import load_registry
from dotexp.language.diagnostics import CODES
from dotexp.language.keywords import MODEL, STAGE, TOP, in_place

REPOSITORY = Path(__file__).resolve().parents[2]
LANGUAGE = REPOSITORY / "dsl" / "README.md"


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


TABLES: Mapping[str, Callable[[], str]] = {
    "statements": lambda: statements_table(TOP),
    "model": lambda: statements_table(MODEL),
    "stage": lambda: statements_table(STAGE),
    "components": components_table,
    "codes": codes_table,
}
"""What makes each table, by the name of its place in dsl/README.md."""


def section(text: str, name: str) -> str:
    """What stands between `<!-- name -->` and `<!-- /name -->`."""
    found = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found is not None, name
    return found[1].strip()


def main() -> None:
    """Write the tables into dsl/README.md."""
    text = LANGUAGE.read_text()
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(start)
        text = f"{before}{start}{make()}\n{end}{rest.partition(end)[2]}"
    LANGUAGE.write_text(text)


if __name__ == "__main__":
    main()
