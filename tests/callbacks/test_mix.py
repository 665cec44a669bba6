"""Mixup and cutmix: by hand, with the step's own random numbers, and for what they are meant for alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp import Component, DataContext, DataFacts, DataSignature, Params, Use
from dotexp.engine.build.network import build_network
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import RunResult
from dotexp.sdk.callback import Callback, Training
from dotexp.sdk.data import Batch
from dotexp.sdk.seeds import derive
from offered import offered
from torch import Tensor
from torch.nn import functional
from toys import WHOLE, ImagesParams, SgdParams, build_images, callback, plan, same, stage, use

from specs import IMAGES, RATINGS, faults, only

CLASSES = 3
COMPONENTS: dict[str, Component] = {each.name: each for each in offered("losses")}
DATA = ImagesParams(batch_size=16, examples=16)


def loss_of(name: str, facts: DataFacts, **arguments: Any) -> Any:
    """A bundled loss."""
    component = COMPONENTS[name]
    return Use(component=component, params=component.params(**arguments)).build(facts)


def mixing(name: str, task: str = "classification", **arguments: Any) -> Any:
    """What changes a batch, as the loop calls it."""
    network = torch.nn.Linear(2, CLASSES)
    parameters = tuple(network.parameters())
    facts = DataFacts(task, train=8, valid=8, outputs=CLASSES)
    callbacks = StageCallbacks([callback(name, **arguments)])
    callbacks.stage_started(Training(stage(), facts, network, torch.optim.SGD(parameters), parameters, {}))
    assert callbacks.change_batch is not None
    return callbacks.change_batch


def images(count: int = 8, size: int = 6) -> Tensor:
    """Random images, every pixel of another value."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(2))


def labels(count: int = 8) -> Tensor:
    """Random labels."""
    return torch.randint(CLASSES, (count,), generator=torch.Generator().manual_seed(3))


def share_of(alpha: float) -> float:
    """The share that a generator in its present state draws: one number of Beta(alpha, alpha)."""
    return torch.distributions.Beta(torch.tensor([alpha]), torch.tensor([alpha])).sample(()).item()


def test_mixup_is_a_weighted_mean_of_each_image_with_the_one_before_it() -> None:
    x, y, change = images(), labels(), mixing("mixup", alpha=0.4)
    torch.manual_seed(11)
    share = share_of(0.4)
    assert 0 < share < 1
    torch.manual_seed(11)
    mixed = change(Batch((x,), y))
    other = [(i - 1) % 8 for i in range(8)]
    torch.testing.assert_close(mixed.inputs[0], share * x + (1 - share) * x[other])
    one_hot = torch.eye(CLASSES)[y]
    torch.testing.assert_close(mixed.targets, share * one_hot + (1 - share) * one_hot[other])
    torch.testing.assert_close(mixed.targets.sum(1), torch.ones(8))


def test_cutmix_puts_in_a_rectangle_and_gives_the_other_label_its_share_of_the_pixels() -> None:
    x, y = images(size=12), labels()
    change = mixing("cutmix")
    other = [(i - 1) % 8 for i in range(8)]
    areas = set()
    for seed in range(20):
        torch.manual_seed(seed)
        mixed = change(Batch((x,), y))
        (found,) = mixed.inputs
        foreign = (found == x[other]).all(1) & (found != x).any(1)
        assert ((found == x).all(1) | foreign).all()
        rows, columns = foreign[0].any(1).sum(), foreign[0].any(0).sum()
        assert foreign[0].sum() == rows * columns, "a rectangle"
        assert (foreign == foreign[0]).all(), "the same one in every image"
        share = 1 - foreign[0].float().mean().item()
        one_hot = torch.eye(CLASSES)[y]
        torch.testing.assert_close(mixed.targets, share * one_hot + (1 - share) * one_hot[other])
        areas.add(int(foreign[0].sum()))
    assert len(areas) > 10


def test_several_labels_are_mixed_as_they_are() -> None:
    x, change = images(), mixing("mixup", "multilabel", alpha=0.4)
    y = torch.randint(2, (8, CLASSES), generator=torch.Generator().manual_seed(4)).float()
    torch.manual_seed(11)
    share = share_of(0.4)
    torch.manual_seed(11)
    mixed = change(Batch((x,), y))
    torch.testing.assert_close(mixed.targets, share * y + (1 - share) * y.roll(1, 0))


