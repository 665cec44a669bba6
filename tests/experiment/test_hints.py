"""What a message advises: the words of other libraries, paths of overrides, numbers that are probably not meant."""

from __future__ import annotations

import pytest
from dotexp.language.diagnostics import Diagnostic

from specs import IMAGES, RATINGS, checked, faults, only, resolved


def one(old: str, new: str, text: str = IMAGES) -> Diagnostic:
    assert old in text
    return only(text.replace(old, new, 1))


PARAMETERS = [
    ("lr = 3e-3", "lr_max = 3e-3", "lr"),
    ("lr = 3e-3", "max_lr = 3e-3", "lr"),
    ("lr = 3e-3", "learning_rate = 3e-3", "lr"),
    ("epochs = 1", "n_epoch = 1", "epochs"),
    ("epochs = 1", "num_epochs = 1", "epochs"),
    ("lr = 3e-3", "lr = 3e-3, div_factor = 20", "div"),
    ("lr = 3e-3", "lr = 3e-3, moms = [0.95, 0.85, 0.95]", "momentum"),
    ("wd = 0.01", "weight_decay = 0.01", "wd"),
    ("wd = 0.01", "bn_wd = true", "wd_norm_bias"),
    ("classes = 0..4", "bs = 16", "batch_size"),
    ("classes = 0..4", "valid_pct = 20%", "valid"),
    ("classes = 0..4", "validation_split = 20%", "valid"),
    ("classes = 0..4", "img_size = 32", "size"),
    ("weights = none", "pretrained = true", "weights"),
    ("head mlp", "head mlp(ps = 0.5)", "dropout"),
    ("head mlp", "head mlp(lin_ftrs = [256])", "hidden"),
    ("loss cross_entropy", "loss cross_entropy(smoothing = 0.1)", "label_smoothing"),
]


@pytest.mark.parametrize(("old", "new", "meant"), PARAMETERS, ids=[new for _, new, _ in PARAMETERS])
def test_a_parameter_of_another_library_gets_the_languages_word(old: str, new: str, meant: str) -> None:
    diagnostic = one(old, new)
    assert (diagnostic.code, diagnostic.suggestion) == ("E204", meant)


NAMES = [
    ("optimizer adam(wd = 0.01)", "optimizer AdamW", "E203", "adam"),
    ("optimizer adam(wd = 0.01)", "optimizer Adam", "E203", "adam"),
    ("optimizer adam(wd = 0.01)", "optimizer SGD", "E203", "sgd"),
    ("metrics accuracy", "metrics acc", "E203", "accuracy"),
    ("metrics accuracy", "metrics accuracy_multi", "E203", "accuracy"),
    ("metrics accuracy", "metrics F1Score", "E203", "f1"),
    ("loss cross_entropy", "loss CrossEntropyLossFlat", "E203", "cross_entropy"),
    ("loss cross_entropy", "loss LabelSmoothingCrossEntropy", "E203", "cross_entropy"),
    ("fit one_cycle", "fit fit_one_cycle", "E203", "one_cycle"),
    ("fit one_cycle", "fit OneCycleLR", "E203", "one_cycle"),
    ("metrics accuracy", "metrics accuracy callbacks EarlyStoppingCallback", "E203", "early_stopping"),
    ("metrics accuracy", "metrics accuracy callbacks SaveModelCallback", "E203", "keep_best"),
    ("metrics accuracy", "metrics accuracy callbacks GradientClip", "E203", "clip"),
    ("metrics accuracy", "metrics accuracy callbacks MixUp", "E203", "mixup"),
    ("data digits(classes = 0..4)", "data ImageDataLoaders", "E203", "image_folder"),
]


@pytest.mark.parametrize(("old", "new", "code", "meant"), NAMES, ids=[new for _, new, _, _ in NAMES])
def test_a_component_of_another_library_gets_the_languages_name(old: str, new: str, code: str, meant: str) -> None:
    found = [d for d in checked(IMAGES.replace(old, new, 1))[1] if d.code == code]
    assert [d.suggestion for d in found] == [meant]


