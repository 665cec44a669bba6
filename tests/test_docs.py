"""What the documentation claims is so: its specs check, its tables are the code's, its commands exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from docs import LANGUAGE, codes_table, components_table, section
from dotexp.cli import COMMANDS
from dotexp.components import hookspecs
from dotexp.components.hookspecs import PROJECT
from paths import REPOSITORY

from specs import checked

PAGES = [
    REPOSITORY / "README.md",
    LANGUAGE,
    *(REPOSITORY / name / "README.md" for name in ("plugins", "specs", "tests")),
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "text", [text for page in PAGES for text in blocks(page, "exp")], ids=lambda text: text.split()[1]
)
def test_a_whole_example_is_fine(text: str) -> None:
    _, diagnostics = checked(text)
    assert [d.message for d in diagnostics] == []


def test_the_fragments_are_fine_on_top_of_the_first_example(tmp_path: Path) -> None:
    (tmp_path / "base.exp").write_text(blocks(LANGUAGE, "exp")[0])
    fragments = blocks(LANGUAGE, "exp-fragment")
    assert len(fragments) >= 3
    for fragment in fragments:
        found, diagnostics = checked('extends "base.exp"\n' + fragment, folder=tmp_path)
        assert found is not None, [(d.code, d.message) for d in diagnostics]


def test_the_tables_are_the_codes() -> None:
    text = LANGUAGE.read_text()
    assert section(text, "components") == components_table(), "run: python tests/support/docs.py"
    assert section(text, "codes") == codes_table(), "run: python tests/support/docs.py"


def test_every_command_is_in_the_readme_and_every_command_there_exists() -> None:
    text = (REPOSITORY / "README.md").read_text()
    table = text[text.index("| command | what it does |") :]
    for name in COMMANDS:
        assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", table), name
    for page in PAGES:
        for name in re.findall(r"spec-runner ([a-z][a-z-]*)", page.read_text()):
            assert name in COMMANDS, (page, name)


def test_every_hook_is_in_the_plugins_page_with_its_arguments() -> None:
    text = (REPOSITORY / "plugins" / "README.md").read_text()
    hooks = [name for name in vars(hookspecs) if name.startswith(f"{PROJECT}_")]
    assert len(hooks) >= 5
    for name in hooks:
        arguments = vars(hookspecs)[name].__code__.co_varnames[: vars(hookspecs)[name].__code__.co_argcount]
        assert re.search(rf"{name}\({', '.join(arguments)}\)", text), name


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


def test_the_gallery_lists_every_spec() -> None:
    text = (REPOSITORY / "specs" / "README.md").read_text()
    assert {path.name for path in (REPOSITORY / "specs").glob("*.exp")} == set(
        re.findall(r"\]\(([a-z0-9-]+\.exp)\)", text)
    )


def test_ci_runs_the_readmes_test_command() -> None:
    script = (REPOSITORY / ".ci" / "run").read_text()
    command = blocks(REPOSITORY / "README.md", "sh")[-1]
    shown = script.replace('bash -euo pipefail -c "$command"', "")
    printed = subprocess.run(["bash", "-c", shown], cwd=REPOSITORY / ".ci", capture_output=True, text=True, check=False)
    assert "pytest" in command
    assert command.strip() in printed.stdout or printed.returncode != 0


def test_no_machine_path_and_no_registry_in_what_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    word = re.compile(r"/(work|home|root)/|py" + r"pi\.org|python" + r"hosted")
    for name in listed.stdout.split():
        path = REPOSITORY / name
        if path.suffix in (".py", ".md", ".toml", ".exp", ".lark") and path.name != "test_docs.py" and path.exists():
            assert not word.search(path.read_text()), name
