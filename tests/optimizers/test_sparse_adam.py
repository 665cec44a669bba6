"""`adam(sparse = rows)`: touched rows move, the others stay to the bit; it is saved, resumed and planned."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dotexp.engine.build.probe import Probe
from dotexp.engine.executor import execute
from dotexp.planning.plan import Plan
from dotexp.planning.planner import make_plan
from dotexp.runs.checkpoints import Position
from dotexp.runs.folder import create_run
from dotexp_callbacks.clip import build as build_clip
from dotexp_callbacks.params import ClipParams
from dotexp_optimizers.adam import RowAdam, adam
from dotexp_optimizers.params import AdamParams, Decay, Sparse
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from specs import resolved

Array = NDArray[np.float64]

ROWS, WIDTH, STEPS = 7, 3, 12
WD = 0.3
TOUCHED = [[step % 3, (step * step) % 5, step % 3] for step in range(STEPS)]
"""Rows that each step touches, one of them twice; 5 and 6 are never touched."""


def rate(step: int) -> float:
    return 0.01 * (1 + step / 10)


def momentum(step: int) -> float:
    return 0.95 - 0.004 * step


def build(parameters: list[Tensor], decay: Decay = Decay.decoupled, **given: Any) -> Optimizer:
    groups = [{"params": parameters, "lr": 1.0, "weight_decay": WD, "name": "model"}]
    return adam(AdamParams(sparse=Sparse.rows, decay=decay, **given), groups)


def table(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(ROWS, WIDTH))).to(dtype).requires_grad_()


def slopes(step: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.random.default_rng((2, step)).normal(size=(len(TOUCHED[step]), WIDTH))).to(dtype)


def train(optimizer: Optimizer, parameter: Tensor, steps: range) -> None:
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"], group["betas"] = rate(step), (momentum(step), group["betas"][1])
        optimizer.zero_grad(set_to_none=True)
        codes = torch.tensor(TOUCHED[step])
        (functional.embedding(codes, parameter, sparse=True) * slopes(step, parameter.dtype)).sum().backward()
        optimizer.step()


def by_hand(decay: Decay) -> Array:
    """Every row by itself, in float64: its moments change at its own touches, the correction counts all steps."""
    w = table().detach().numpy().copy()
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step in range(STEPS):
        lr, b1, b2 = rate(step), momentum(step), 0.99
        for row in sorted(set(TOUCHED[step])):
            g = sum(slopes(step).numpy()[at] for at, touched in enumerate(TOUCHED[step]) if touched == row)
            if decay is Decay.decoupled:
                w[row] -= lr * WD * w[row]
            else:
                g = g + (2 if decay is Decay.in_loss else 1) * WD * w[row]
            m[row] = b1 * m[row] + (1 - b1) * g
            v[row] = b2 * v[row] + (1 - b2) * g**2
            t = step + 1
            w[row] -= lr * (m[row] / (1 - b1**t)) / (np.sqrt(v[row] / (1 - b2**t)) + 1e-5)
    return w


@pytest.mark.parametrize("decay", list(Decay))
def test_rows_follow_the_formula(decay: Decay) -> None:
    parameter = table()
    train(build([parameter], decay), parameter, range(STEPS))
    np.testing.assert_allclose(parameter.detach().numpy(), by_hand(decay), rtol=1e-11, atol=1e-13)


def test_a_row_that_nothing_touches_keeps_every_bit() -> None:
    parameter, before = table(torch.float32), table(torch.float32)
    optimizer = build([parameter])
    for step in range(STEPS):
        held = parameter.detach().clone()
        train(optimizer, parameter, range(step, step + 1))
        still = sorted(set(range(ROWS)) - set(TOUCHED[step]))
        assert torch.equal(parameter[still], held[still])
        assert not torch.equal(parameter[TOUCHED[step]], held[TOUCHED[step]])
    assert torch.equal(parameter[5:], before[5:])


def test_where_every_step_touches_every_row_it_is_dense_adam() -> None:
    ours, theirs = table(), table()
    optimizer, dense = build([ours]), torch.optim.AdamW([theirs], betas=(0.9, 0.99), eps=1e-5, weight_decay=WD)
    codes = torch.arange(ROWS)
    for step in range(STEPS):
        factor = torch.from_numpy(np.random.default_rng((3, step)).normal(size=(ROWS, WIDTH)))
        for one, other, sparse in ((optimizer, ours, True), (dense, theirs, False)):
            one.param_groups[0]["lr"] = rate(step)
            one.zero_grad()
            (functional.embedding(codes, other, sparse=sparse) * factor).sum().backward()
            one.step()
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_without_decay_it_is_torchs_sparse_adam() -> None:
    ours, theirs = table(), table()
    group = {"params": [ours], "lr": 0.01, "weight_decay": 0.0}
    optimizer = adam(AdamParams(sparse=Sparse.rows, wd=0.0, eps=1e-8), [group])
    sparse = torch.optim.SparseAdam([theirs], lr=0.01, betas=(0.9, 0.99), eps=1e-8)
    for step in range(STEPS):
        for one, other in ((optimizer, ours), (sparse, theirs)):
            one.zero_grad()
            codes = torch.tensor(TOUCHED[step])
            (functional.embedding(codes, other, sparse=True) * slopes(step)).sum().backward()
            one.step()
    # torch adds eps before correcting the root, which is the other of the two usual places
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-6)


def test_what_is_no_table_moves_as_with_dense_adam() -> None:
    torch.manual_seed(0)
    tables, layer = nn.Embedding(ROWS, WIDTH, sparse=True), nn.Linear(WIDTH, 1)
    other = copy.deepcopy(layer)
    optimizer = build([tables.weight, *layer.parameters()])
    dense = torch.optim.AdamW(other.parameters(), lr=1.0, betas=(0.9, 0.99), eps=1e-5, weight_decay=WD, fused=True)
    for step in range(3):
        for one in (optimizer, dense):
            one.param_groups[0]["lr"] = rate(step)
            one.zero_grad(set_to_none=True)
        inputs = tables(torch.tensor(TOUCHED[step]))
        layer(inputs).sum().backward()
        other(inputs.detach()).sum().backward()
        optimizer.step()
        dense.step()
        assert tables.weight.grad is not None and tables.weight.grad.is_sparse
    for ours, theirs in zip(layer.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("stop", [0, 1, 7])
def test_state_survives_saving_to_the_bit(stop: int) -> None:
    whole, half = table(torch.float32), table(torch.float32)
    train(build([whole]), whole, range(STEPS))
    first = build([half])
    train(first, half, range(stop))
    resumed = half.detach().clone().requires_grad_()
    second = build([resumed])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, resumed, range(stop, STEPS))
    assert torch.equal(whole, resumed)


def test_a_step_without_gradients_changes_nothing() -> None:
    parameter, before = table(), table()
    build([parameter]).step()
    assert torch.equal(parameter, before)


@pytest.mark.parametrize("given", [{"norm": 0.5}, {"value": 0.1}])
def test_clipping_takes_sparse_gradients_as_it_takes_dense_ones(given: dict[str, float]) -> None:
    codes, factor = torch.tensor([1, 3, 1]), slopes(0)
    found = []
    for sparse in (True, False):
        parameter = nn.Parameter(table().detach())
        (functional.embedding(codes, parameter, sparse=sparse) * factor).sum().backward()
        clip = build_clip(ClipParams(**given))
        clip._parameters = (parameter,)  # type: ignore[attr-defined]
        clip.before_step(0)
        assert parameter.grad is not None
        found.append(parameter.grad.to_dense().numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    limit = np.linalg.norm(found[1]) if "norm" in given else np.abs(found[1]).max()
    assert limit == pytest.approx(next(iter(given.values())), rel=1e-4)


# through the engine

SPEC = """
experiment films
data latent_ratings(users = 40, items = 30, density = 20%, batch_size = 32)
model MODEL
loss mse
optimizer adam(wd = 0.1, sparse = rows)
runtime(device = cpu, threads = 1)
stage train { fit one_cycle(epochs = 2, lr = 1e-2) }
"""
MODELS = (
    "embedding_dot_bias(factors = 4)",
    "embedding_dot_bias(factors = 4, unknown_rate = 10%, mean_start = true)",
    "embedding_nn([8], dropout = 0.2, embedding_dropout = 0.1)",
    "svd_plus_plus(factors = 4, unknown_rate = 10%)",
)


def planned(text: str) -> Plan:
    made, _ = make_plan(resolved(text), Probe())
    return with_runtime(made, EVERY_STEP)


@pytest.mark.run
@pytest.mark.parametrize("sparse", ["none", "rows"])
@pytest.mark.parametrize("model", MODELS, ids=lambda text: text.partition("(")[0])
def test_a_run_resumed_after_any_step_ends_with_the_same_bits(tmp_path: Path, model: str, sparse: str) -> None:
    plan = planned(SPEC.replace("MODEL", model).replace("sparse = rows", f"sparse = {sparse}"))
    whole = create_run("films", tmp_path)
    execute(plan, whole)
    steps = plan.stages[0].steps_per_epoch
    for place in (None, Position(0, 1, 0), Position(0, steps + 1, 1), Position(0, 2 * steps, 2)):
        resumed = cut(whole, tmp_path / f"cut-{place.name if place else 'start'}", place)
        go_on(plan, resumed)
        assert bits(resumed) == bits(whole), place


@pytest.mark.run
def test_the_engine_asks_tables_for_sparse_gradients_and_back() -> None:
    """A second stage with dense Adam has dense gradients again: its untouched rows decay."""
    text = SPEC.replace("MODEL", MODELS[0]).replace(
        "stage train { fit one_cycle(epochs = 2, lr = 1e-2) }",
        "stage rows { fit one_cycle(epochs = 1, lr = 1e-2) }\n"
        "stage dense { optimizer adam(wd = 0.1)  fit one_cycle(epochs = 1, lr = 1e-2) }",
    )
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.devices import machine, seeder
    from dotexp.engine.build.network import build_network
    from dotexp.engine.training.loop import Machinery, StageLoop

    plan = planned(text)
    network = build_network(plan.model, plan.facts, 1)
    part = DataStore().get(plan.data, 42).part("train")
    with machine(plan.runtime) as device:
        machinery = Machinery(device, torch.enable_grad, seeder(device))
        for stage, sparse, kind in zip(plan.stages, (True, False), (RowAdam, torch.optim.Adam), strict=True):
            before = network.state_dict()["model.user_factors.weight"][0].clone()
            loop = StageLoop(stage, network, nn.MSELoss(), part, 42, machinery)
            loop.epoch(0, lambda step: None)
            assert type(loop.optimizer) is kind
            after = network.state_dict()["model.user_factors.weight"][0]
            assert torch.equal(before, after) is sparse  # the unknown's row: no rating has it


def test_a_plan_suggests_it_for_large_tables_alone() -> None:
    sizes = "users = 9000, items = 900, density = 1%"
    sparse = SPEC.replace("MODEL", MODELS[0].replace("4", "400")).replace(
        "users = 40, items = 30, density = 20%", sizes
    )
    dense = sparse.replace(", sparse = rows", "")
    (hint,) = planned(dense).stages[0].hints
    assert "adam(sparse = rows)" in hint and "3,9" in hint
    assert planned(dense).as_json()["stages"][0]["hints"] == [hint]
    for other in (
        sparse,
        dense.replace("factors = 400", "factors = 4"),
        dense.replace("adam(wd = 0.1)", "sgd"),
        dense.replace("batch_size = 32", "batch_size = 512"),
    ):
        assert planned(other).stages[0].hints == ()
