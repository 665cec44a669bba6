"""The callbacks statement: what it gives the plan, what it is held against, and that it is written out again."""

from __future__ import annotations

from dataclasses import replace

import dotexp as api
import pytest
from dotexp import Component, MetricFacts, Use
from dotexp.experiment.text import as_text
from dotexp_callbacks.params import EarlyStoppingParams, KeepBestParams, Mode, Watched, check_monitor
from toys import METRICS, MetricParams, plan

from specs import IMAGES, RATINGS, faults, only, resolved


def test_callbacks_stand_in_the_plan_stage_by_stage() -> None:
    text = RATINGS + "stage more { callbacks none fit flat(epochs = 1, lr = 1e-4) }\ncallbacks clip(2.0), ema"
    first, second = api.plan(resolved(text)).stages
    assert [each.name for each in first.callbacks] == ["clip", "ema"]
    assert second.callbacks == ()


def test_a_metric_that_is_looked_at_must_be_measured() -> None:
    diagnostic = only(IMAGES + "\ncallbacks keep_best(f1)")
    assert (diagnostic.code, diagnostic.span and diagnostic.span.text) == ("E208", "f1")
    assert diagnostic.message == "`keep_best` looks at `f1`, which is not one of the metrics"
    assert diagnostic.help == "have it measured: metrics accuracy, f1"
    assert faults(IMAGES + "\ncallbacks keep_best(accuracy), early_stopping(monitor = train_loss)") == []
    text = IMAGES.replace("metrics accuracy", "metrics accuracy, top_k_accuracy(2)")
    assert faults(text + "\ncallbacks keep_best(top_k_accuracy)") == [], "the only one of the name is meant"
    text = text.replace("top_k_accuracy(2)", "top_k_accuracy(2), top_k_accuracy(3)")
    assert [code for code, _ in faults(text + "\ncallbacks keep_best(top_k_accuracy)")] == ["E208"]
    assert faults(text + "\ncallbacks keep_best(top_k_accuracy(3))") == []


@pytest.mark.parametrize(
    ("callbacks", "code", "said"),
    [
        ("clip(norm = 1.0, value = 1.0)", "E207", "it takes a norm or a value, and not both"),
        ("clip(norm = 0)", "E207", "must be more than 0"),
        ("early_stopping(patience = 0)", "E207", "must be at least 1"),
        ("ema(1.0)", "E207", "must be less than 1"),
        ("accumulate(1)", "E207", "must be at least 2"),
        ("accumulate", "E205", "`accumulate` needs `batches`"),
        ("accumulate(2), accumulate(4)", "E202", "`accumulate` says a second time how many batches make a step"),
        ("keep_bets", "E203", "keep_bets"),
        ("early_stopping(monitor = valid_los)", "E208", "valid_los"),
    ],
)
def test_mistakes_are_told(callbacks: str, code: str, said: str) -> None:
    diagnostic = only(f"{IMAGES}\ncallbacks {callbacks}")
    assert diagnostic.code == code
    assert said in diagnostic.message


def test_clip_by_value_leaves_the_norm_alone() -> None:
    (clip,) = resolved(IMAGES + "\ncallbacks clip(value = 0.5)").experiment.callbacks
    assert dict(clip.params) == {"norm": None, "value": 0.5}


def test_callbacks_of_a_stage_are_checked_too() -> None:
    text = IMAGES.replace("fit one_cycle(epochs = 1", "callbacks keep_best(recall) fit one_cycle(epochs = 1")
    assert faults(text) == [("E208", "recall")]


def test_a_metric_that_does_not_say_which_values_are_better_needs_the_mode() -> None:
    strange = Use(component=Component("metric", "strange", MetricParams, "x:y"), params=MetricParams())
    with pytest.raises(ValueError, match="`strange` does not say which values are better: give mode = min or max"):
        KeepBestParams(monitor=strange)
    assert KeepBestParams(monitor=strange, mode=Mode.high).better == "higher"
    known = strange.replace(component=strange.component.replace(facts=MetricFacts(better="higher")))
    assert KeepBestParams(monitor=known).better == "higher"
    assert KeepBestParams(monitor=known, mode=Mode.low).better == "lower"
    assert KeepBestParams().better == "lower"


def test_without_validation_examples_there_is_nothing_to_look_at() -> None:
    facts = plan().facts
    none = replace(facts, valid=0)
    (problem,) = check_monitor(EarlyStoppingParams(), none)
    assert (problem.field, problem.message) == (
        "monitor", "there are no validation examples, so there is no `valid_loss` to monitor",
    )  # fmt: skip
    assert list(check_monitor(EarlyStoppingParams(monitor=METRICS[0], mode=Mode.low), none))
    assert not list(check_monitor(EarlyStoppingParams(monitor=Watched.train_loss), none))
    assert not list(check_monitor(EarlyStoppingParams(), facts))


def test_what_is_written_out_reads_the_same() -> None:
    """`callbacks` is a word of the language, so the plugin goes by its whole name before a dot."""
    experiment = resolved(
        IMAGES + "\ncallbacks keep_best(accuracy), clip(value = 2.0), dotexp_callbacks.ema, mixup(p = 50%)"
    ).experiment
    text = as_text(experiment)
    assert "dotexp_callbacks.clip(norm = none, value = 2.0)" in text
    assert resolved(text).experiment.callbacks == experiment.callbacks
