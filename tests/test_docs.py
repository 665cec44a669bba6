"""What the documentation claims is so: its specs check, its tables are the code's, its commands exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from docs import LANGUAGE, TABLES, indices, section
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


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, tables in TABLES.items() for name in tables])
def test_the_tables_are_the_code_s(page: Path, name: str) -> None:
    assert section(page.read_text(), name) == TABLES[page][name](), "run: python tests/support/docs.py"


def test_the_indices_of_components_are_made_from_the_code() -> None:
    made = indices()
    assert len(made) == 6
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, "run: python tests/support/docs.py"


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


def test_test_files_and_scripts_that_are_named_exist() -> None:
    named = {(page, path) for page in PAGES for path in re.findall(r"\btests/[\w/]+\.py\b", page.read_text())}
    assert len(named) >= 4
    for page, path in named:
        assert (REPOSITORY / path).is_file(), (page, path)
    for page in PAGES:
        for module in re.findall(r"python -m (tests[\w.]*)", page.read_text()):
            path = REPOSITORY / module.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), (page, module)


def test_every_defence_has_the_tests_that_it_names() -> None:
    text = LANGUAGE.read_text()
    rows = re.findall(
        r"^\| (.+?) \| .+ \| (.*?) \|$", text[text.index("## Threats") : text.index("Not defended:")], re.M
    )
    defences = dict(rows[1:])
    assert len(defences) >= 10
    for defence, cell in defences.items():
        assert "`test_" in cell, defence
        for path, names in re.findall(r"`(tests/[\w/]+\.py)`: ([^;]+)", cell):
            code = (REPOSITORY / path).read_text()
            for name in re.findall(r"`(test_\w+)`", names):
                assert f"def {name}(" in code, (defence, path, name)


def test_the_readmes_spec_is_the_one_that_its_command_runs() -> None:
    """But for comments and white space."""
    readme = (REPOSITORY / "README.md").read_text()
    (shown,) = blocks(REPOSITORY / "README.md", "exp")
    run = re.findall(r"spec-runner run ([^`\n]+)", readme)[0].split()
    assert all((REPOSITORY / path).is_file() for path in run)
    written = (REPOSITORY / run[-1]).read_text()
    assert shown.split() == re.sub(r"#.*", "", written).split()


def test_the_gallery_lists_every_spec() -> None:
    text = (REPOSITORY / "specs" / "README.md").read_text()
    assert {path.name for path in (REPOSITORY / "specs").glob("*.exp")} == set(
        re.findall(r"\]\(([a-z0-9-]+\.exp)\)", text)
    )


@pytest.mark.process
def test_ci_runs_the_readmes_test_command(tmp_path: Path) -> None:
    """The whole script, with a `bash` first on the path that prints what it is asked to run."""
    shell = shutil.which("bash")
    assert shell is not None
    fake = tmp_path / "bash"
    fake.write_text(f"#!{shell}\nprintf '%s\\n' \"$@\"\n")
    fake.chmod(0o755)
    script = REPOSITORY / ".ci" / "run"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([shell, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    text = (REPOSITORY / "README.md").read_text()
    command = re.findall(r"<!-- test command -->\n```sh\n(.*?)\n```", text)[0]
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"+ {command}", "-euo", "pipefail", "-c", command]


@pytest.mark.process
def test_no_machine_path_and_no_registry_in_what_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    word = re.compile(r"/(work|home|root)/|py" + r"pi\.org|python" + r"hosted")
    for name in listed.stdout.split():
        path = REPOSITORY / name
        if path.suffix in (".py", ".md", ".toml", ".exp", ".lark") and path.name != "test_docs.py" and path.exists():
            assert not word.search(path.read_text()), name
