"""Plugins: found by entry point, loaded one at a time, a broken one told of while the others work."""

from __future__ import annotations

import sys
import tomllib
import types
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pluggy
import pytest
from dotexp import API, Component, ComponentModule, OptimizerFacts, Params, Query, QueryOption, UsageError, hookimpl
from dotexp.cli import predict
from dotexp.cli.query_options import query_options
from dotexp.components.hookspecs import hookspec
from dotexp.components.kinds import Kind
from dotexp.components.queries import RESERVED_OPTIONS
from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.text import as_text
from dotexp.version import __version__
from paths import REPOSITORY
from strangers import plugin, registry_of

from specs import RATINGS, checked, faults, only, resolved


class OwnParams(Params):
    """An optimizer of a stranger."""


class StrayHook:
    """A plugin with a misspelt hook."""

    @staticmethod
    @hookimpl
    def dotexp_component() -> list[Component]:
        """Misspelt."""
        return []


def offering(*components: object) -> Callable[[], list[object]]:
    @hookimpl
    def dotexp_components() -> list[object]:
        return list(components)

    return dotexp_components


@pytest.fixture
def registry_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    """Make a registry of the installed plugins and of modules made here, by entry-point name."""

    def make(**modules: Callable[[], object] | type | str | None) -> Registry:
        from importlib.metadata import entry_points

        points = list(entry_points(group="dotexp"))
        for name, content in modules.items():
            if content is not None and not isinstance(content, str):
                module = types.ModuleType(f"made_{name}")
                hook = content if isinstance(content, types.FunctionType) else None
                if hook is not None:
                    module.dotexp_components = hook  # type: ignore[attr-defined]
                else:
                    module.dotexp_component = content.dotexp_component  # type: ignore[union-attr]
                monkeypatch.setitem(sys.modules, f"made_{name}", module)
            points.append(EntryPoint(name, content if isinstance(content, str) else f"made_{name}", "dotexp"))
        return load_registry(points)

    return make


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (Query("device", "a:b", "a device"), "--device is an option of `predict` itself"),
        (Query("Nearest to", "a:b", "what is near"), "`Nearest to` is no option's name"),
        (Query("near", "a.b", "what is near"), 'answer is "module:function"'),
        (Query("near", "a:b", "what is near", options=(QueryOption("near", "nearer"),)), "--near stands twice"),
        ("near", "'near' is not a Query"),
    ],
)
def test_a_query_that_cannot_be_an_option_is_refused(
    registry_with: Callable[..., Registry], query: Query, said: str
) -> None:
    component = Component("model", "odd", OwnParams, build="a:b", queries=(query,))
    registry = registry_with(odd=offering(component))
    (provider,) = (each for each in registry.providers if each.name == "odd")
    assert provider.error is not None and said in provider.error


def test_no_query_may_have_the_name_of_an_option_of_predict() -> None:
    own = {flag.lstrip("-") for parameter in predict.command.params for flag in parameter.opts if flag.startswith("--")}
    assert own <= RESERVED_OPTIONS


def test_queries_of_one_name_are_one_option_and_each_is_checked_by_its_own_options() -> None:
    top = QueryOption("top", "how many", int, 10, (1, 5))
    queries = (Query("near", "a:b", "near", options=(top,)), Query("near", "c:d", "nearer"))
    names = [option.opts for option in query_options(queries)]
    assert names == [["--near"], ["--top"]]
    assert queries[0].arguments({}) == {"top": 10}
    with pytest.raises(UsageError, match="the query `near` has no option `top`"):
        queries[1].arguments({"top": 3})
    for wrong in (0, 6, "3", True, 2.5):
        with pytest.raises(UsageError, match="top is"):
            queries[0].arguments({"top": wrong})


def test_folders_entry_points_and_packages_are_the_same() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    folders = {p.name for p in (REPOSITORY / "plugins").iterdir() if p.is_dir() and p.name != "__pycache__"}
    points = project["project"]["entry-points"]["dotexp"]
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert folders == set(points) == set(points.values())
    assert {f"plugins/{name}" for name in folders} | {"dsl/dotexp"} == set(packages)
    installed = {provider.name for provider in load_registry().providers}
    assert folders | {"dotexp"} == installed


