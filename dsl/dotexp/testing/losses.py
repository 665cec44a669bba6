"""Checks of losses and metrics. Needs torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from dotexp.components.facts import MetricFacts
from dotexp.language.diagnostics import Problem
from dotexp.sdk.data import RankingMetric
from dotexp.testing.outputs import Case, cases, columns
from dotexp.testing.trial import Check, Finding, Skip, Trial

_NUMBERS = ("regression", "ratings")
_DECLARE = 'or say what it is for: Facts(tasks=("classification",))'
_FEW = 5


def _cases(trial: Trial) -> list[Case]:
    return cases(trial.use.facts.tasks)


def _loss(trial: Trial, case: Case) -> Any:
    torch.manual_seed(0)
    return trial.use.build(case.facts)


def builds(trial: Trial) -> Iterator[Finding]:
    """A torch module with `activate`, without parameters of its own."""
    if not _cases(trial):
        yield Skip(f"no data of the task {', '.join(trial.use.facts.tasks)} is at hand but the plugin's own")
        return
    for case in _cases(trial):
        loss = _loss(trial, case)
        if not isinstance(loss, nn.Module):
            yield Problem(f"its builder returned a {type(loss).__name__}", help="return a torch.nn.Module")
        elif not callable(getattr(loss, "activate", None)):
            help = "map the model's outputs to predictions in it: probabilities, or numbers in the data's units"
            yield Problem("it has no method `activate`", help=help)
        elif any(True for _ in loss.parameters()):
            name = next(name for name, _ in loss.named_parameters())
            yield Problem(f"it has a parameter, `{name}`, which nothing trains", help="register it as a buffer")
        else:
            continue
        return


def is_a_number(trial: Trial) -> Iterator[Finding]:
    """A floating-point tensor without dimensions, whose gradient reaches the outputs."""
    for case in _cases(trial):
        loss = _loss(trial, case)
        for kind in (torch.float32, torch.bfloat16):
            outputs = case.good.detach().clone().to(kind).requires_grad_()
            value = loss(outputs, case.targets)
            said = f"of {case.task}, with outputs in {str(kind).removeprefix('torch.')}"
            if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
                shape = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
                help = "return the mean over the examples, a tensor without dimensions: `.mean()`"
                yield Problem(f"{said}, it returned a {type(value).__name__} {shape}".rstrip(), help=help)
                return
            if not math.isfinite(value.item()):
                help = f"compute in float32: `output.float()`, {_DECLARE}"
                yield Problem(f"{said}, it is {value.item()}", help=help)
                return
            value.backward()  # type: ignore[no-untyped-call]
            if outputs.grad is None or not outputs.grad.any():
                yield Problem(
                    f"{said}, no gradient reaches the outputs", help="use torch's operations, and no `.item()`"
                )
                return


def is_the_mean_over_the_examples(trial: Trial) -> Iterator[Finding]:
    """The loss of a batch is the mean of its examples' losses, however they are batched."""
    for case in _cases(trial):
        loss = _loss(trial, case)
        whole = loss(case.bad, case.targets)
        single = [loss(case.bad[i : i + 1], case.targets[i : i + 1]) for i in range(len(case.targets))]
        mean = torch.stack(single).mean()
        if not torch.allclose(whole, mean, rtol=1e-3, atol=1e-5):
            ratio = (whole / mean).item()
            much = f"{len(single)} times" if abs(ratio - len(single)) < 0.01 * len(single) else f"{ratio:.3g} times"
            help = "return the mean over the examples: `valid_loss` weights a batch's loss by its examples"
            yield Problem(f"of {case.task}, a batch's loss is {much} the mean of its examples' losses", help=help)
            return


def does_not_broadcast(trial: Trial) -> Iterator[Finding]:
    """Of numbers, outputs (B, 1) give the same as outputs (B,): targets are (B,)."""
    for case in _cases(trial):
        if case.task not in _NUMBERS:
            continue
        loss = _loss(trial, case)
        flat, wide = loss(case.bad, case.targets), loss(columns(case.bad), case.targets)
        if not torch.allclose(flat, wide, rtol=1e-4):
            help = "a head's outputs may be (B, 1): flatten both, or (B, 1) and (B,) broadcast to (B, B)"
            yield Problem(
                f"of {case.task}, it is {wide:.4g} for outputs (B, 1) and {flat:.4g} for the same as (B,)", help=help
            )
            return


def activates(trial: Trial) -> Iterator[Finding]:
    """`activate` gives probabilities, or numbers, in the outputs' shape, an example's from its own outputs alone."""
    for case in _cases(trial):
        loss = _loss(trial, case)
        found = loss.activate(case.bad)
        if not isinstance(found, Tensor) or found.shape != case.bad.shape:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            help = "return a prediction for each output, in the same shape"
            yield Problem(f"of {case.task}, `activate` made {shape} of outputs {tuple(case.bad.shape)}", help=help)
        elif case.task not in _NUMBERS and not ((found >= 0) & (found <= 1)).all():
            function = "softmax(-1)" if case.task == "classification" else "sigmoid()"
            help = f"`activate` maps logits to probabilities: `output.{function}`"
            yield Problem(f"of {case.task}, `activate` made numbers outside 0..1", help=help)
        elif not torch.allclose(loss.activate(case.bad[:1]), found[:1], atol=1e-5):
            yield Problem("an example's prediction depends on the rest of its batch", help="activate row by row")
        else:
            continue
        return


