"""Broken plugins: each fault is found by the check that is for it, and said with its cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dotexp.testing import check_plugin, inspect_plugin
from dotexp.testing.trial import State
from installed import importable
from paths import REPOSITORY

pytestmark = [pytest.mark.run, pytest.mark.process]

FACE = '''
from dotexp import (
    Component, DataParams, DataSignature, Facts, InputForm, LayerGroup, LearningRate, MetricFacts,
    ModelFacts, Params, PolicyParams, hookimpl,
)
from pydantic import Field


class LossParams(Params):
    """Absolute error."""


class MetricParams(Params):
    """Largest error."""


class CallbackParams(Params):
    """Counts steps."""


class PolicyOneParams(PolicyParams):
    """Half the rate in the second half."""

    epochs: int = Field(ge=1, le=1000, description="passes over the training set")
    lr: LearningRate

    @property
    def total_epochs(self):
        return self.epochs


class TableParams(DataParams):
    """Random rows of numbers."""

    valid: int = Field(6, ge=1, le=10, description="rows held out")


class ModelParams(Params):
    """Two linear layers."""


NUMBERS = ("regression", "ratings")
GROUPS = (LayerGroup("first", ("first",)), LayerGroup("last", ("last",)))
MODEL = ModelFacts(inputs="rows", layers=("first", "last"), groups=GROUPS)
DATA = DataSignature(task="regression", inputs="rows")


@hookimpl
def dotexp_components():
    home = __name__ + ".heavy"
    return [
        Component("loss", "absolute", LossParams, home + ":loss", Facts(tasks=NUMBERS)),
        Component("metric", "worst", MetricParams, home + ":metric", MetricFacts(tasks=NUMBERS, better="lower")),
        Component("callback", "counter", CallbackParams, home + ":callback"),
        Component("policy", "halved", PolicyOneParams, home.replace("heavy", "light") + ":policy"),
        Component("data", "rows", TableParams, home + ":data", DATA, inputs=InputForm(home + ":encoder", ("rows",))),
        Component("model", "two", ModelParams, home + ":model", MODEL),
    ]
'''
LIGHT = """
from dotexp import Schedule


def policy(params, steps, steps_per_epoch):
    return Schedule(lambda i: 1.0 if i < steps / 2 else 0.5)
"""
HEAVY = """
from dataclasses import dataclass

import torch
from dotexp import Callback, DataFacts, Encoded, TensorPart
from torch import nn


class Absolute(nn.Module):
    def forward(self, output, target):
        return (output.float().flatten() - target.flatten()).abs().mean()

    def activate(self, output):
        return output


def loss(params, facts):
    return Absolute()


class Worst:
    def __init__(self):
        self.reset()

    def reset(self):
        self.worst = 0.0

    def update(self, outputs, targets):
        self.worst = max(self.worst, (outputs.flatten() - targets.flatten()).abs().max().item())

    def compute(self):
        return self.worst

    def to(self, device):
        return self


def metric(params, facts):
    return Worst()


class Counter(Callback):
    def __init__(self):
        self.steps = 0

    def after_step(self, step):
        self.steps += 1

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


def callback(params):
    return Counter()


@dataclass
class Rows:
    facts: DataFacts
    parts: dict

    def part(self, name):
        return self.parts[name]


def data(params, context):
    generator = torch.Generator().manual_seed(7)
    rows = torch.rand(30, 4, generator=generator)
    seed = context.seed if params.split_seed is None else params.split_seed
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    held, kept = order[: params.valid], order[params.valid :]
    targets = rows.sum(1)
    parts = {"train": TensorPart([rows[kept]], targets[kept]), "valid": TensorPart([rows[held]], targets[held])}
    span = targets[kept].min().item(), targets[kept].max().item()
    facts = DataFacts("regression", len(kept), len(held), range=span, fingerprint="rows 7", vocabulary={"width": 4})
    return Rows(facts, parts)


def encoder(params, vocabulary):
    def encode(inputs):
        rows = [[float(cell) for cell in text.split(",")] for text in inputs]
        return Encoded([{"input": text} for text in inputs], iter([(torch.tensor(rows),)]))

    return encode


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.last = nn.Linear(8, 1)

    def forward(self, rows):
        return self.last(self.first(rows).relu())[:, 0]


def model(params, facts):
    return Two()
