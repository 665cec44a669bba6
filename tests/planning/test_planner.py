"""What a plan says before anything runs: groups, counts, rates, steps."""

from __future__ import annotations

import math
from pathlib import Path

import dotexp as api
import pytest
from dotexp.language.diagnostics import Diagnostic, SpecError
from dotexp.planning.plan import Plan
from PIL import Image

from specs import IMAGES, RATINGS, resolved


def planned(text: str, *overrides: str) -> Plan:
    return api.plan(resolved(text, *overrides))


def test_resnet34_with_the_lessons_head_for_37_classes() -> None:
    from dotexp.components.facts import DataFacts
    from dotexp.engine.build.probe import Probe
    from dotexp.planning.planner import make_plan

    class Pets(Probe):
        def data_facts(self, use: object, seed: int) -> DataFacts:
            return DataFacts("classification", 5912, 1478, classes=tuple(map(str, range(37))), outputs=37)

    text = IMAGES.replace("resnet18", "resnet34")
    plan, _ = make_plan(resolved(text), Pets())
    assert plan.parameters == 21_830_976
    assert sum(layer.parameters for layer in plan.layers if layer.name != "head") == 21_284_672
    head, everything = plan.stages
    assert [group.parameters for group in head.groups] == [1_347_904, 19_936_768, 546_304]
    assert [group.trainable_parameters for group in head.groups] == [0, 0, 546_304]
    assert [group.frozen for group in head.groups] == ["all", "all", "none"]
    assert [group.batchnorm for group in head.groups] == ["still", "still", "train"]
    assert head.steps_per_epoch == 92
    kept, _ = make_plan(resolved(text.replace("freeze body", "freeze body except norm")), Pets())
    assert sum(group.trainable_parameters for group in kept.stages[0].groups) == 563_328
    before, _ = make_plan(resolved(text.replace("freeze body", "freeze before layer3 except norm")), Pets())
    assert sum(group.trainable_parameters for group in before.stages[0].groups) == 20_486_272
    assert everything.groups[0].frozen == "none"


def test_rates_and_momentum_of_every_step() -> None:
    plan = planned(IMAGES)
    stage = plan.stages[1]
    n = stage.steps
    assert n == 2 * (plan.facts.train // 64)

    def cosine(a: float, b: float, p: float) -> float:
        return a + (b - a) * (1 - math.cos(math.pi * p)) / 2

    peaks = [1e-5, 1e-4, 1e-3]
    for peak, rates in zip(peaks, stage.rates, strict=True):
        assert rates is not None
        for i, rate in enumerate(rates):
            pos = i / n
            up, down = pos / 0.25, (pos - 0.25) / 0.75
            expected = cosine(peak / 25, peak, up) if pos < 0.25 else cosine(peak, peak / 1e5, down)
            assert rate == pytest.approx(expected, rel=1e-9)
    assert stage.momentum is not None and stage.momentum[0] == 0.95 and min(stage.momentum) >= 0.85
    assert plan.stages[0].rates[:2] == (None, None)


def test_momentum_is_constant_where_the_policy_leaves_it_and_null_where_there_is_none() -> None:
    flat = RATINGS.replace("one_cycle(", "flat(")
    assert set(planned(flat).stages[0].momentum or ()) == {0.9}
    assert planned(flat + "\noptimizer sgd").stages[0].momentum is None
    assert set(planned(flat + "\noptimizer sgd(momentum = 0.8)").stages[0].momentum or ()) == {0.8}


def test_a_slice_spans_frozen_groups_too() -> None:
    text = IMAGES.replace("slice(1e-5, 1e-3)", "slice(1e-3)").replace(
        "stage everything {", "stage everything { freeze early"
    )
    rates = planned(text).stages[1].rates
    assert rates[0] is None and rates[1] is not None and rates[2] is not None
    assert max(rates[1]) == pytest.approx(max(rates[2]) / 10)


def test_a_part_frozen_group() -> None:
    group = planned(IMAGES.replace("freeze body", "freeze stem..layer1")).stages[0].groups[0]
    assert (group.frozen, group.frozen_layers, group.batchnorm) == ("part", ("stem", "layer1"), "train")


def test_plan_json_has_the_documented_keys() -> None:
    answer = planned(IMAGES).as_json()
    assert list(answer) == ["format_version", "experiment", "seed", "data", "model", "stages"]
    assert {"task", "train", "valid", "classes"} <= set(answer["data"])
    stage = answer["stages"][0]
    steps = {"steps_per_epoch", "steps", "batch_size", "batches_per_step"}
    assert set(stage) == {"name", "epochs", *steps, "groups", "schedule", "rewrites", "hints"}
    group = {"name", "layers", "parameters", "trainable_parameters", "frozen", "frozen_layers", "batchnorm"}
    assert set(stage["groups"][0]) == group
    assert len(stage["schedule"]["lr"][2]) == stage["steps"] and stage["schedule"]["lr"][0] is None


def test_few_steps_are_a_warning_and_work() -> None:
    heard: list[Diagnostic] = []
    text = RATINGS.replace("latent_ratings", "latent_ratings(users = 20, items = 20, density = 20%, batch_size = 40)")
    plan = api.plan(resolved(text), notify=heard.extend)
    assert plan.stages[0].steps == 1
    assert "W504" in [diagnostic.code for diagnostic in heard]


def test_stage_data_must_have_the_experiments_classes(tmp_path: Path) -> None:
    for folder, label in (("one", "dog"), ("two", "cow")):
        for name in ("cat", label):
            (tmp_path / folder / name).mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (8, 8), (9 * i, 0, 0)).save(tmp_path / folder / name / f"{folder}{i}.png")
    text = IMAGES.replace("digits(classes = 0..4)", 'image_folder("one", size = 32, valid = 1, batch_size = 2)')
    other = text.replace("stage everything {", 'stage everything { data(path = "two")')
    with pytest.raises(SpecError, match="E402") as caught:
        api.plan(resolved(other, folder=tmp_path))
    assert "other classes" in str(caught.value)


ALONE = IMAGES.replace("classes = 0..4", "classes = 0..4, size = 16, batch_size = 1").replace("head mlp", "head linear")


@pytest.mark.parametrize(
    ("body", "layer"),
    [
        ('torchvision_body("resnet18", cut = 7, weights = none)', "body.layer3.0.bn1"),
        ('torchvision_body("resnet18", cut = 6, weights = none)', None),
        ('timm_body("resnet10t", weights = none)', "body.model.layer3.0.bn1"),
    ],
)
def test_a_model_whose_facts_do_not_say_is_tried_on_a_batch_of_one(body: str, layer: str | None) -> None:
    text = ALONE.replace("resnet18(weights = none)", body)
    if layer is None:
        planned(text)
        return
    with pytest.raises(SpecError) as caught:
        planned(text)
    (fault,) = [d for d in caught.value.diagnostics if d.code == "E305"]
    assert "it cannot train on batches of one" in fault.message and fault.message.startswith(f"`{layer}`")
    assert fault.span is not None and fault.span.text == "1"
    planned(text.replace("stage everything {", "stage everything { freeze body"))  # its batch norm does not train
