"""A stranger's distribution: installed it works, uninstalled it is missed by name, broken it hurts nobody else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import REPOSITORY

pytestmark = pytest.mark.process

MODEL_FACE = '''
from dotexp import Component, LayerGroup, ModelFacts, Params, hookimpl


class MeanParams(Params):
    """Every rating is one learned number."""


@hookimpl
def dotexp_components():
    groups = (LayerGroup("all", ("level",)),)
    facts = ModelFacts(inputs="users and items", tasks=("ratings",), layers=("level",), groups=groups)
    return [Component("model", "one_number", MeanParams, build="acme_mean.model:build", facts=facts)]
'''
MODEL_BODY = """
import torch
from torch import nn


class Level(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))

    def forward(self, users):
        return self.value.expand(len(users))


class OneNumber(nn.Module):
    def __init__(self):
        super().__init__()
        self.level = Level()

    def forward(self, users, items):
        return self.level(users)


def build(params, facts):
    return OneNumber()
"""
SPEC = """
experiment strange
data latent_ratings(users = 60, items = 40, batch_size = 32)
model one_number
loss mse
optimizer lion(wd = 0)
runtime(threads = 1)
stage train { fit one_cycle(epochs = 6, lr = 0.2) }
"""
PLAIN = SPEC.replace("one_number", "embedding_dot_bias(factors = 4)").replace("lion(wd = 0)", "adam")


def readme_plugin() -> dict[str, str]:
    """The files of plugins/README.md's example, by their names there."""
    text = (REPOSITORY / "plugins" / "README.md").read_text()
    face, body, *_ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return {"acme_lion/__init__.py": face, "acme_lion/lion.py": body}


def install(folder: Path, files: dict[str, str], name: str) -> None:
    """Lay a distribution out as an installer does: its package, and its dist-info with the entry point."""
    info = f"{name}-1.2.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n",
        f"{info}/entry_points.txt": f"[dotexp]\n{name} = {name}\n",
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def search_path(site: Path) -> str:
    """Python's search path with a folder in front."""
    return os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])


