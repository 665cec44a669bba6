"""Broken plugins: each is refused as early as it can be, with the component, its plugin and the place in the spec."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp import (
    BodyFacts,
    Component,
    DataFacts,
    DataParams,
    OptimizerFacts,
    OptimizerParams,
    Params,
    PolicyParams,
    Schedule,
)  # fmt: skip
from dotexp.commands.workspace import Workspace
from dotexp.components.bases import LearningRate
from dotexp.components.facts import DataSignature
from dotexp.language.diagnostics import RunError, SpecError
from dotexp.sdk.callback import Callback
from pydantic import Field, model_validator
from strangers import registry_offering
from torch import nn

from specs import checked

pytestmark = pytest.mark.run

SPEC = """experiment strange
data latent_ratings(users = 60, items = 40, batch_size = 32)
model embedding_dot_bias(factors = 4)
loss mse
metrics rmse
optimizer adam
stage first { fit flat(epochs = 1, lr = 0.01) }
stage second { fit flat(epochs = 1, lr = 0.01) }
runtime(threads = 1)
"""


class Plain(Params):
    """A component of a stranger."""


class DataPlain(DataParams):
    """Data of a stranger."""


class Optimizing(OptimizerParams):
    """An optimizer of a stranger."""


class Policy(PolicyParams):
    """A policy of a stranger."""

    lr: LearningRate = 0.01

    @property
    def total_epochs(self) -> int:
        """One."""
        return 1


class Boundless(Policy):
    """A policy that does not know how long it is."""

    @property
    def total_epochs(self) -> int:
        """Half of one."""
        return 0


class Refusing(Params):
    """A component whose validator is broken."""

    @model_validator(mode="after")
    def _broken(self) -> Any:
        raise KeyError("lost")


class Unsound(Params):
    """A component whose default is out of its bounds."""

    size: int = Field(0, ge=1, description="how large")


def raising(*_: Any) -> Any:
    raise ValueError("broken")


def leaving(*_: Any) -> Any:
    sys.exit(3)


def giving(value: Any) -> Callable[..., Any]:
    return lambda *_: value


class Mse(nn.Module):
    """Mean squared error."""

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The mean."""
        return (output - target).square().mean()

    def activate(self, output: torch.Tensor) -> torch.Tensor:
        """As they are."""
        return output


class Failing(Mse):
    """A loss that fails."""

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Fail."""
        raise ValueError("broken")


class FailingSgd(torch.optim.SGD):
    """An optimizer that fails."""

    def step(self, closure: Any = None) -> Any:
        """Fail."""
        raise ValueError("broken")


class LostGroups(torch.optim.SGD):
    """An optimizer that merges its groups."""

    def __init__(self, groups: Any) -> None:
        super().__init__([p for group in groups for p in group["params"]], lr=0.1)
        self.param_groups.append(self.param_groups[0])


class FailingCallback(Callback):
    """A callback that fails."""

    def after_step(self, step: int) -> None:
        """Fail."""
        raise ValueError("broken")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module of a plugin, to which builders are added."""
    module = types.ModuleType("acme_made")
    monkeypatch.setitem(sys.modules, "acme_made", module)
    yield module


def spec_with(kind: str, name: str) -> str:
    lines = {
        "loss": ("loss mse", f"loss {name}"),
        "metric": ("metrics rmse", f"metrics {name}"),
        "optimizer": (
            "stage second { fit flat(epochs = 1, lr = 0.01) }",
            f"stage second {{ optimizer {name} fit flat(epochs = 1, lr = 0.01) }}",
        ),
        "policy": ("stage second { fit flat(epochs = 1, lr = 0.01) }", f"stage second {{ fit {name} }}"),
        "model": ("model embedding_dot_bias(factors = 4)", f"model {name}"),
        "data": ("data latent_ratings(users = 60, items = 40, batch_size = 32)", f"data {name}"),
        "callback": ("metrics rmse", f"metrics rmse\ncallbacks {name}"),
        "report": ("metrics rmse", f"metrics rmse\nreport {name}"),
        "stages": ("stage second { fit flat(epochs = 1, lr = 0.01) }", f"stages {name}"),
        "learning_rate": (
            "stage second { fit flat(epochs = 1, lr = 0.01) }",
            f"stage second {{ fit flat(epochs = 1, lr = {name}) }}",
        ),
    }
    old, new = lines[kind]
    return SPEC.replace(old, new)


PARAMS = {"optimizer": Optimizing, "policy": Policy}


def component(kind: str, **more: Any) -> Component:
    return Component(kind, "bad", **{"params": PARAMS.get(kind, Plain), "build": "acme_made:build", **more})


