"""Frozen means unchanged, bit for bit: parameters and buffers of every bundled body after a frozen stage."""

from __future__ import annotations

from pathlib import Path

import dotexp as api
import pytest
from dotexp.engine.build.network import build_network
from safetensors.torch import load_file

from specs import resolved

pytestmark = pytest.mark.run

SPEC = """
experiment still
data digits(classes = 0..2, size = 32, batch_size = 64, valid = 70%)
model {{
  body {body}
  head linear
}}
loss cross_entropy
optimizer adam(wd = 0.1)
runtime(threads = 1)
stage head {{
  {freeze}
  fit flat(epochs = 1, lr = 1e-2)
}}
"""
NAMES = (
    "resnet18", "resnet34", "resnet50", "squeezenet1_1", "densenet121", "vgg11_bn", "mobilenet_v3_small",
    "efficientnet_b0", "convnext_tiny", "regnet_x_400mf", "swin_t", "swin_v2_t",
)  # fmt: skip
BODIES = (
    *(f"{name}(weights = none)" for name in NAMES),
    "vit_b_32(weights = none, image_size = 32)",
    'torchvision_body("shufflenet_v2_x0_5", weights = none)',
)
"""A body of each family; some drop whole blocks or tokens of theirs while they train."""


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_a_frozen_body_is_bit_identical_and_the_head_moves(body: str, tmp_path: Path) -> None:
    spec = resolved(SPEC.format(body=body, freeze="freeze body"))
    plan = api.plan(spec)
    before = build_network(spec.experiment.model, plan.facts, spec.experiment.seed).state_dict()
    after = load_file(api.run(spec, runs=tmp_path).model)
    assert after.keys() == before.keys()
    still = [name for name in before if name.startswith("body.")]
    assert len(still) > 30
    assert [name for name in still if not before[name].equal(after[name])] == []
    assert not any(before[name].equal(after[name]) for name in before if name.startswith("head.") and "weight" in name)


@pytest.mark.slow
def test_except_batchnorm_moves_its_parameters_and_statistics_alone(tmp_path: Path) -> None:
    spec = resolved(SPEC.format(body="resnet18(weights = none)", freeze="freeze body except batchnorm"))
    plan = api.plan(spec)
    before = build_network(spec.experiment.model, plan.facts, spec.experiment.seed).state_dict()
    after = load_file(api.run(spec, runs=tmp_path).model)
    moved = {name for name in before if name.startswith("body.") and not before[name].equal(after[name])}
    norms = {name.rsplit(".", 1)[0] for name in before if name.endswith("running_mean")}
    assert {name.rsplit(".", 1)[0] for name in moved} == norms