STATEMENTS = [
    ("optimizer adam(wd = 0.01)", "opt_func adam(wd = 0.01)", "optimizer"),
    ("loss cross_entropy", "loss_func cross_entropy", "loss"),
    ("loss cross_entropy", "criterion cross_entropy", "loss"),
    ("metrics accuracy", "metrics accuracy cbs early_stopping", "callbacks"),
    ("metrics accuracy", "metric accuracy", "metrics"),
    ("data digits", "dls digits", "data"),
    ("body resnet18", "arch resnet18", "body"),
    ("head mlp", "custom_head mlp", "head"),
    ("stage head", "train head", "stage"),
]


@pytest.mark.parametrize(("old", "new", "meant"), STATEMENTS, ids=[new for _, new, _ in STATEMENTS])
def test_a_statement_of_another_library_gets_the_languages_word(old: str, new: str, meant: str) -> None:
    diagnostic = one(old, new)
    assert (diagnostic.code, diagnostic.suggestion) == ("E109", meant)


ADVICE = [
    ("freeze body", "freeze_to(-2)", "freeze before layer4"),
    ("metrics accuracy", "metrics accuracy lr = 1e-3", "fit one_cycle"),
    ("metrics accuracy", "metrics accuracy\nepochs = 3", "fit one_cycle"),
    ("metrics accuracy", "metrics accuracy\nbatch_size = 3", "parameter of the data"),
    ("metrics accuracy", "metrics accuracy\nbatch_tfms aug_transforms", "augment = standard"),
    ("metrics accuracy", "metrics accuracy\nfit_one_cycle(4, 1e-3)", "training is written as stages"),
    ("metrics accuracy", "metrics accuracy\nfine_tune(4)", "stages fine_tune"),
    ("metrics accuracy", "metrics accuracy\nto_fp16()", "runtime"),
    ("metrics accuracy", "metrics accuracy\npretrained = true", "weights = imagenet"),
    ("freeze body", "freeze body lr = 3e-3", "fit one_cycle"),
    ("weights = none", "pretrained = true", "weights = imagenet"),
    ("wd = 0.01", "nesterov = true", "Nesterov"),
    ("classes = 0..4", "batch_tfms = none", "augment = standard"),
    ("classes = 0..4", "normalize = true", "normalization"),
]


@pytest.mark.parametrize(("old", "new", "said"), ADVICE, ids=[new for _, new, _ in ADVICE])
def test_where_one_word_is_not_enough_the_advice_says_what_to_write(old: str, new: str, said: str) -> None:
    diagnostic = one(old, new)
    assert said in diagnostic.help


def test_a_foreign_word_for_a_required_parameter_is_one_fault() -> None:
    assert faults(IMAGES.replace("epochs = 1, lr = 3e-3", "n_epoch = 1, lr_max = 3e-3")) == [
        ("E204", "n_epoch"),
        ("E204", "lr_max"),
    ]
    assert faults(IMAGES.replace("epochs = 1, lr = 3e-3", "epohcs = 0, lr = 3e-3")) == [
        ("E204", "epohcs"),
        ("E207", "0"),
    ]
    assert faults(IMAGES.replace("epochs = 1, lr = 3e-3", "epochs = 1, lr = 3e-3, lrr = 1")) == [("E204", "lrr")]


PATHS = [
    ("epochs=3", ["stage.head.fit.epochs", "stage.everything.fit.epochs"]),
    ("lr=1e-3", ["stage.head.fit.lr", "stage.everything.fit.lr"]),
    ("wd=0.1", ["optimizer.wd"]),
    ("weight_decay=0.1", ["optimizer.wd"]),
    ("bs=32", ["data.batch_size"]),
    ("batch_size=32", ["data.batch_size"]),
    ("fit.epochs=3", ["stage.head.fit.epochs", "stage.everything.fit.epochs"]),
    ("head.dropout=0.1", ["model.head.dropout"]),
    ("head.epochs=3", ["stage.head.fit.epochs"]),
    ("stage.head.lr=1e-3", ["stage.head.fit.lr"]),
    ("stage.head.wd=0.2", []),
    ("optimiser.wd=0.2", ["optimizer.wd"]),
    ("device=cpu", ["runtime.device"]),
    ("pretrained=none", ["model.body.weights", "loss.weights"]),
    ("stage.haed.fit.epochs=3", ["stage.head.fit.epochs"]),
    ("epoch=3", ["stage.head.fit.epochs", "stage.everything.fit.epochs"]),
]