def test_a_share_of_the_batches_is_mixed() -> None:
    change, batch = mixing("mixup", p=0.25), Batch((images(),), labels())
    torch.manual_seed(0)
    mixed = [change(batch) is not batch for _ in range(400)]
    assert 70 <= sum(mixed) <= 130  # 100 ± 3.5 deviations of 8.7


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, {"a": 3.0, "b": 1.0, "c": 0.5}])
def test_the_loss_of_shares_is_the_mean_of_the_two_labels_losses(smoothing: float, weights: Any) -> None:
    """As fastai has it: share * loss(output, label) + (1 - share) * loss(output, other label)."""
    facts = DataFacts("classification", train=8, valid=8, classes=("a", "b", "c"), outputs=CLASSES)
    loss = loss_of("cross_entropy", facts, label_smoothing=smoothing, weights=weights)
    output = torch.randn(8, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    y = labels()
    one_hot = torch.eye(CLASSES, dtype=torch.float64)[y]
    shares = 0.3 * one_hot + 0.7 * one_hot.roll(1, 0)
    expected = 0.3 * loss(output, y) + 0.7 * loss(output, y.roll(1, 0))
    torch.testing.assert_close(loss(output, shares), expected)


def test_the_binary_loss_of_shares_is_the_mean_of_the_two_labels_losses() -> None:
    facts = DataFacts("multilabel", train=8, valid=8, classes=("a", "b", "c"), outputs=CLASSES)
    loss = loss_of("binary_cross_entropy", facts, pos_weights={"a": 3.0, "b": 1.0, "c": 0.5})
    output = torch.randn(8, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    y = torch.eye(CLASSES, dtype=torch.float64)[labels()]
    expected = 0.3 * loss(output, y) + 0.7 * loss(output, y.roll(1, 0))
    torch.testing.assert_close(loss(output, 0.3 * y + 0.7 * y.roll(1, 0)), expected)


# in runs


def run(planned: Plan, root: Path) -> tuple[RunFolder, RunResult]:
    """Execute a plan in a new folder."""
    folder = create_run(planned.name, root)
    return folder, execute(planned, folder)


def mixed_plan(*callbacks: Use, epochs: int = 1) -> Plan:
    """A linear layer on 16 examples, a step an epoch."""
    sgd = use("optimizer", "build_sgd", SgdParams())
    train = stage(data=DATA, optimizer=sgd, momentum=None, groups=(WHOLE,), epochs=epochs, callbacks=callbacks)
    return plan(train, data=DATA, body=None)


@pytest.mark.run
def test_the_loss_written_down_is_that_of_the_mixed_batch_of_the_step_s_seed(tmp_path: Path) -> None:
    planned = mixed_plan(callback("mixup"))
    network = build_network(planned.model, planned.facts, 42).double()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(derive(42, "order", "train", 0)))
    (batch,) = build_images(DATA, DataContext(42)).part("train").batches(order, 16, None, torch.device("cpu"))
    torch.manual_seed(derive(42, "step", "train", 0))
    share = share_of(0.4)
    x = batch.inputs[0].double()
    output = network(share * x + (1 - share) * x.roll(1, 0))
    label, other = (functional.cross_entropy(output, y) for y in (batch.targets, batch.targets.roll(1, 0)))
    expected = (share * label + (1 - share) * other).item()
    _, result = run(planned, tmp_path)
    assert result.stages[0].train_loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.run
def test_the_same_run_mixes_the_same_and_another_seed_does_not(tmp_path: Path) -> None:
    planned = mixed_plan(callback("mixup"), callback("cutmix", p=0.5), epochs=4)
    first, again = (load_weights(run(planned, tmp_path)[0].model) for _ in range(2))
    assert same(first, again) == set(first)
    plain = load_weights(run(mixed_plan(epochs=4), tmp_path)[0].model)
    assert not same(first, plain)


class TakenParams(Params):
    """Looks at what the forward pass sees."""


class Taken(Callback):
    """Writes down the batches."""

    seen: list[Batch]

    def __init__(self, params: TakenParams) -> None:
        Taken.seen = []

    def change_batch(self, batch: Batch) -> Batch:
        """Write it down."""
        self.seen.append(batch)
        return batch


@pytest.mark.run
def test_validation_sees_images_as_they_are(tmp_path: Path) -> None:
    taken = Use(component=Component("callback", "taken", TakenParams, f"{__name__}:Taken"), params=TakenParams())
    run(mixed_plan(callback("mixup"), taken, epochs=2), tmp_path)
    assert [batch.targets.shape for batch in Taken.seen] == [(16, CLASSES)] * 2, "one batch an epoch, and no validation"


# diagnostics


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_only_classes_of_images_can_be_mixed(name: str) -> None:
    assert faults(f"{IMAGES}\ncallbacks {name}") == []
    diagnostic = only(f"{RATINGS}\ncallbacks {name}")
    assert (diagnostic.code, diagnostic.span and diagnostic.span.text) == ("E304", name)
    assert diagnostic.message == f"`{name}` is for classification or multilabel, and `latent_ratings` is ratings"
    local = RATINGS.replace("stage train {", f"stage train {{ callbacks {name}(0.2)")
    assert [code for code, _ in faults(local)] == ["E304"]


def test_inputs_of_another_kind_cannot_be_mixed() -> None:
    from dotexp.experiment.callback_checks import check_callbacks
    from dotexp.language.diagnostics import Collector

    sound = Use(
        component=Component("data", "sounds", TakenParams, "x:y", facts=DataSignature("classification", "sounds")),
        params=TakenParams(),
    )
    collector = Collector()
    check_callbacks([callback("mixup")], "callbacks", sound, (), {}, collector)
    assert [(d.code, d.message) for d in collector.diagnostics] == [
        ("E305", "`mixup` takes images, and `sounds` gives sounds")
    ]


@pytest.mark.parametrize(("text", "said"), [("mixup(alpha = 0)", "more than 0"), ("cutmix(p = 120%)", "at most 1")])
def test_numbers_out_of_bounds_are_told(text: str, said: str) -> None:
    diagnostic = only(f"{IMAGES}\ncallbacks {text}")
    assert diagnostic.code == "E207"
    assert said in diagnostic.message
