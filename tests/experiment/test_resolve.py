"""What a spec means: defaults, params, overrides, bases, expansion."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotexp.components.facts import LayerGroup
from dotexp.experiment.experiment import FreezeBefore, FreezeLayers, Kept, LayerSpan, Unfreeze
from dotexp.experiment.text import as_text

from specs import IMAGES, RATINGS, checked, faults, only, resolved


def test_defaults_are_filled_in() -> None:
    experiment = resolved(RATINGS).experiment
    assert experiment.seed == 42
    assert experiment.metrics == ()
    assert experiment.optimizer.name == "adam"
    assert dict(experiment.optimizer.params)["betas"] == (0.9, 0.99)
    assert dict(experiment.optimizer.params)["wd"] == 0.01
    stage = experiment.stages[0]
    assert isinstance(stage.freeze, Unfreeze)
    assert (stage.data, stage.loss, stage.optimizer) == (experiment.data, experiment.loss, experiment.optimizer)
    policy = dict(stage.fit.params)
    assert policy["pct_start"] == 0.25 and policy["div"] == 25 and policy["div_final"] == 1e5
    assert policy["momentum"] == (0.95, 0.85, 0.95)


def test_a_whole_model_is_one_group() -> None:
    assert resolved(RATINGS).experiment.model.groups == (LayerGroup("model", ("model",)),)


def test_a_bodys_groups_are_as_fastai_splits_them() -> None:
    groups = resolved(IMAGES).experiment.model.groups
    assert groups == (
        LayerGroup("early", ("stem", "layer1", "layer2")),
        LayerGroup("late", ("layer3", "layer4")),
        LayerGroup("head", ("head",)),
    )


def test_own_groups() -> None:
    text = IMAGES.replace("head mlp", "head mlp\n groups low [stem..layer1], middle [layer2, layer3], [layer4, head]")
    assert resolved(text).experiment.model.groups == (
        LayerGroup("low", ("stem", "layer1")),
        LayerGroup("middle", ("layer2", "layer3")),
        LayerGroup("group_3", ("layer4", "head")),
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("freeze body", FreezeLayers(items=(LayerSpan(first="body"),))),
        ("freeze body except norm", FreezeLayers(items=(LayerSpan(first="body"),), kept=Kept.norm)),
        ("freeze before layer4 except batchnorm", FreezeBefore(layer="layer4", kept=Kept.batchnorm)),
        (
            "freeze stem..layer1, late",
            FreezeLayers(items=(LayerSpan(first="stem", last="layer1"), LayerSpan(first="late"))),
        ),
        ("unfreeze", Unfreeze()),
    ],
)
def test_freeze_statements(written: str, meant: object) -> None:
    assert resolved(IMAGES.replace("freeze body", written)).experiment.stages[0].freeze == meant


def test_params_are_order_free_and_may_name_each_other() -> None:
    text = RATINGS.replace("factors = 4", "factors = size") + "\nparam size = twice\nparam twice = 8"
    assert dict(resolved(text).experiment.model.whole.params)["factors"] == 8  # type: ignore[union-attr]


def test_a_param_may_hold_a_component() -> None:
    text = RATINGS + "\noptimizer chosen\nparam chosen = sgd(momentum = 0.9)"
    assert resolved(text).experiment.optimizer.name == "sgd"


def test_params_in_a_circle_are_one_error_each() -> None:
    text = RATINGS + "\nparam a = b\nparam b = [c]\nparam c = a\nseed a"
    assert [code for code, _ in faults(text)].count("E209") == 1


def test_an_unused_param_is_a_warning() -> None:
    found, diagnostics = checked(RATINGS + "\nparam idle = 3")
    assert found is not None
    assert [(d.code, str(d.severity)) for d in diagnostics] == [("W501", "warning")]


def test_a_param_that_hides_a_member_is_an_error() -> None:
    text = IMAGES.replace("adam(wd = 0.01)", "adam(decay = decoupled)") + "\nparam decoupled = 3"
    assert ("E209", "decoupled") in faults(text)


def test_a_stages_own_components_and_changes() -> None:
    text = IMAGES.replace(
        "fit one_cycle(epochs = 2",
        "data(batch_size = 16) optimizer(wd = 0.3) loss cross_entropy(label_smoothing = 0.1) fit one_cycle(epochs = 2",
    )
    head, everything = resolved(text).experiment.stages
    assert dict(head.data.params)["batch_size"] == 64
    assert dict(everything.data.params)["batch_size"] == 16
    assert dict(everything.data.params)["classes"] == dict(head.data.params)["classes"]
    assert dict(everything.optimizer.params)["wd"] == 0.3


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("optimizer.wd=0.2", ("optimizer", "wd"), 0.2),
        ("data.batch_size=8", ("data", "batch_size"), 8),
        ("loss.label_smoothing=0.1", ("loss", "label_smoothing"), 0.1),
    ],
)
def test_overrides(override: str, place: tuple[str, str], value: object) -> None:
    experiment = resolved(IMAGES, override).experiment
    assert dict(getattr(experiment, place[0]).params)[place[1]] == value


def test_overrides_of_stages_model_seed_and_runtime() -> None:
    experiment = resolved(
        IMAGES,
        "stage.everything.fit.epochs=8",
        "stage.head.freeze=before layer4",
        "stage.head.optimizer.wd=0.5",
        "model.head.hidden=[256]",
        "model.head.dropout=0.3",
        "seed=7",
        "runtime.precision=bf16",
        "metrics=[error_rate, accuracy]",
    ).experiment
    assert dict(experiment.stages[1].fit.params)["epochs"] == 8
    assert experiment.stages[0].freeze == FreezeBefore(layer="layer4")
    assert dict(experiment.stages[0].optimizer.params)["wd"] == 0.5
    assert dict(experiment.stages[1].optimizer.params)["wd"] == 0.01
    assert dict(experiment.model.head.params)["hidden"] == (256,)  # type: ignore[union-attr]
    assert experiment.seed == 7
    assert experiment.runtime.precision == "bf16"
    assert [metric.name for metric in experiment.metrics] == ["error_rate", "accuracy"]


def test_an_override_replaces_a_whole_component() -> None:
    assert resolved(IMAGES, "optimizer=sgd(momentum=0.9)").experiment.optimizer.name == "sgd"
    assert resolved(IMAGES, "stage.head.fit=flat(2, 1e-3)").experiment.stages[0].fit.name == "flat"


def test_a_param_is_overridden_by_name() -> None:
    text = IMAGES.replace("epochs = 2", "epochs = n") + "\nparam n = 2"
    assert dict(resolved(text, "n=5").experiment.stages[1].fit.params)["epochs"] == 5


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.wdd=1",
        "stage.heed.fit.epochs=3",
        "nothing=1",
        "stage.head=3",
        "optimizer",
        "=3",
        "runtime=3",
        "data.x.y=1",
    ],
)
def test_an_override_of_nothing_is_an_error(override: str) -> None:
    codes = [code for code, _ in faults(IMAGES, override)]
    assert codes and set(codes) <= {"E212", "E206"}


def test_an_override_is_checked_like_the_file() -> None:
    assert only(IMAGES, "data.batch_size=0").code == "E207"
    assert only(IMAGES, "optimizer=adm").suggestion == "adam"
    assert only(IMAGES, "optimizer.wd=2x").span.source.name == "--set optimizer.wd"  # type: ignore[union-attr]


def test_extends(tmp_path: Path) -> None:
    (tmp_path / "base.exp").write_text(IMAGES + "\nparam n = 1")
    text = """
    extends "base.exp"
    experiment longer
    param n = 4
    optimizer(wd = 0.2)
    stage head { freeze body fit flat(n, 1e-2) }
    stage more { fit flat(2, 1e-4) }
    """
    experiment = resolved(text, folder=tmp_path).experiment
    assert experiment.name == "longer"
    assert [stage.name for stage in experiment.stages] == ["head", "everything", "more"]
    assert experiment.stages[0].fit.name == "flat" and dict(experiment.stages[0].fit.params)["epochs"] == 4
    assert dict(experiment.optimizer.params)["wd"] == 0.2


def test_a_fault_in_a_base_points_into_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.exp").write_text(IMAGES.replace("adam", "adm"))
    _, diagnostics = checked('extends "base.exp"\nexperiment longer', folder=tmp_path)
    assert [(d.code, d.span.source.name) for d in diagnostics if d.span] == [("E203", str(tmp_path / "base.exp"))]


def test_bases_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "one.exp").write_text('extends "two.exp"')
    (tmp_path / "two.exp").write_text('extends "one.exp"')
    for text in ('extends "missing.exp"', 'extends "one.exp"', 'extends "."'):
        _, diagnostics = checked(text + IMAGES, folder=tmp_path)
        assert "E211" in [d.code for d in diagnostics]


def test_paths_start_at_the_file_that_wrote_them(tmp_path: Path) -> None:
    text = RATINGS.replace("latent_ratings", 'ratings("sub/../u.csv")')
    assert dict(resolved(text, folder=tmp_path).experiment.data.params)["path"] == tmp_path / "u.csv"
    assert dict(resolved(text, 'data.path="here.csv"', folder=tmp_path).experiment.data.params)["path"] == Path(
        "here.csv"
    )


def test_fine_tune_stands_for_two_stages() -> None:
    text = IMAGES[: IMAGES.index("stage head")] + "stages fine_tune(5, lr = 4e-3)"
    head, everything = resolved(text).experiment.stages
    assert (head.name, everything.name) == ("fine_tune_head", "fine_tune_all")
    assert head.freeze == FreezeLayers(items=(LayerSpan(first="body"),), kept=Kept.norm)
    first, second = dict(head.fit.params), dict(everything.fit.params)
    assert (first["epochs"], first["pct_start"], first["div"]) == (1, 0.99, 25)
    assert (second["epochs"], second["pct_start"], second["div"]) == (5, 0.3, 5)
    assert second["lr"].build(3) == pytest.approx((2e-5, (2e-5 * 2e-3) ** 0.5, 2e-3))
    again = resolved(text, "stage.fine_tune_all.fit.epochs=2", "stages.freeze_epochs=3").experiment
    assert [dict(stage.fit.params)["epochs"] for stage in again.stages] == [3, 2]


def test_fine_tune_of_a_model_without_a_body_points_at_the_statement() -> None:
    text = RATINGS[: RATINGS.index("stage")] + "stages fine_tune(5)"
    diagnostic = only(text)
    assert diagnostic.code == "E301" and diagnostic.span.text.startswith("stages fine_tune")  # type: ignore[union-attr]


@pytest.mark.parametrize("text", [IMAGES, RATINGS, IMAGES.replace("freeze body", "freeze before layer3 except norm")])
def test_the_resolved_text_resolves_to_the_same_experiment(text: str) -> None:
    experiment = resolved(text).experiment
    assert resolved(as_text(experiment)).experiment == experiment


def test_the_same_spec_resolves_to_equal_experiments() -> None:
    assert resolved(IMAGES).experiment == resolved("# a comment\n" + IMAGES).experiment
    assert resolved(IMAGES).experiment != resolved(IMAGES, "seed=1").experiment


def test_a_path_on_the_command_line_needs_no_quotes() -> None:
    text = RATINGS.replace("latent_ratings", 'ratings("u.csv")')
    for written in ("/data/u.csv", "u.data", "/data/some-folder/u1.base", '"u.data"'):
        path = dict(resolved(text, f"data.path={written}").experiment.data.params)["path"]
        assert path == Path(written.strip('"'))
    assert dict(resolved(text, "data.valid=sub/v.csv").experiment.data.params)["valid"] == Path("sub/v.csv")
    assert dict(resolved(text, "data.valid=25%").experiment.data.params)["valid"] == 0.25
    assert only(text, "optimizer.wd=lr/5").code == "E110"


def test_a_resolved_spec_has_no_long_lines_and_reads_back() -> None:
    text = as_text(
        resolved(
            IMAGES + "\nreport top_losses(9), confusion_matrix, calibration, per_class, most_confused\n"
        ).experiment
    )
    assert max(map(len, text.splitlines())) <= 100
    assert "data vision.digits(\n  batch_size = 64,\n" in text and "\n    epochs = 2,\n" in text
    assert "\n  body vision.resnet18(weights = none)\n" in text
    assert as_text(resolved(text).experiment) == text