@pytest.mark.parametrize(("override", "meant"), PATHS, ids=[override for override, _ in PATHS])
def test_an_override_of_nothing_names_the_paths_that_may_be_meant(override: str, meant: list[str]) -> None:
    diagnostic = only(IMAGES, override)
    assert diagnostic.code == "E212"
    for path in meant:
        assert f"`{path}`" in diagnostic.help
    if len(meant) == 1:
        assert diagnostic.help == f"did you mean `{meant[0]}`?"
    for path in meant:
        value = {"runtime.device": "auto"}.get(path, override.partition("=")[2])
        assert resolved(IMAGES, f"{path}={value}")


def test_an_override_of_a_component_by_another_librarys_word() -> None:
    assert "did you mean `wd`?" in only(IMAGES, "optimizer.weight_decay=0.1").help
    assert "did you mean `lr`?" in only(IMAGES, "stage.head.fit.lr_max=0.1").help


# Bounds


@pytest.mark.parametrize(
    ("old", "new", "pointed", "said"),
    [
        ("classes = 0..4", "valid = 0", "0", "must be at least 1"),
        ("classes = 0..4", "valid = -3", "-3", "must be at least 1"),
        ("classes = 0..4", "valid = 0.0", "0.0", "must be more than 0"),
        ("classes = 0..4", "valid = 0%", "0%", "must be more than 0"),
        ("classes = 0..4", "valid = 1.5", "1.5", "must be less than 1"),
        ("classes = 0..4", "test = 0", "0", "must be at least 1"),
        ("head mlp", "head mlp(dropout = [0.1, 2.0])", "2.0", "must be less than 1"),
        ("head mlp", "head mlp([512, 0])", "0", "must be at least 1"),
        ("lr = 3e-3", "lr = {early = 1e-3, late = 0, head = 1e-3}", "0", "must be more than 0"),
        ("wd = 0.01", "betas = [0.9, 1.5]", "1.5", "must be less than 1"),
    ],
)
def test_a_bound_is_that_of_the_values_form_and_stands_at_the_item(old: str, new: str, pointed: str, said: str) -> None:
    diagnostic = one(old, new)
    assert (diagnostic.code, diagnostic.span and diagnostic.span.text) == ("E207", pointed)
    assert diagnostic.message.endswith(said)


# Learning rates


@pytest.mark.parametrize(
    "lr",
    [
        *("slice(1e-3, 1e-5)", "[1e-3, 1e-4, 1e-5]", "{early = 1e-3, late = 1e-4, head = 1e-5}", "[1e-3, 1e-3, 1e-5]"),
        "{head = 1e-5, early = 1e-3, late = 1e-4}",
    ],
)
def test_rates_that_fall_towards_the_head_are_a_warning(lr: str) -> None:
    diagnostic = one("slice(1e-5, 1e-3)", lr)
    assert diagnostic.code == "W511" and "falls from 0.001" in diagnostic.message
    assert diagnostic.span is not None and diagnostic.span.text in (lr, "slice")


def test_an_upside_down_slice_is_a_warning_where_there_is_one_group() -> None:
    assert one("lr = 5e-3", "lr = slice(1e-3, 1e-5)", RATINGS).code == "W511"


@pytest.mark.parametrize("lr", ["slice(1e-5, 1e-3)", "slice(1e-3)", "[1e-5, 1e-3, 1e-4]", "[1e-4, 1e-4, 1e-4]", "1.0"])
def test_rates_that_do_not_fall_are_none(lr: str) -> None:
    assert faults(IMAGES.replace("slice(1e-5, 1e-3)", lr)) == []


@pytest.mark.parametrize("lr", ["50", "3.0", "slice(1e-3, 30)", "[1e-3, 1e-3, 5]", "{early = 1, late = 1, head = 2}"])
def test_a_very_high_rate_is_a_warning(lr: str) -> None:
    diagnostic = one("slice(1e-5, 1e-3)", lr)
    assert diagnostic.code == "W511" and "far above" in diagnostic.message
