"""One pass tells every fault that does not follow from another, and none that does."""

from __future__ import annotations

from pathlib import Path

import pytest

from specs import IMAGES, RATINGS, checked, faults, only


def damaged(*pairs: tuple[str, str]) -> str:
    text = IMAGES
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


NOT_A_MEMBER = ("weights = none", "weights = imagnet")
INDEPENDENT = [
    # layers and groups, in a model with another fault
    (NOT_A_MEMBER, ("freeze body", "freeze boddy"), [("E208", "imagnet"), ("E301", "boddy")]),
    (NOT_A_MEMBER, ("freeze body", "freeze before layer9"), [("E208", "imagnet"), ("E301", "layer9")]),
    (NOT_A_MEMBER, ("freeze body", "freeze layer3..layer1"), [("E208", "imagnet"), ("E306", "layer3..layer1")]),
    (("head mlp", "head mpl"), ("freeze body", "freeze boddy"), [("E203", "mpl"), ("E301", "boddy")]),
    (("head mlp", ""), ("freeze body", "freeze boddy"), [("E201", "model"), ("E301", "boddy")]),
    (("head mlp", "head mlp(["), ("freeze body", "freeze boddy"), [("E104", "("), ("E301", "boddy")]),
    (NOT_A_MEMBER, ("head mlp", "head mlp groups a [stem..layer5], b [head]"),
     [("E208", "imagnet"), ("E301", "layer5")]),
    # rates, behind a fault of the model, of the stage or of the policy itself
    (NOT_A_MEMBER, ("slice(1e-5, 1e-3)", "[1e-3, 1e-4]"), [("E208", "imagnet"), ("E302", "[1e-3, 1e-4]")]),
    (("freeze body", "freeze boddy"), ("lr = 3e-3", "lr = [1e-3]"), [("E301", "boddy"), ("E302", "[1e-3]")]),
    (("epochs = 1", "epochs = 0"), ("lr = 3e-3", "lr = {earli = 1e-3}"), [("E207", "0"), ("E301", "{earli = 1e-3}")]),
    (("head mlp", "head mlp groups a [stem..layer5], b [head]"), ("lr = 3e-3", "lr = {c = 1e-3}"),
     [("E301", "layer5"), ("E301", "{c = 1e-3}")]),
    # task and images
    (("classes = 0..4", "classes = 4..0"), ("loss cross_entropy", "loss mse"), [("E207", "4..0"), ("E304", "mse")]),
    (("wd = 0.01", "wdd = 0.01"), ("metrics accuracy", "metrics rmse"), [("E204", "wdd"), ("E304", "rmse")]),
    (("optimizer adam", "optimizer adm"), ("metrics accuracy", "metrics rmse"), [("E203", "adm"), ("E304", "rmse")]),
    # missing statements, behind a fault elsewhere
    (("loss cross_entropy", ""), ("wd = 0.01", "wd = -1"), [("E201", ""), ("E207", "-1")]),
    (("stage head", "stge head"), ("  fit one_cycle(epochs = 1, lr = 3e-3)", ""), [("E109", "stge"), ("E201", "head")]),
    (("head mlp", "haed mpl"), ("freeze body", "freeze boddy"),
     [("E109", "haed"), ("E203", "mpl"), ("E301", "boddy")]),
    # inside one statement
    (("lr = 3e-3", "lr = 1/200"), ("epochs = 1", "epoch = 1"),
     [("E204", "epoch"), ("E110", "1/200")]),
    (("wd = 0.01", "wd = 0.0.1, epss = 1"), ("metrics accuracy", "metrics acuracy"),
     [("E105", "0.0.1"), ("E204", "epss"), ("E203", "acuracy")]),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "expected"), INDEPENDENT, ids=[f"{a[1]}-{b[1]}" for a, b, _ in INDEPENDENT])
def test_two_faults_are_told_together(
    one: tuple[str, str], other: tuple[str, str], expected: list[tuple[str, str]]
) -> None:
    assert faults(damaged(one, other)) == expected


FOLLOWING = [
    ("lr = 3e-3", "lr = 1/200", "1/200"),
    ("lr = 3e-3", "lr = 5e−3", "5e−3"),
    ("lr = 3e-3", "lr = 0,005", "0,005"),
    ("lr = 3e-3", "lr = 1,5e-3", "1,5e-3"),
    ("epochs = 1, lr = 3e-3", "1, 0,003", "0,003"),
    ("lr = 3e-3", "lr = {early = 1e-5, late = 1e-4, head = 0,001}", "0,001"),
    ("lr = 3e-3", "lr = ", "="),
    ("lr = 3e-3", "lr = lr/2", "lr/2"),
    ("lr = 3e-3", "lr = (1e-3)", "(1e-3)"),
    ("metrics accuracy", "metric accuracy", "metric"),
    ("stage head", "stge head", "stge"),
    ("loss cross_entropy", "loss", "loss"),
    ("loss cross_entropy", "loss = cross_entropy", "="),
    ("loss cross_entropy", "loss (", "("),
    ("data digits(classes = 0..4)", "dataset digits(classes = 0..4)", "dataset"),
    ("data digits(classes = 0..4)", "data digits(classes = 0..4", "("),
    ("body resnet18", "bdy resnet18", "bdy"),
    ("body resnet18(weights = none)", "body resnet18(weights = )", "="),
    ("experiment photos", "experiment", "experiment"),
    ("stage everything {", "stage everything { data(size = 32", "("),
    ("optimizer adam(wd = 0.01)", "optimizer adm(wd = 0.01)", "adm"),
    ("fit one_cycle(epochs = 1, lr = 3e-3)", "fit one_cicle(epochs = 1, lr = 3e-3)", "one_cicle"),
]