def leaves_its_input(trial: Trial) -> Iterator[Finding]:
    """Outputs and targets are as they were."""
    for case in _cases(trial):
        loss = _loss(trial, case)
        outputs, targets = case.bad.clone(), case.targets.clone()
        loss(outputs, targets)
        loss.activate(outputs)
        if not (torch.equal(outputs, case.bad) and torch.equal(targets, case.targets)):
            yield Problem(
                "it changes the outputs or targets that it is given", help="use no operation that ends in `_`"
            )
            return


LOSS: tuple[Check, ...] = (
    builds, is_a_number, is_the_mean_over_the_examples, does_not_broadcast, activates, leaves_its_input,
)  # fmt: skip


def _metric(trial: Trial, case: Case) -> Any:
    torch.manual_seed(0)
    return trial.use.build(case.facts)


def _activated(case: Case, outputs: Tensor) -> Tensor:
    return {"classification": outputs.softmax(-1), "multilabel": outputs.sigmoid()}.get(case.task, outputs)


def _value(trial: Trial, case: Case, outputs: Tensor, *sizes: int) -> Tensor:
    """The metric over outputs in batches of these sizes, the rest in the last."""
    metric = _metric(trial, case)
    metric.to(torch.device("cpu"))
    _update(metric, case, outputs, sizes)
    return _plain(metric.compute())


def _update(metric: Any, case: Case, outputs: Tensor, sizes: tuple[int, ...] = ()) -> None:
    split = [*sizes, len(outputs) - sum(sizes)]
    activated = _activated(case, outputs)
    for some, targets in zip(torch.split(activated, split), torch.split(case.targets, split), strict=True):
        metric.update(some, targets)


def _plain(value: Any) -> Tensor:
    return torch.as_tensor(value).detach().double()


def measures(trial: Trial) -> Iterator[Finding]:
    """`compute` returns a number, or a row of them, after `update`s; `reset` forgets."""
    if not _cases(trial):
        yield Skip(f"no data of the task {', '.join(trial.use.facts.tasks)} is at hand but the plugin's own")
        return
    for case in _cases(trial):
        metric = _metric(trial, case)
        if isinstance(metric, RankingMetric):
            return
        missing = [name for name in ("update", "compute", "reset", "to") if not callable(getattr(metric, name, None))]
        if missing:
            yield Problem(f"it has no method `{missing[0]}`", help="offer those of torchmetrics' Metric")
            return
        _update(metric, case, case.bad)
        value = metric.compute()
        if not isinstance(value, (int, float, Tensor)) or (isinstance(value, Tensor) and value.ndim > 1):
            help = "return a float, or a tensor that holds one"
            yield Problem(f"of {case.task}, `compute` returned a {type(value).__name__}", help=help)
            return
        metric.reset()
        _update(metric, case, case.good)
        if not torch.equal(_plain(metric.compute()), _value(trial, case, case.good)):
            yield Problem("`reset` does not forget what was taken in", help="start all sums and counts anew in it")
            return


def _plain_cases(trial: Trial) -> list[Case]:
    return [case for case in _cases(trial) if not isinstance(_metric(trial, case), RankingMetric)]


def does_not_depend_on_batches(trial: Trial) -> Iterator[Finding]:
    """The same examples in other batches give the same."""
    for case in _plain_cases(trial):
        one, other = _value(trial, case, case.bad), _value(trial, case, case.bad, 1, _FEW)
        if not torch.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True):
            help = (
                "add sums and counts in `update` and divide in `compute`: a mean of batches' means weights them alike"
            )
            yield Problem(f"of {case.task}, it is {one:.4g} in one batch and {other:.4g} in three", help=help)
            return


def a_metric_does_not_broadcast(trial: Trial) -> Iterator[Finding]:
    """Of numbers, outputs (B, 1) give the same as outputs (B,)."""
    for case in _plain_cases(trial):
        if case.task in _NUMBERS:
            flat, wide = _value(trial, case, case.bad), _value(trial, case, columns(case.bad))
            if not torch.allclose(flat, wide, rtol=1e-4, equal_nan=True):
                help = "a head's outputs may be (B, 1): flatten both, or (B, 1) and (B,) broadcast to (B, B)"
                yield Problem(f"of {case.task}, it is {wide:.4g} for outputs (B, 1) and {flat:.4g} as (B,)", help=help)
                return


def is_better_where_it_says(trial: Trial) -> Iterator[Finding]:
    """Good predictions have the better value, by `MetricFacts.better`."""
    better = trial.use.facts_as(MetricFacts).better
    if better is None:
        yield Skip("its facts do not say which values are better, so early_stopping and keep_best need their `mode`")
        return
    for case in _plain_cases(trial):
        good, bad = _value(trial, case, case.good), _value(trial, case, case.bad)
        if good.ndim == 0 and (good < bad if better == "higher" else good > bad):
            other = "lower" if better == "higher" else "higher"
            help = f'MetricFacts(better="{other}"), or look at its sign: keep_best would keep the worst epoch'
            yield Problem(
                f"it is {good:.4g} for good predictions and {bad:.4g} for bad ones, and {better} is better", help=help
            )
            return


def leaves_predictions(trial: Trial) -> Iterator[Finding]:
    """Outputs and targets are as they were: the next metric gets the same ones."""
    for case in _plain_cases(trial):
        outputs, targets = _activated(case, case.bad), case.targets.clone()
        kept = outputs.clone()
        _metric(trial, case).update(outputs, targets)
        if not (torch.equal(outputs, kept) and torch.equal(targets, case.targets)):
            yield Problem("`update` changes what it is given", help="use no operation that ends in `_`")
            return


METRIC: tuple[Check, ...] = (
    measures, does_not_depend_on_batches, a_metric_does_not_broadcast, is_better_where_it_says, leaves_predictions,
)  # fmt: skip
