"""Weights by class: against scikit-learn, by hand, and held against the classes that the data has."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import dotexp as api
import numpy as np
import pytest
import torch
from dotexp import Component, ComponentError, DataFacts, Use
from dotexp.language.diagnostics import SpecError
from offered import offered
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from specs import IMAGES, checked, only, resolved

COMPONENTS: dict[str, Component] = {c.name: c for c in offered("losses") if c.kind == "loss"}
COUNTS = (5, 2, 9)
FACTS = DataFacts("classification", train=16, valid=4, classes=("ants", "bees", "wasps"), counts=COUNTS, outputs=3)
LABELS = torch.tensor([0] * 5 + [1] * 2 + [2] * 9)


def use(name: str, **arguments: Any) -> Use:
    """A loss in use."""
    return Use(component=COMPONENTS[name], params=COMPONENTS[name].params(**arguments))


def make(name: str, facts: DataFacts = FACTS, **arguments: Any) -> Any:
    """A loss, built."""
    return use(name, **arguments).build(facts)


def balanced() -> Any:
    """The enum's member."""
    from dotexp_losses.losses.params import Balance

    return Balance.balanced


def outputs(count: int) -> Tensor:
    """Outputs in float64."""
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_balanced_is_scikit_learn_s() -> None:
    weights = make("cross_entropy", weights=balanced()).weights
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    assert weights.tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert weights.tolist() == pytest.approx([16 / (3 * 5), 16 / (3 * 2), 16 / (3 * 9)], rel=1e-6)
    assert weights[LABELS].mean().item() == pytest.approx(1.0, rel=1e-6)


def test_an_example_s_loss_is_multiplied_by_its_class_s_weight() -> None:
    """By hand: of outputs ln 1, ln 2, ln 5 the probabilities are 1/8, 2/8 and 5/8."""
    loss = make("cross_entropy", weights={"wasps": 1.0, "ants": 2.0, "bees": 3.0})
    output = torch.tensor([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]).log()
    expected = -(1.0 * math.log(5 / 8) + 2.0 * math.log(1 / 8)) / 2
    assert loss(output, torch.tensor([2, 0])).item() == pytest.approx(expected, rel=1e-6)


def test_the_weighted_mean_does_not_depend_on_the_batches() -> None:
    """Over a whole set it is torch's, which divides by the weights' sum, where that sum is the set's size."""
    loss, output = make("cross_entropy", weights=balanced()), outputs(16)
    whole = loss(output, LABELS)
    parts = [loss(output[rows], LABELS[rows]) * len(rows) / 16 for rows in torch.randperm(16).split([3, 5, 8])]
    torch.testing.assert_close(sum(parts), whole)
    torch.testing.assert_close(whole, functional.cross_entropy(output, LABELS, loss.weights.double()))


def test_smoothing_spreads_the_weighted_share() -> None:
    loss = make("cross_entropy", weights={"ants": 2.0, "bees": 3.0, "wasps": 0.5}, label_smoothing=0.3)
    output, label = outputs(16), LABELS
    weights = torch.tensor([2.0, 3.0, 0.5], dtype=torch.float64)
    minus_log = -(output.exp() / output.exp().sum(1, keepdim=True)).log()
    target = 0.7 * torch.eye(3, dtype=torch.float64)[label] + 0.1
    torch.testing.assert_close(loss(output, label), (target * minus_log * weights).sum(1).mean())


def test_with_smoothing_the_other_classes_weights_count_too() -> None:
    """By hand, of three classes at ln 1/2, ln 1/4, ln 1/4: a weight on a class that no example has changes the loss."""
    output = torch.tensor([[2.0, 1.0, 1.0]]).log()
    label = torch.tensor([0])
    minus_log = [math.log(2), math.log(4), math.log(4)]
    for weight in (1.0, 10.0):
        weights = {"ants": 2.0, "bees": weight, "wasps": 1.0}
        smoothed = 0.8 * 2 * minus_log[0] + 0.1 * weight * minus_log[1] + 0.1 * minus_log[2]
        assert make("cross_entropy", weights=weights, label_smoothing=0.3)(output, label).item() == pytest.approx(
            smoothed, rel=1e-6
        )
        assert make("cross_entropy", weights=weights)(output, label).item() == pytest.approx(2 * minus_log[0], rel=1e-6)