IN_CHECK = [
    (component("optimizer", facts=raising), "fails in its facts: ValueError: broken"),
    (component("optimizer", facts=leaving), "fails in its facts: SystemExit: 3"),
    (component("optimizer", facts=giving("momentum")), "has facts that are a str"),
    (component("optimizer", facts=giving(BodyFacts())), "has facts that are a BodyFacts, not a OptimizerFacts"),
    (component("optimizer", facts="acme_nowhere:facts"), "fails in its facts: ModuleNotFoundError"),
    (component("model", facts=giving(DataSignature())), "has facts that are a DataSignature, not a ModelFacts"),
    (component("loss", params="acme_nowhere:Params"), "fails in importing its parameters acme_nowhere:Params"),
    (component("loss", params="builtins:dict"), "has parameters that are not a subclass of Params"),
    (component("policy", params=f"{__name__}:Plain"), "has parameters that are not a subclass of PolicyParams"),
    (component("loss", params=Refusing), "fails in checking its parameters: KeyError: 'lost'"),
    (component("loss", params=Unsound), "has a default that is not valid: `size` must be at least 1"),
    (component("stages", build="acme_nowhere:build"), "fails in importing its builder acme_nowhere:build"),
]


@pytest.mark.parametrize(("broken", "said"), IN_CHECK, ids=lambda v: v if isinstance(v, str) else "")
def test_check_says_whose_fault_it_is(broken: Component, said: str) -> None:
    _, found = checked(spec_with(broken.kind, "bad"), registry=registry_offering(broken))
    errors = [each for each in found if each.severity == "error"]
    assert [each.code in ("E215", "E216") for each in errors] == [True], found
    assert errors[0].message.startswith(f"{broken.kind} `bad` of unknown") and said in errors[0].message
    assert errors[0].span is not None


@pytest.mark.parametrize(
    ("built", "said"), [(None, "built a NoneType, not a list of"), ([], "built a list without a stage"), (raising, "")]
)
def test_check_says_what_stages_were_built(made: types.ModuleType, built: Any, said: str) -> None:
    made.build = built if callable(built) else giving(built)  # type: ignore[attr-defined]
    _, found = checked(spec_with("stages", "bad"), registry=registry_offering(component("stages")))
    assert "E216" in [each.code for each in found]
    assert any("stages `bad` of unknown" in each.message and said in each.message for each in found)


IN_PLAN = [
    ("loss", None, "built a NoneType, not a torch module"),
    ("loss", nn.Identity(), "built a Identity, which has no method `activate`"),
    ("loss", lambda output, target: 0, "built a function, not a torch module"),
    ("metric", 3.5, "built a float, which has no method `update`"),
    ("metric", nn.Identity(), "built a Identity, which has no method `update`"),
    ("optimizer", None, "built a NoneType, not a torch optimizer"),
    ("optimizer", nn.Identity(), "built a Identity, not a torch optimizer"),
    ("callback", object(), "built a object, not a dotexp.sdk.callback.Callback"),
    ("callback", None, "built a NoneType, not a dotexp.sdk.callback.Callback"),
    ("report", "section", "built a str, not a function of a `Subject`"),
    ("model", None, "built a NoneType, not a torch module"),
    ("data", None, "built a NoneType, whose `facts` are no `DataFacts`"),
    ("data", types.SimpleNamespace(facts={}), "built a SimpleNamespace, whose `facts` are no `DataFacts`"),
    ("data", types.SimpleNamespace(facts=DataFacts("ratings", 1, 1)), "which has no method `part`"),
    ("policy", None, "built a NoneType, not a `Schedule`"),
    ("policy", Schedule(factor=1.0), "built a Schedule whose `factor` is a float"),  # type: ignore[arg-type]
    ("policy", Schedule(lambda step: None), "has a schedule whose factor at step 0 is None"),  # type: ignore[arg-type]
    ("policy", Schedule(lambda step: float("nan")), "has a schedule whose factor at step 0 is nan"),
    ("policy", Schedule(lambda step: 1 / step), "fails in its schedule's factor: ZeroDivisionError"),
    ("policy", Schedule(lambda step: 1.0, lambda step: -1.0), "has a schedule whose momentum at step 0 is -1.0"),
    ("learning_rate", None, "built a NoneType, not a rate for each group"),
    ("learning_rate", [0.1, 0.2], "built the rates [0.1, 0.2], not a positive one for each of 1 groups"),
]


def refused(tmp_path: Path, spec: str, *components: Component) -> SpecError:
    (tmp_path / "s.exp").write_text(spec)
    workspace = Workspace(tmp_path / "runs")
    workspace.__dict__["registry"] = registry_offering(*components)
    with pytest.raises(SpecError) as caught:
        workspace.plan(tmp_path / "s.exp")
    return caught.value


def place_of(error: SpecError, spec: str, name: str) -> None:
    faults = [each for each in error.diagnostics if each.severity == "error"]
    assert len(faults) == 1, faults
    assert faults[0].span is not None and faults[0].span.text.startswith(name)