@pytest.mark.parametrize(("old", "new", "pointed"), FOLLOWING, ids=[new[:40] for _, new, _ in FOLLOWING])
def test_one_mistake_is_one_message(old: str, new: str, pointed: str) -> None:
    assert [text for _, text in faults(damaged((old, new)))] == [pointed]


def test_each_number_with_a_decimal_comma_is_one_message() -> None:
    found = checked(damaged(("wd = 0.01", "betas = [0,9, 0,99]")))[1]
    assert [(d.code, d.suggestion) for d in found] == [("E105", "0.9"), ("E105", "0.99")]
    assert faults(damaged(("wd = 0.01", "betas = [0.9,0.99]"))) == []
    assert faults(damaged(("head mlp", "head mlp([8,4,2])"))) == []
    (thousand,) = checked(damaged(("epochs = 1", "epochs = 1,000")))[1]
    assert thousand.suggestion is None and "1000" in thousand.help and "1.000" in thousand.help


def test_what_a_faulty_statement_declares_or_names_counts() -> None:
    assert faults(RATINGS.replace("factors = 4", "factors = size") + "param size = (") == [("E103", "(")]
    assert faults(RATINGS.replace("factors = 4", "factors = size") + "param size = 2x") == [("E105", "2x")]
    assert faults(RATINGS.replace("factors = 4", "factors = size") + "param size =\nparam other = size") == [
        ("E103", "="), ("W501", "other"),
    ]  # fmt: skip
    assert faults(RATINGS.replace("loss mse", "loss (size") + "param size = 2") == [("E104", "(")]
    assert faults(RATINGS.replace("loss mse", "loss mes(size)") + "param size = 2") == [("E203", "mes")]
    assert faults(RATINGS.replace("factors = 4", "factor = size") + "param size = 2") == [
        ("E205", "embedding_dot_bias"), ("E204", "factor"),
    ][1:]  # fmt: skip


def test_an_unused_param_is_told_behind_another_fault() -> None:
    assert faults(RATINGS.replace("factors = 4", "factors = 0") + "param idle = 3") == [("E207", "0"), ("W501", "idle")]
    assert faults(RATINGS.replace("loss mse", "loss (") + "param idle = 3") == [("E104", "("), ("W501", "idle")]


def test_names_of_params_in_a_circle_are_not_unknown_as_well() -> None:
    assert faults(RATINGS.replace("factors = 4", "factors = a") + "param a = b\nparam b = a") == [("E209", "a")]


def test_a_param_may_hold_a_component_of_its_own_name() -> None:
    assert faults(IMAGES + "param mlp = vision.mlp") == []
    assert "E209" not in [code for code, _ in faults(RATINGS + "param chosen = vision.chosen")]
    assert faults(IMAGES.replace("adam(wd = 0.01)", "best") + "param best = optimizers.adam") == []
    assert faults(IMAGES.replace("adam(wd = 0.01)", "adam") + "param adam = optimizers.adam(wd = 0.1)") == []


def test_changes_where_nothing_is_in_force() -> None:
    without = IMAGES.replace("data digits(classes = 0..4)", "")
    assert faults("data(size = 32)" + without) == [("E214", "data")]
    in_stage = without.replace("freeze body", "freeze body data(size = 32)")
    assert faults(in_stage) == [("E201", ""), ("E214", "data")]
    assert faults("loss(label_smoothing = 0.1)" + IMAGES.replace("loss cross_entropy", "")) == [("E214", "loss")]
    assert faults("data(size = 32)" + without.replace("adam(wd = 0.01)", "adm")) == [("E214", "data"), ("E203", "adm")]
    assert faults(
        IMAGES.replace("data digits", "data digts").replace("freeze body", "freeze body data(size = 32)")
    ) == [("E203", "digts")]


def test_a_base_that_names_itself_is_a_circle(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "a.exp").write_text('extends "../specs/a.exp"' + IMAGES)
    (folder / "b.exp").write_text('extends "./../specs/c.exp"')
    (folder / "c.exp").write_text('extends "b.exp"')
    (folder / "d.exp").symlink_to(folder / "a.exp")
    for text in ('extends "a.exp"', 'extends "b.exp"', 'extends "d.exp"'):
        _, diagnostics = checked(text + IMAGES, folder=folder)
        assert [d.code for d in diagnostics] == ["E211"] and "circle" in diagnostics[0].message, text


def test_what_a_lost_base_may_hold_is_not_missing() -> None:
    assert faults('extends "missing.exp" experiment a loss(label_smoothing = x)') == [("E211", '"missing.exp"')]
    assert faults("extends missing.exp experiment a optimizer adm") == [("E103", "missing.exp"), ("E203", "adm")]


def test_layers_are_unknown_where_the_body_is() -> None:
    assert only(damaged(("body resnet18", "body resnet81"), ("freeze body", "freeze before layer9"))).code == "E203"