def test_weights_of_one_change_nothing() -> None:
    ones = {"ants": 1.0, "bees": 1.0, "wasps": 1.0}
    output = outputs(16)
    torch.testing.assert_close(
        make("cross_entropy", weights=ones)(output, LABELS), make("cross_entropy")(output, LABELS)
    )


def test_weights_work_in_bf16_and_are_no_part_of_a_checkpoint() -> None:
    loss = make("cross_entropy", weights=balanced())
    found = loss(outputs(16).bfloat16(), LABELS)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss(outputs(16), LABELS).item(), rel=1e-2)
    assert loss.state_dict() == {}


def test_positive_weights_multiply_the_loss_of_what_is_there() -> None:
    """By hand: of outputs 0 every probability is a half, so each class costs ln 2, times its weight where it is 1."""
    loss = make("binary_cross_entropy", pos_weights={"ants": 2.0, "bees": 4.0, "wasps": 1.0})
    target = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    expected = math.log(2) * (2 + 1 + 1 + 1 + 4 + 1) / 6
    assert loss(torch.zeros(2, 3), target).item() == pytest.approx(expected, rel=1e-6)


def test_balanced_positive_weights_are_the_examples_without_to_one_with() -> None:
    loss = make("binary_cross_entropy", pos_weights=balanced())
    assert loss.weights.tolist() == pytest.approx([11 / 5, 14 / 2, 7 / 9], rel=1e-6)


# what does not fit the data


def problems(name: str, facts: DataFacts, **arguments: Any) -> list[tuple[str, str | None, str, str]]:
    """What a loss has to say against the data."""
    check = COMPONENTS[name].check
    assert check is not None
    return [(p.code, p.field, p.message, p.help) for p in check(use(name, **arguments).params, facts)]


def test_names_are_the_data_s_classes_and_all_of_them() -> None:
    found = problems("cross_entropy", FACTS, weights={"ant": 1.0, "spiders": 1.0, "bees": 2.0})
    assert found == [
        ("E208", "weights", "`weights` names `ant`, which is none of the data's classes", "did you mean `ants`?"),
        (
            "E208", "weights", "`weights` names `spiders`, which is none of the data's classes",
            "the classes are `ants`, `bees`, `wasps`",
        ),
        (
            "E205", "weights", "`weights` leaves out `ants`, `wasps`",
            "every class needs a weight; 1.0 leaves its loss as it is",
        ),
    ]  # fmt: skip
    assert problems("binary_cross_entropy", FACTS, pos_weights={"ants": 1.0})[0][:2] == ("E205", "pos_weights")
    assert problems("cross_entropy", FACTS, weights={"ants": 1.0, "bees": 1.0, "wasps": 1.0}) == []


def test_a_balance_needs_examples_of_every_class() -> None:
    empty = replace(FACTS, counts=(5, 0, 9))
    ((code, field, message, help),) = problems("cross_entropy", empty, weights=balanced())
    assert (code, field) == ("E402", "weights")
    assert message == "no training example is of `bees`, so no balanced weight can be computed for it"
    assert help == 'give the weights by class: weights = {"ants" = 1.0, ...}'
    unknown = replace(FACTS, counts=None)
    assert "does not tell how many" in problems("cross_entropy", unknown, weights=balanced())[0][2]
    none = replace(FACTS, classes=None, counts=None)
    assert problems("cross_entropy", none, weights=balanced())[0][:2] == ("E304", "weights")
    assert problems("cross_entropy", FACTS, weights=balanced()) == []
    assert problems("cross_entropy", none) == []
    for facts in (empty, unknown):
        with pytest.raises(ComponentError, match="training examples of every class"):
            make("cross_entropy", facts, weights=balanced())