"""
LION_FACE, LION_BODY, *_ = re.findall(r"```python\n(.*?)```", (REPOSITORY / "plugins" / "README.md").read_text(), re.S)
SOUND = {"__init__.py": FACE, "light.py": LIGHT, "heavy.py": HEAVY}
LION = {"__init__.py": LION_FACE, "lion.py": LION_BODY}
INPUTS = {"rows": ["1,2,3,4", "0,0,0,1"]}


def lay(
    monkeypatch: pytest.MonkeyPatch, folder: Path, files: dict[str, str], name: str, *changes: tuple[str, str]
) -> None:
    """Install the files under a name, with text replaced; each change must change something."""
    texts = {f"{name}/{path}": text.replace("acme_lion", name) for path, text in files.items()}
    for old, new in changes:
        assert any(old in text for text in texts.values()), old
        texts = {path: text.replace(old, new) for path, text in texts.items()}
    importable(monkeypatch, folder, texts, name)


def test_a_sound_plugin_of_many_kinds_passes_with_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lay(monkeypatch, tmp_path, SOUND, "acme_sound")
    report = check_plugin("acme_sound", inputs=INPUTS)
    assert [each for each in report.outcomes if each.state is not State.ok] == []
    assert sum(each.check == "runs" for each in report.outcomes) == 6
    assert str(report).startswith("acme_sound (acme_sound 1.2): ")


def test_the_lion_of_the_readme_passes_with_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lay(monkeypatch, tmp_path, LION, "acme_lion")
    check_plugin("acme_lion")


LR = 'alpha=group["lr"]'
STATE = 'self.state[p].setdefault("average", torch.zeros_like(p))'
FAULTS = {
    # an optimizer
    "imports torch": (LION, "import Field", "import Field\nimport torch", "face", "imports torch"),
    "imports torch inside": (LION, "import Field", "import Field\nfrom acme_x import lion", "face", "imports torch"),
    "ignores lr": (LION, LR, "alpha=0.01", "obeys lr", "the same at twice the `lr`"),
    "moves at lr 0": (LION, LR, 'alpha=group["lr"] + 0.001', "obeys lr", "at a learning rate of 0"),
    "ignores wd": (LION, '1 - group["lr"] * group["weight_decay"]', "1.0", "obeys weight decay", "with and without"),
    "decays all": (LION, 'group["weight_decay"]', "0.1", "obeys weight decay", "with and without weight decay"),
    "state outside": (
        LION,
        STATE,
        'vars(self).setdefault("own", {}).setdefault(p, torch.zeros_like(p))',
        "resumes",
        "`self.own`",
    ),
    "counts outside": (
        LION,
        "        for group",
        '        self.t = getattr(self, "t", 0) + 1\n        for group',
        "resumes",
        "`self.t`",
    ),
    "ignores beta": (LION, '1 - group["beta"]', "0.1", "obeys momentum", "whatever `beta` is"),
    "no beta": (LION, '{"beta": params.beta}', "{}", "obeys momentum", "no `beta`"),
    "uphill": (LION, "sub_(average.sign()", "add_(average.sign()", "trains", "went from"),
    "one group": (
        LION,
        "return Lion(groups,",
        'return Lion([p for g in groups for p in g["params"]],',
        "builds",
        "groups",
    ),
    "returns none": (LION, "return Lion", "Lion", "builds", "built a NoneType"),
    "unbounded": (LION, "ge=0, lt=1, ", "", "parameters", "without bounds"),
    "undocumented": (LION, ', description="share of the past in the average"', "", "documented", "no description"),
    "no docstring": (
        LION,
        '    """Lion: the sign of an average of gradients (Chen et al. 2023)."""\n',
        "",
        "documented",
        "no docstring",
    ),
    # a loss
    "loss sum": (SOUND, ".abs().mean()", ".abs().sum()", "is the mean over the examples", "12 times"),
    "loss (1,)": (SOUND, ".abs().mean()", ".abs().mean()[None]", "is a number", "of shape (1,)"),
    "loss broadcasts": (
        SOUND,
        "(output.float().flatten() - target.flatten())",
        "(output.float() - target)",
        "does not broadcast",
        "(B, 1)",
    ),
    "loss detached": (
        SOUND,
        "(output.float().flatten()",
        "(output.detach().float().flatten()",
        "is a number",
        "does not require grad",
    ),
    "loss parameter": (
        SOUND,
        "class Absolute(nn.Module):",
        "class Absolute(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.scale = nn.Parameter(torch.ones(()))\n",
        "builds",
        "`scale`",
    ),
    "no activate": (SOUND, "def activate", "def activated", "builds", "no method `activate`"),
    "activates a mean": (SOUND, "return output\n", "return output - output.mean()\n", "activates", "rest of its batch"),
    # a metric
    "metric broadcasts": (
        SOUND,
        "(outputs.flatten() - targets.flatten()).abs().max()",
        "(outputs - targets).abs().max()",
        "a metric does not broadcast",
        "(B, 1)",
    ),
    "metric by batch": (SOUND, "max(self.worst, ", "(self.worst + ", "does not depend on batches", "in three"),
    "metric keeps": (
        SOUND,
        "        self.worst = 0.0",
        '        self.worst = getattr(self, "worst", 0.0)',
        "measures",
        "`reset`",
    ),
    "metric upside down": (SOUND, 'better="lower"', 'better="higher"', "is better where it says", "higher is better"),
    # a callback
    "no state": (SOUND, '{"steps": self.steps}', "{}", "state is complete", ""),
    "state ignored": (SOUND, 'self.steps = state["steps"]', "pass", "state is complete", "`self.steps`"),
    "misspelt": (SOUND, "def after_step", "def after_steps", "builds", "did you mean `after_step`?"),
    "no callback": (SOUND, "class Counter(Callback)", "class Counter", "builds", "built a Counter"),
    # a policy
    "policy above 1": (SOUND, "1.0 if i", "2.0 if i", "factors in range", "2 at step 0"),
    "no epochs": (SOUND, "return self.epochs", "return None", "builds", "`total_epochs` is None"),
    "policy imports torch": (
        SOUND,
        "from dotexp import Schedule",
        "import torch\nfrom dotexp import Schedule",
        "face",
        "imports torch",
    ),
    # data
    "data counts": (SOUND, "len(kept), len(held)", "len(held), len(kept)", "opens", "facts say 6"),
    "data range": (SOUND, "range=span", "range=(0.0, 1.0)", "targets are what the facts say", "from 0 to 1"),
    "data unseeded": (
        SOUND,
        "torch.rand(30, 4, generator=generator)",
        "torch.rand(30, 4)",
        "opens the same twice",
        "differ",
    ),
    "one split": (SOUND, "manual_seed(seed)", "manual_seed(3)", "splits", "hold out the same"),
    "tuple vocabulary": (SOUND, '{"width": 4}', '{"width": (4,)}', "vocabulary is json", "another one"),
    "no fingerprint": (SOUND, 'fingerprint="rows 7", ', "", "opens", "no fingerprint"),
    "encodes one": (
        SOUND,
        "for text in inputs]\n        return",
        "for text in inputs[:1]]\n        return",
        "encodes",
        "2 inputs gave",
    ),
    "encodes doubles": (SOUND, "torch.tensor(rows)", "torch.tensor(rows).double()", "encodes", "kind of number"),
    "double targets": (SOUND, "rows.sum(1)", "rows.sum(1).double()", "batches are tensors", "float64"),
    # a model
    "layer forgotten": (SOUND, ', LayerGroup("last", ("last",))', ",", "layers and groups", "`last`"),
    "layer detached": (
        SOUND,
        "self.first(rows).relu()",
        "self.first(rows).relu().detach()",
        "freezes by layer",
        "no gradient reaches it",
    ),
    "layer misnamed": (SOUND, "self.last", "self.end", "builds", "last"),
    "random in eval": (SOUND, "[:, 0]", "[:, 0] + torch.rand(len(rows))", "is deterministic", "the second time"),
    "batch statistics": (
        SOUND,
        "self.first(rows)",
        "self.first(rows - rows.mean(0))",
        "examples are independent",
        "alone",
    ),
    "changes input": (SOUND, "self.first(rows)", "self.first(rows.mul_(2))", "leaves its input", "inputs"),
    "wide": (SOUND, "[:, 0]", "[:, [0, 0]]", "builds", "(6, 2)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_check(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files, old, new, check, said = FAULTS[name]
    plugin = f"acme_{list(FAULTS).index(name)}"
    lay(monkeypatch, tmp_path, files, plugin, (old, new.replace("acme_x", plugin)))
    report = inspect_plugin(plugin, inputs=INPUTS, runs=False)
    found = [each for each in report.failed if each.check == check]
    assert found and said in found[0].message, str(report)
    with pytest.raises(AssertionError, match=re.escape(found[0].message)):
        check_plugin(plugin, inputs=INPUTS, runs=False)
