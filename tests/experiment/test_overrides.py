"""`--set`: text that the shell took the quotes from, several overrides together, and overrides without effect."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotexp.experiment.overrides import override_of
from dotexp.experiment.resolve import resolve
from dotexp.language.parser import parse
from dotexp.language.source import source_from_text

from specs import IMAGES, RATINGS, checked, faults, only, resolved

FILE = RATINGS.replace("latent_ratings", 'ratings("u.csv")')


def path_of(*overrides: str) -> object:
    return dict(resolved(FILE, *overrides).experiment.data.params)["path"]


def test_an_override_of_a_param_that_another_leaves_unused_says_so() -> None:
    text = RATINGS.replace("experiment films", "experiment films\nparam w = 0.1") + "optimizer adam(wd = w)\n"
    _, found = checked(text, "w=0.3", "optimizer=sgd")
    (idle,) = [each for each in found if each.code == "W509"]
    assert idle.message == "`w` changes nothing" and idle.help == "nothing uses this param"
    (same,) = [each for each in checked(text, "w=0.1")[1] if each.code == "W509"]
    assert same.help == "it has this value already"


@pytest.mark.parametrize(
    "written",
    [
        *("run#2.csv", "#1", "a b.csv", "a=b.csv", "a,b.csv", "a[1].csv", "a;b.csv", "a\tb.csv", "2020", "007", "1e3"),
        *("20%", "true", "0..5", "x(1).csv", "{a}.csv", "it's", "a'b'.csv", "a:b", "C:\\data\\u.csv", "loss", "seed"),
        *("données.csv", "a*b", "..", "-5", "@x", "$HOME/x", "a|b", "1/2", "stage", "𝔘.csv", "a\u00a0b.csv"),
    ],
)
def test_a_path_needs_no_quotes(written: str) -> None:
    assert path_of(f"data.path={written}") == Path(written)


def test_quoted_text_is_what_it_is_in_a_file() -> None:
    assert path_of('data.path="a b#c.csv"') == Path("a b#c.csv")
    assert path_of(r'data.path=r"a\b.csv"') == Path(r"a\b.csv")
    assert only(FILE, 'data.path="a.csv').code == "E106"


@pytest.mark.parametrize("written", ["\t", ";", ",", '"\\t"', " ", "::", "|", "#"])
def test_text_that_is_a_sign_needs_no_quotes(written: str) -> None:
    expected = "\t" if written == '"\\t"' else written
    assert dict(resolved(FILE, f"data.separator={written}").experiment.data.params)["separator"] == expected


def test_none_is_none_where_it_may_be() -> None:
    assert dict(resolved(FILE, "data.items=none").experiment.data.params)["items"] is None
    assert dict(resolved(FILE, 'data.items="none"').experiment.data.params)["items"] == Path("none")


@pytest.mark.parametrize("written", ["a,b.csv", "a#b", "a=b.csv", "a[1].csv", "a/b,c=[d.csv", ";", "(.+)$"])
def test_where_more_than_text_may_stand_odd_text_is_quoted_and_the_message_says_how(written: str) -> None:
    diagnostic = only(FILE, f"data.valid={written}")
    assert f"""--set 'data.valid="{written}"'""" in diagnostic.help
    assert dict(resolved(FILE, f'data.valid="{written}"').experiment.data.params)["valid"] == Path(written)


def test_a_path_with_a_number_sign_is_one() -> None:
    assert dict(resolved(FILE, "data.valid=run#2.csv").experiment.data.params)["valid"] == Path("run#2.csv")
    assert only(FILE, "data.valid=0.2 # a note").code == "E103"


def test_a_comment_is_none_on_the_command_line() -> None:
    assert only(FILE, "optimizer.wd=0.1 # a note").code == "E103"
    assert only(FILE, "metrics=[rmse] # a note").code == "E103"
    assert only(FILE, "optimizer=sgd # a note").code == "E103"
    assert only(IMAGES, "stage.head.freeze=body # a note").code == "E103"


def test_what_is_no_value_is_no_number() -> None:
    assert only(FILE, "optimizer.wd=lr/5").code == "E110"
    assert only(FILE, "seed=a,b").code == "E103"


# Several


WHOLE_FIRST = [
    (("optimizer.wd=0.5", "optimizer=sgd"), "optimizer", ("sgd", 0.5)),
    (("optimizer=sgd", "optimizer.wd=0.5"), "optimizer", ("sgd", 0.5)),
    (("stage.head.optimizer.wd=0.5", "stage.head.optimizer=sgd"), "stage", ("sgd", 0.5)),
    (("stage.head.optimizer.wd=0.5", "optimizer=sgd"), "stage", ("sgd", 0.5)),
    (("optimizer.wd=0.5", "stage.head.optimizer=sgd"), "stage", ("sgd", 0.01)),
]


@pytest.mark.parametrize(("overrides", "where", "expected"), WHOLE_FIRST, ids=[" ".join(o) for o, _, _ in WHOLE_FIRST])
def test_a_whole_component_comes_before_its_arguments(
    overrides: tuple[str, ...], where: str, expected: tuple[str, float]
) -> None:
    experiment = resolved(IMAGES, *overrides).experiment
    use = experiment.optimizer if where == "optimizer" else experiment.stages[0].optimizer
    assert (use.name, dict(use.params)["wd"]) == expected


def test_deeper_paths_come_after_the_component_that_they_are_in() -> None:
    text = IMAGES.replace("classes = 0..4", "classes = 0..4")
    fit = resolved(text, "stage.head.fit.lr.first=2e-3", "stage.head.fit.lr=slice(1e-3)").experiment.stages[0].fit
    assert dict(dict(fit.params)["lr"].params)["first"] == 2e-3
    body = resolved(text, "model.head.dropout=0.3", "model.head=mlp([256])").experiment.model.head
    assert body is not None and dict(body.params)["hidden"] == (256,)


def test_the_whole_model_replaces_a_body_and_its_head() -> None:
    whole = RATINGS.replace("model embedding_dot_bias(factors = 4)", "model embedding_nn")
    experiment = resolved(whole, "model.factors=8", "model=embedding_dot_bias").experiment
    assert experiment.model.whole is not None and dict(experiment.model.whole.params)["factors"] == 8


@pytest.mark.parametrize("path", ["optimizer.wd", "seed", "stage.head.fit.epochs", "metrics", "n", "optimizer"])
def test_a_path_given_twice_is_an_error(path: str) -> None:
    values = {"metrics": ("error_rate", "accuracy"), "optimizer": ("sgd", "rmsprop")}.get(path, ("3", "4"))
    text = IMAGES.replace("epochs = 2", "epochs = n") + "param n = 2"
    diagnostic = only(text, *(f"{path}={value}" for value in values))
    assert diagnostic.code == "E202" and path in diagnostic.message
    assert diagnostic.related[0].span.text == values[0]


# Without effect


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.wd=0.01", "already"),
        ("stage.head.fit.epochs=1", "already"),
        ("seed=42", "already"),
        ("stage.head.freeze=body", "already"),
        ("metrics=accuracy", "already"),
        ("optimizer.eps=1e-5", "already"),
        ("loss=cross_entropy", "already"),
    ],
)
def test_an_override_that_changes_nothing_is_told(override: str, said: str) -> None:
    diagnostic = only(IMAGES, override)
    assert (diagnostic.code, str(diagnostic.severity)) == ("W509", "warning")
    assert said in diagnostic.help and override.partition("=")[0] in diagnostic.message


def test_an_override_of_what_every_stage_replaces_is_told() -> None:
    own = IMAGES.replace("freeze body", "freeze body optimizer adam(wd = 0.2)").replace(
        "stage everything {", "stage everything { optimizer sgd"
    )
    for override in ("optimizer.wd=0.5", "optimizer=sgd"):
        diagnostic = only(own, override)
        assert diagnostic.code == "W509" and "every stage replaces it" in diagnostic.help
    assert faults(IMAGES.replace("freeze body", "freeze body optimizer adam(wd = 0.2)"), "optimizer.wd=0.5") == []


def test_one_of_several_overrides_that_another_undoes_is_told() -> None:
    text = IMAGES.replace("epochs = 2", "epochs = n") + "param n = 2"
    found = checked(text, "n=5", "stage.everything.fit.epochs=7")[1]
    assert [(d.code, "`n`" in d.message) for d in found if d.code == "W509"] == [("W509", True)]


# Values


def test_a_value_stands_in_an_override_without_being_text() -> None:
    experiment = resolved(
        IMAGES, override_of("seed", 7, "--seed"), override_of("optimizer.betas", [0.8, 0.9])
    ).experiment
    assert experiment.seed == 7 and dict(experiment.optimizer.params)["betas"] == (0.8, 0.9)
    diagnostic = only(IMAGES, override_of("seed", -1, "--seed"))
    assert diagnostic.span is not None and (diagnostic.code, diagnostic.span.source.name) == ("E207", "--seed")
    with pytest.raises(TypeError):
        override_of("seed", object())


def test_stages_that_a_component_stands_for_are_values(monkeypatch: pytest.MonkeyPatch) -> None:
    from dotexp.components.registry import load_registry

    text = IMAGES[: IMAGES.index("stage head")] + "stages fine_tune(5, lr = 4e-3)"
    document, registry = parse(source_from_text(text)), load_registry()

    def refuse(*arguments: object) -> None:
        raise AssertionError("text is parsed")

    monkeypatch.setattr("dotexp.language.parser.tokenise", refuse)
    found, _ = resolve(document, registry)
    assert found is not None and [stage.name for stage in found.experiment.stages] == [
        "fine_tune_head",
        "fine_tune_all",
    ]