def test_a_balance_of_positives_needs_examples_with_and_without_every_class() -> None:
    """A class that every example has would get weight 0: nothing would train it, and the run would call it fine."""
    everywhere = replace(FACTS, task="multilabel", counts=(5, 16, 16))
    ((code, field, message, help),) = problems("binary_cross_entropy", everywhere, pos_weights=balanced())
    assert (code, field) == ("E402", "pos_weights")
    assert message == "every training example has `bees`, `wasps`, so the balanced weight is 0 and nothing trains it"
    assert help == 'give the weights by class: pos_weights = {"ants" = 1.0, ...}'
    with pytest.raises(ComponentError, match="with and without"):
        make("binary_cross_entropy", everywhere, pos_weights=balanced())
    nowhere = replace(everywhere, counts=(0, 16, 9))
    found = problems("binary_cross_entropy", nowhere, pos_weights=balanced())
    assert [message.split(",")[0] for _, _, message, _ in found] == [
        "no training example has `ants`", "every training example has `bees`"
    ]  # fmt: skip


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_one_class_alone_has_no_balance_of_positives(task: str) -> None:
    alone = DataFacts(task, train=16, valid=4, classes=("ants",), counts=(16,), outputs=1)
    assert [code for code, *_ in problems("binary_cross_entropy", alone, pos_weights=balanced())] == ["E402"]


@pytest.mark.parametrize("task", ["classification", "multilabel"])
@pytest.mark.parametrize("counts", [(15, 1, 8), (1, 1, 1), (15, 15, 15)])
def test_balanced_positive_weights_are_above_zero_and_finite(task: str, counts: tuple[int, ...]) -> None:
    facts = replace(FACTS, task=task, counts=counts)
    assert problems("binary_cross_entropy", facts, pos_weights=balanced()) == []
    weights = make("binary_cross_entropy", facts, pos_weights=balanced()).weights
    assert weights.min() > 0 and torch.isfinite(weights).all()


def test_weights_need_no_counts_where_they_are_given() -> None:
    facts = replace(FACTS, counts=(5, 0, 16))
    given = {"ants": 1.0, "bees": 2.0, "wasps": 0.5}
    assert problems("binary_cross_entropy", facts, pos_weights=given) == []
    assert make("binary_cross_entropy", facts, pos_weights=given).weights.tolist() == [1.0, 2.0, 0.5]


def test_weights_are_numbers_above_zero() -> None:
    text = IMAGES.replace("loss cross_entropy", 'loss cross_entropy(weights = {"0" = 0.0, "1" = 1.0})')
    diagnostic = only(text)
    assert diagnostic.code == "E207"
    assert "must be more than 0" in diagnostic.message


def test_a_plan_points_at_the_weights_that_do_not_fit() -> None:
    """Also at those of one stage alone."""
    wrong = 'cross_entropy(weights = {"0" = 1.0, "1" = 1.0, "2" = 1.0, "3" = 1.0, "5" = 1.0})'
    for text in (
        IMAGES.replace("loss cross_entropy", f"loss {wrong}"),
        IMAGES.replace("stage head {", f"stage head {{ loss {wrong}"),
    ):
        with pytest.raises(SpecError) as caught:
            api.plan(resolved(text))
        codes = [(d.code, d.span.text[:9] if d.span else "") for d in caught.value.diagnostics]
        assert codes == [("E208", '{"0" = 1.'), ("E205", '{"0" = 1.')]


@pytest.mark.run
def test_the_bundled_data_tells_its_counts_and_a_run_is_weighted_by_them(tmp_path: Path) -> None:
    import toys
    from dotexp.engine.evaluation import evaluate_run
    from dotexp.engine.executor import execute
    from dotexp.runs.folder import create_run

    loss = use("cross_entropy", weights={"a": 1.0, "b": 10.0, "c": 0.1})
    planned = toys.plan(toys.stage(loss=loss, epochs=1))
    folder = create_run("toy", tmp_path)
    result = execute(planned, folder)
    plain = create_run("toy", tmp_path)
    other = execute(toys.plan(toys.stage(epochs=1)), plain)
    assert result.stages[0].valid_loss != other.stages[0].valid_loss
    assert evaluate_run(planned.inference, folder, "valid").loss == pytest.approx(result.stages[0].valid_loss, rel=1e-6)


def test_digits_count_their_classes() -> None:
    text = IMAGES.replace("loss cross_entropy", "loss cross_entropy(weights = balanced)")
    assert checked(text)[1] == ()
    facts = api.plan(resolved(text)).facts
    assert facts.counts is not None
    assert (len(facts.counts), sum(facts.counts)) == (5, facts.train)