def test_every_bundled_plugin_works() -> None:
    assert [p for p in load_registry().providers if p.error] == []


def test_a_third_partys_component_is_used(registry_with: Callable[..., Registry]) -> None:
    own = Component("optimizer", "lion", OwnParams, "acme:build", OptimizerFacts(momentum=None))
    registry = registry_with(acme_lion=offering(own))
    found = resolved(RATINGS + "\noptimizer lion", registry=registry).experiment
    assert (found.optimizer.name, found.optimizer.component.provider) == ("lion", "acme_lion")


def test_two_strangers_of_a_name_are_an_error_only_where_the_bare_name_is_used(
    registry_with: Callable[..., Registry],
) -> None:
    own = Component("optimizer", "lion", OwnParams, "acme:build")
    registry = registry_with(acme=offering(own), zebra=offering(own))
    assert faults(RATINGS, registry=registry) == []
    diagnostic = only(RATINGS + "\noptimizer lion", registry=registry)
    assert diagnostic.code == "E210"
    assert "zebra.lion" in diagnostic.help and "acme.lion" in diagnostic.help
    for name in ("acme", "zebra"):
        found = resolved(RATINGS + f"\noptimizer {name}.lion", registry=registry).experiment.optimizer
        assert found.component.provider == name


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_bundled_name_stands_where_no_plugin_is_named(registry_with: Callable[..., Registry], name: str) -> None:
    registry = registry_with(acme=offering(Component("optimizer", name, OwnParams, "acme:build")))
    assert resolved(RATINGS, registry=registry).experiment.optimizer.component.provider == "dotexp_optimizers"
    for written, provider in (
        (name, "dotexp_optimizers"),
        (f"optimizers.{name}", "dotexp_optimizers"),
        (f"acme.{name}", "acme"),
    ):
        found = resolved(RATINGS + f"\noptimizer {written}", registry=registry)
        assert found.experiment.optimizer.component.provider == provider
        again = resolved(as_text(found.experiment), registry=registry).experiment
        assert again.optimizer.component.provider == provider


def test_kinds_of_bundled_plugins_stand_before_those_of_strangers(registry_with: Callable[..., Registry]) -> None:
    module = types.ModuleType("made_acme")
    module.dotexp_kinds = hookimpl(lambda: [Kind("transform", "transforms", (), "nothing")])  # type: ignore[attr-defined]
    registry = registry_of(plugin("acme", dotexp_kinds=module.dotexp_kinds))
    assert [p.name for p in registry.broken] == ["acme"]
    assert "the kind transform is declared by dotexp_vision already" in str(registry.broken[0].error)


@pytest.mark.parametrize("name", ["optimizers", "vision", "dotexp_losses", "dotexp"])
def test_names_of_bundled_plugins_are_reserved(registry_with: Callable[..., Registry], name: str) -> None:
    registry = registry_with(**{name: offering(Component("optimizer", "lion", OwnParams, "acme:build"))})
    broken = [p for p in registry.providers if p.error]
    assert [p.name for p in broken] == [name] and not broken[0].bundled
    assert "another plugin has this name" in str(broken[0].error) or f"`{name}`, which stands for" in str(
        broken[0].error
    )
    assert faults(RATINGS + "\noptimizer optimizers.adam", registry=registry) == []


