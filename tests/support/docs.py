"""Tables in the documentation, made from the code: `python tests/support/docs.py` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from dotexp.components.registry import load_registry
from dotexp.language.diagnostics import CODES

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


def section(text: str, name: str) -> str:
    """What stands between `<!-- name -->` and `<!-- /name -->`."""
    found = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found is not None, name
    return found[1].strip()


def main() -> None:
    """Write the tables into dsl/README.md."""
    text = LANGUAGE.read_text()
    for name, table in (("components", components_table()), ("codes", codes_table())):
        text = re.sub(
            f"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda match, table=table: f"{match[1]}{table}\n{match[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    LANGUAGE.write_text(text)


if __name__ == "__main__":
    main()
