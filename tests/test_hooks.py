"""The hooks for pre-commit, and the examples of a configuration and a workflow in the language's page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs import LANGUAGE
from paths import REPOSITORY
from spec_runner import runner

from specs import RATINGS

HOOKS = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())


def blocks() -> dict[str, Any]:
    """The YAML files on the page, by the path in their first line."""
    found = re.findall(r"```yaml\n# (\S+)\n(.*?)```", LANGUAGE.read_text(), re.DOTALL)
    return {path: yaml.safe_load(text) for path, text in found}


def test_the_hooks_are_check_and_fmt() -> None:
    assert [hook["id"] for hook in HOOKS] == ["dotexp-fmt", "dotexp-check"]
    for hook in HOOKS:
        assert {"id", "name", "entry", "language", "files"} <= set(hook)
        assert hook["language"] == "system"
        assert re.search(hook["files"], "specs/a.exp") and not re.search(hook["files"], "specs/a.expert")


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_passes_a_good_file_and_fails_a_bad_one(hook: dict[str, str], tmp_path: Path) -> None:
    program, *arguments = shlex.split(hook["entry"])
    assert program == "spec-runner"
    (tmp_path / "good.exp").write_text(RATINGS.lstrip())
    (tmp_path / "bad.exp").write_text(RATINGS.replace("loss mse", "loss mse("))
    assert runner(*arguments, "good.exp", folder=tmp_path).returncode == 0
    assert runner(*arguments, "good.exp", "bad.exp", folder=tmp_path).returncode == 2


def test_the_configuration_names_the_hooks() -> None:
    (repository,) = blocks()[".pre-commit-config.yaml"]["repos"]
    assert [hook["id"] for hook in repository["hooks"]] == [hook["id"] for hook in HOOKS]


def test_the_workflow_runs_commands_that_work_on_the_bundled_specs() -> None:
    workflow = blocks()[".github/workflows/specs.yml"]
    assert {"name", True, "jobs"} <= set(workflow)  # YAML 1.1 reads `on` as true
    (job,) = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if step.get("run", "").startswith("spec-runner ")]
    assert len(commands) == 2
    for command in commands:
        _, *arguments, pattern = shlex.split(command)
        files = sorted(str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob(pattern))
        assert files and runner(*arguments, *files, folder=REPOSITORY).returncode == 0, command