@pytest.mark.parametrize(
    "offered",
    [
        [Component("optimizer", "lion", OwnParams, "a:b"), Component("optimizer", "lion", OwnParams, "c:d")],
        [
            Component("optimizer", "lion", OwnParams, "a:b"),
            Component("optimizer", "tiger", OwnParams, "c:d", former_names=("lion",)),
        ],
        [Component("optimizer", "lion", OwnParams, "a:b"), ComponentModule("made_more")],
        [ComponentModule("made_more"), ComponentModule("made_again")],
    ],
    ids=["twice", "former", "face and module", "two modules"],
)
def test_a_plugin_that_offers_a_name_twice_is_broken(
    registry_with: Callable[..., Registry], offered: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("made_more", "made_again"):
        module = types.ModuleType(name)
        module.COMPONENTS = [Component("optimizer", "lion", OwnParams, "a:b")]  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    registry = registry_with(acme=offering(*offered))
    assert [p.name for p in registry.broken] == ["acme"]
    assert "it offers two of the name `lion` among its optimizer components" in str(registry.broken[0].error)
    other = [Component("optimizer", "lion", OwnParams, "a:b"), Component("callback", "lion", OwnParams, "c:d")]
    assert registry_with(acme=offering(*other)).broken == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no_such_module_anywhere", "ModuleNotFoundError"),
        (offering("not a component"), "not a Component"),
        (offering(Component("optimiser", "x", OwnParams, "a:b")), "did you mean optimizer"),
        (offering(Component("optimizer", "x", OwnParams, "no colon")), "module:function"),
        (offering(Component("optimizer", "x", dict, "a:b")), "Params"),  # type: ignore[arg-type]
        (StrayHook, "did you mean dotexp_components"),
    ],
)
def test_a_broken_plugin_is_told_of_and_the_others_work(
    registry_with: Callable[..., Registry], content: object, said: str
) -> None:
    registry = registry_with(acme_broken=content)
    broken = registry.broken
    assert [p.name for p in broken] == ["acme_broken"]
    assert broken[0].error is not None and said in broken[0].error
    found, _ = checked(RATINGS, registry=registry)
    assert found is not None
    unknown = next(d for d in checked(RATINGS + "\noptimizer lion", registry=registry)[1] if d.code == "E203")
    assert "acme_broken" in unknown.help
    assert [code for code, _ in faults(RATINGS + "\noptimizer acme_broken.lion", registry=registry)][:1] == ["E213"]


def test_a_plugin_that_exits_or_raises_in_its_hook_is_told_of(registry_with: Callable[..., Registry]) -> None:
    @hookimpl
    def leaving() -> list[Component]:
        sys.exit(3)

    @hookimpl
    def raising() -> list[Component]:
        raise ValueError("no licence")

    registry = registry_with(one=leaving, two=raising)
    assert [(p.name, p.error) for p in registry.broken] == [("one", "SystemExit: 3"), ("two", "ValueError: no licence")]


def test_two_plugins_of_one_name_are_told_of(registry_with: Callable[..., Registry]) -> None:
    registry = registry_with(dotexp_losses=offering())
    assert [p.name for p in registry.broken] == ["dotexp_losses"]
    assert "another plugin has this name" in str(registry.broken[0].error)


def test_a_plugin_that_asks_for_another_api_is_told_of_and_not_loaded(
    registry_with: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry_with(acme=offering(Component("optimizer", "lion", OwnParams, "acme:build")))
    module = sys.modules["made_acme"]
    for asked, fine in ((API, True), (API + 1, False), ("1", False)):
        monkeypatch.setattr(module, "DOTEXP_API", asked, raising=False)
        registry = load_registry([EntryPoint("acme", "made_acme", "dotexp")])
        assert (registry.find("optimizer", "lion") != ()) is fine
        assert [p.error for p in registry.broken] == (
            [] if fine else [f"TypeError: it asks for API {asked} of dotexp, and dotexp {__version__} has API {API}"]
        )


@pytest.mark.parametrize(
    "options", [{}, {"tryfirst": True}, {"wrapper": True, "specname": "dotexp_run_ended"}], ids=str
)
def test_hooks_are_marked_as_pluggy_marks_them(options: dict[str, Any]) -> None:
    def one() -> None: ...
    def two() -> None: ...

    pluggy.HookimplMarker("dotexp")(one, **options)
    assert hookimpl(two, **options) is two and hookimpl(**options)(two) is two
    assert vars(two) == vars(one)
    pluggy.HookspecMarker("dotexp")(one)
    assert vars(hookspec(two)) == vars(one)


def test_an_option_that_pluggy_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="hookimpl has no option first"):
        hookimpl(first=True)(print)