@pytest.mark.parametrize(("kind", "built", "said"), IN_PLAN)
def test_plan_says_what_a_builder_built(
    made: types.ModuleType, tmp_path: Path, kind: str, built: Any, said: str
) -> None:
    made.build = giving(built)  # type: ignore[attr-defined]
    parts: dict[str, Any] = {"params": DataPlain} if kind == "data" else {}
    error = refused(tmp_path, spec_with(kind, "bad"), component(kind, **parts))
    assert f"{kind.replace('_', ' ')} `bad` of unknown unknown " in str(error) and said in str(error), error
    place_of(error, spec_with(kind, "bad"), "bad")


@pytest.mark.parametrize("kind", ["loss", "metric", "optimizer", "callback", "report", "model", "data", "policy"])
@pytest.mark.parametrize("how", ["raises", "exits", "does not import", "is missing"])
def test_plan_says_whose_builder_fails(made: types.ModuleType, tmp_path: Path, kind: str, how: str) -> None:
    made.build = leaving if how == "exits" else raising  # type: ignore[attr-defined]
    build = {"does not import": "acme_nowhere:build", "is missing": "acme_made:nothing"}.get(how, "acme_made:build")
    parts: dict[str, Any] = {"params": DataPlain} if kind == "data" else {}
    error = refused(tmp_path, spec_with(kind, "bad"), component(kind, build=build, **parts))
    said = {
        "raises": "fails in its builder: ValueError: broken",
        "exits": "fails in its builder: SystemExit: 3",
        "does not import": "fails in importing its builder acme_nowhere:build: ModuleNotFoundError",
        "is missing": "fails in importing its builder acme_made:nothing: AttributeError",
    }[how]
    assert f"{kind} `bad` of unknown unknown {said}" in str(error), error
    place_of(error, spec_with(kind, "bad"), "bad")


@pytest.mark.parametrize("kind", ["loss", "metric", "optimizer", "callback", "report", "model", "policy"])
def test_every_kinds_check_is_called_and_named_where_it_fails(
    made: types.ModuleType, tmp_path: Path, kind: str
) -> None:
    made.build = raising  # type: ignore[attr-defined]
    error = refused(tmp_path, spec_with(kind, "bad"), component(kind, check=raising))
    assert f"{kind} `bad` of unknown unknown fails in its check: ValueError: broken" in str(error)


def test_a_policy_that_does_not_say_its_epochs_is_named(made: types.ModuleType, tmp_path: Path) -> None:
    error = refused(tmp_path, spec_with("policy", "bad"), component("policy", params=Boundless))
    assert "policy `bad` of unknown unknown has total_epochs 0" in str(error)


def test_an_optimizer_that_loses_its_groups_is_named(made: types.ModuleType, tmp_path: Path) -> None:
    made.build = lambda params, groups: LostGroups(groups)  # type: ignore[attr-defined]
    error = refused(tmp_path, spec_with("optimizer", "bad"), component("optimizer"))
    assert "made 2 parameter groups of the 1 that it was given" in str(error)
    made.build = lambda params, groups: torch.optim.SGD(groups)  # type: ignore[attr-defined]

    class Moving(Optimizing):
        beta: float = 0.5

    facts = OptimizerFacts(momentum="beta")
    error = refused(tmp_path, spec_with("optimizer", "bad"), component("optimizer", facts=facts, params=Moving))
    assert "has no `beta` in its parameter groups" in str(error)


@pytest.mark.parametrize(
    ("kind", "built", "said"),
    [
        ("loss", giving(Failing()), "loss `bad` of unknown unknown fails in forward: ValueError: broken"),
        ("optimizer", lambda params, groups: FailingSgd(groups), "optimizer `bad` of unknown unknown fails in step"),
        ("callback", giving(FailingCallback()), "callback `bad` of unknown unknown fails in after_step: ValueError"),
    ],
    ids=["loss", "optimizer", "callback"],
)
def test_what_fails_while_it_trains_is_named_with_its_place(
    made: types.ModuleType, tmp_path: Path, kind: str, built: Callable[..., Any], said: str
) -> None:
    made.build = built  # type: ignore[attr-defined]
    (tmp_path / "s.exp").write_text(spec_with(kind, "bad"))
    workspace = Workspace(tmp_path / "runs")
    workspace.__dict__["registry"] = registry_offering(component(kind))
    with pytest.raises((RunError, SpecError)) as caught:
        workspace.run(tmp_path / "s.exp", report=False)
    assert said in str(caught.value)
    if isinstance(caught.value, RunError):
        line = 1 + next(i for i, text in enumerate(spec_with(kind, "bad").splitlines()) if "bad" in text)
        assert f"in the spec: {tmp_path / 's.exp'}:{line}:" in str(caught.value)
        saved = any((tmp_path / "runs/strange-1/checkpoints").glob("*"))
        assert ("to go on from the last checkpoint" in str(caught.value)) is saved
