"""Adam, and a sparse form of it for embedding tables. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from dotexp_optimizers.param_groups import Groups, evaluate, fused, torch_groups
from dotexp_optimizers.params import AdamParams, Decay


class RowAdam(Adam):
    """Adam whose step updates only the rows of an embedding table that have a gradient; other parameters: torch's Adam.

    A row without a gradient is unchanged, and so are its two averages: no decay, no momentum. A row with one gets dense
    Adam's step from its own averages; their bias correction counts the steps of the whole table, as in torch's
    SparseAdam.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step."""
        loss = evaluate(closure)
        bad = getattr(self, "found_inf", None)  # a step that torch's fused kernels are told to skip
        if bad is not None and bad.item():
            return loss
        sparse: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    sparse.append((parameter, parameter.grad))
                    self._step_rows(parameter, group)
                    parameter.grad = None
        super().step()
        for parameter, gradient in sparse:
            parameter.grad = gradient
        return loss

    def _step_rows(self, table: Tensor, group: dict[str, Any]) -> None:
        gradient = table.grad
        assert gradient is not None
        gradient = gradient.coalesce()
        rows, slopes = gradient.indices()[0], gradient.values()
        state = self._state_of(table)
        state["step"] += 1
        steps = int(state["step"])
        (beta, beta_square), lr, decay = group["betas"], group["lr"], group["weight_decay"]
        weights = table.index_select(0, rows)
        if decay and group["decoupled_weight_decay"]:
            weights.mul_(1 - lr * decay)
        elif decay:
            slopes = slopes.add(weights, alpha=decay)
        average = state["exp_avg"].index_select(0, rows).lerp_(slopes, 1 - beta)
        square = state["exp_avg_sq"].index_select(0, rows).mul_(beta_square)
        square.addcmul_(slopes, slopes, value=1 - beta_square)
        root = square.sqrt().div_((1 - beta_square**steps) ** 0.5).add_(group["eps"])
        weights.addcdiv_(average, root, value=-lr / (1 - beta**steps))
        table.index_copy_(0, rows, weights)
        state["exp_avg"].index_copy_(0, rows, average)
        state["exp_avg_sq"].index_copy_(0, rows, square)

    def _state_of(self, table: Tensor) -> dict[str, Any]:
        """Return a table's state, with the names and types of torch's Adam, which saves and restores it."""
        state: dict[str, Any] = self.state[table]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        return state


def adam(params: AdamParams, groups: Groups) -> Optimizer:
    """Build Adam; with decoupled decay it is AdamW."""
    kind = Adam if params.sparse is None else RowAdam
    return kind(
        torch_groups(params.decay, groups),
        betas=params.betas,
        eps=params.eps,
        decoupled_weight_decay=params.decay is Decay.decoupled,
        fused=fused(groups),
    )