def runner(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": search_path(site), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "dotexp.cli", *arguments]
    return subprocess.run(command, cwd=site, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "s.exp").write_text(SPEC)
    (tmp_path / "plain.exp").write_text(PLAIN)
    return tmp_path


def test_installed_its_optimizer_and_model_train(site: Path) -> None:
    install(site, readme_plugin(), "acme_lion")
    install(site, {"acme_mean/__init__.py": MODEL_FACE, "acme_mean/model.py": MODEL_BODY}, "acme_mean")
    done = runner(site, "run", "s.exp")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (site / "runs/strange-1/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["valid_loss"] < rows[0]["valid_loss"] / 2
    assert "acme_lion" in (site / "runs/strange-1/resolved.exp").read_text()
    plugins = json.loads(runner(site, "plugins", "--json").stdout)["plugins"]
    assert {"name": "acme_lion", "version": "1.2", "status": "ok"}.items() <= next(
        plugin for plugin in plugins if plugin["name"] == "acme_lion"
    ).items()


QUERY_FACE = '''
from dotexp import Component, LayerGroup, ModelFacts, Params, Query, QueryOption, hookimpl


class MeanParams(Params):
    """Every rating is one learned number."""


@hookimpl
def dotexp_components():
    groups = (LayerGroup("all", ("level",)),)
    facts = ModelFacts(inputs="users and items", tasks=("ratings",), layers=("level",), groups=groups)
    options = (
        QueryOption("times", "how often", int, 2, (1, 9)),
        QueryOption("by-half", "halve it", bool),
        QueryOption("unit", "what follows the number", str, "stars", metavar="WORD"),
    )
    answer = "acme_mean.model:level_of"
    query = Query("level-of", answer, "the learned number, for someone", "NAME", "name", "levels", options)
    return [Component("model", "one_number", MeanParams, build="acme_mean.model:build", facts=facts, queries=(query,))]
'''
QUERY_BODY = (
    MODEL_BODY
    + """

def level_of(trained, name, times, by_half, unit):
    level = trained.model.level.value.item() / (2 if by_half else 1)
    return [{"name": name, "place": place, "level": level, "unit": unit} for place in range(times)]
"""
)


def test_installed_its_query_is_an_option_of_predict_with_options_of_its_own(site: Path) -> None:
    assert "--level-of" not in runner(site, "predict", "--help").stdout
    install(site, {"acme_mean/__init__.py": QUERY_FACE, "acme_mean/model.py": QUERY_BODY}, "acme_mean")
    (site / "mean.exp").write_text(SPEC.replace("lion(wd = 0)", "adam").replace("strange", "mean"))
    (site / "plain.exp").write_text(PLAIN.replace("strange", "plain"))
    for spec in ("mean.exp", "plain.exp"):
        done = runner(site, "run", spec, "--no-report")
        assert done.returncode == 0, done.stderr
    help = " ".join(runner(site, "predict", "--help").stdout.split())
    assert "--level-of NAME The learned number, for someone, in place of INPUT." in help
    assert "--unit WORD With --level-of: what follows the number. [default: stars]" in help

    def rows(*arguments: str) -> list[dict[str, object]]:
        answer = json.loads(runner(site, "predict", "mean", "--level-of", "Ada", *arguments, "--json").stdout)
        assert answer["name"] == "Ada"
        return answer["levels"]

    plain, halved = rows(), rows("--by-half", "--times", "3", "--unit", "points")
    assert [row["unit"] for row in plain] == ["stars"] * 2 and [row["unit"] for row in halved] == ["points"] * 3
    assert plain[0]["level"] == pytest.approx(2 * halved[0]["level"])
    for arguments, said in (
        (["mean", "--user", "1", "--times", "3"], "--times goes with --level-of"),
        (["mean", "--level-of", "Ada", "--top", "3"], "--top goes with --user and --similar"),
        (["mean", "--level-of", "Ada", "--times", "10"], "--times"),
        (["mean", "--level-of", "Ada", "--user", "1"], "ask one at a time"),
        (["plain", "--level-of", "Ada"], "answer no query `level-of` (they answer: `user`, `similar`)"),
    ):
        done = runner(site, "predict", *arguments)
        assert done.returncode == 2 and said in " ".join(done.stderr.split()), done.stderr


def test_the_readmes_plugin_holds_to_the_contract(site: Path) -> None:
    install(site, readme_plugin(), "acme_lion")
    code = (
        "from acme_lion import dotexp_components\n"
        "from dotexp.testing import check_component, check_face, check_optimizer\n"
        "[check_component(c) for c in dotexp_components()]\n"
        "check_face('acme_lion'); check_optimizer(dotexp_components()[0])"
    )
    environment = {**os.environ, "PYTHONPATH": search_path(site)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_of_plugins_is_used_only_where_the_command_line_names_it(site: Path) -> None:
    install(site / "more", readme_plugin(), "acme_lion")
    (site / "lion.exp").write_text(PLAIN.replace("optimizer adam", "optimizer lion"))
    assert runner(site, "check", "lion.exp").returncode == 2
    assert runner(site, "--plugins", "more", "check", "lion.exp").returncode == 0
    assert runner(site, "--plugins", "more", "run", "lion.exp").returncode == 0
    assert runner(site, "--plugins", "nowhere", "check", "lion.exp").returncode == 2


def test_uninstalled_the_spec_says_what_is_missing(site: Path) -> None:
    done = runner(site, "check", "s.exp")
    assert done.returncode == 2
    assert "error[E203]: unknown model `one_number`" in done.stdout
    assert "error[E203]: unknown optimizer `lion`" in done.stdout
    assert "plugin is not installed" in done.stdout


def test_broken_the_others_work_and_it_is_named(site: Path) -> None:
    install(site, {"acme_lion/__init__.py": "import nothing_of_this_name"}, "acme_lion")
    for arguments in (["--help"], ["check", "plain.exp"], ["show", "adam"], ["run", "plain.exp"]):
        assert runner(site, *arguments).returncode == 0, arguments
    listed = runner(site, "plugins")
    assert "broken: ModuleNotFoundError: No module named 'nothing_of_this_name'" in listed.stdout
    done = runner(site, "check", "s.exp")
    assert done.returncode == 2 and "acme_lion 1.2" in done.stdout and "nothing_of_this_name" in done.stdout
    assert runner(site, "doctor").returncode == 1


TRACKER = """
from dotexp import hookimpl

@hookimpl(wrapper=True)
def dotexp_epoch_ended(row):
    print(f"before {row.epoch}")
    result = yield
    print(f"after {row.epoch}")
    return result

@hookimpl
def dotexp_run_ended(result):
    raise ConnectionError("no such server")
"""
CHART = """
from dotexp import hookimpl

@hookimpl
def dotexp_epoch_ended(row):
    print(f"inside {row.epoch}")
"""


def test_installed_trackers_hear_a_run_in_pluggys_order_and_cannot_fail_it(site: Path) -> None:
    install(site, {"acme_tracker/__init__.py": TRACKER}, "acme_tracker")
    install(site, {"zebra_chart/__init__.py": CHART}, "zebra_chart")
    done = runner(site, "run", "plain.exp", "--set", "stage.train.fit.epochs=1", "--no-report")
    assert done.returncode == 0, done.stderr
    heard = ("before 1", "inside 1", "after 1")
    assert [line for line in done.stderr.splitlines() if line in heard] == list(heard)
    assert not any(line in heard for line in done.stdout.splitlines())
    assert "warning: plugin acme_tracker of acme_tracker 1.2 fails in dotexp_run_ended: ConnectionError" in done.stderr


CHATTY_FACE = """
import ctypes, os, subprocess, sys
from click import echo
from dotexp import Component, OptimizerFacts, OptimizerParams, Positional, hookimpl

def chat(place):
    print("print", place)
    sys.stdout.write(f"write {place}\\n")
    sys.stdout.buffer.write(f"buffer {place}\\n".encode())
    sys.__stdout__.flush()
    echo(f"click {place}")
    os.write(1, f"descriptor {place}\\n".encode())
    libc = ctypes.CDLL(None)
    libc.puts(f"libc {place}".encode())
    libc.fflush(None)
    subprocess.run([sys.executable, "-c", f"print('child {place}')"], check=True)

chat("import")

class ChattyParams(OptimizerParams):
    \"\"\"An optimizer that chats.\"\"\"

def facts(params):
    chat("facts")
    return OptimizerFacts()

@hookimpl
def dotexp_components():
    chat("hook")
    return [Component("optimizer", "chatty", ChattyParams, build="acme_chatty.body:build", facts=facts)]

@hookimpl
def dotexp_run_ended(result):
    chat("ended")
"""
CHATTY_BODY = """
import torch
from acme_chatty import chat

chat("body")

class Chatty(torch.optim.SGD):
    def step(self, closure=None):
        print("print step")
        return super().step(closure)

def build(params, groups):
    chat("build")
    return Chatty(groups)
"""


def test_what_a_plugin_prints_goes_to_standard_error(site: Path) -> None:
    install(site, {"acme_chatty/__init__.py": CHATTY_FACE, "acme_chatty/body.py": CHATTY_BODY}, "acme_chatty")
    (site / "chatty.exp").write_text(PLAIN.replace("optimizer adam", "optimizer chatty"))
    ways = ("print", "write", "buffer", "click", "descriptor", "libc", "child")
    for arguments, places in (
        (["check", "chatty.exp", "--json"], ("import", "hook", "facts")),
        (["plugins", "--json"], ("import", "hook")),
        (["show", "adam", "--json"], ("import", "hook")),
        (["predict", "--help"], ("import", "hook")),
        (["plan", "chatty.exp", "--json"], ("facts",)),
        (["run", "chatty.exp", "--json", "--no-report"], ("facts", "body", "build", "ended")),
    ):
        done = runner(site, *arguments)
        assert done.returncode == 0, done.stderr
        if "--json" in arguments:
            json.loads(done.stdout)
        else:
            assert done.stdout.startswith("Usage: ")
        for said in (f"{way} {place}" for way in ways for place in places):
            assert said in done.stderr and said not in done.stdout, (arguments, said)
    assert "print step" in done.stderr
