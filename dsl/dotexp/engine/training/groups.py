"""Parameter groups: which parameters an optimizer gets, with which learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn import Parameter

from dotexp.components.bases import OptimizerParams
from dotexp.components.component import Use
from dotexp.engine.build.network import Network
from dotexp.engine.training.freezing import NORMS
from dotexp.planning.plan import StagePlan

BIASES = frozenset({"bias", "in_proj_bias"})
"""Names of bias parameters; an embedding's table of biases is a weight, and decayed."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with one learning rate and one decay; `owner` is their learning-rate group's place in the stage."""

    owner: int
    name: str
    parameters: tuple[Parameter, ...]
    weight_decay: float

    def as_torch(self, lr: float) -> dict[str, Any]:
        """The dictionary that an optimizer's builder gets."""
        return {"params": list(self.parameters), "lr": lr, "weight_decay": self.weight_decay, "name": self.name}


def parameter_groups(network: Network, stage: StagePlan) -> tuple[ParameterGroup, ...]:
    """Split what trains into groups: by learning-rate group, and in each into decayed and undecayed.

    The optimizer's `wd` is the decay; norm parameters and biases have none unless its `wd_norm_bias` says so. Groups
    without parameters are left out; a parameter that two layers share goes with the first.
    """
    wd, everything = _decay(stage.optimizer)
    seen: set[int] = set()
    groups: list[ParameterGroup] = []
    for owner, group in enumerate(stage.groups):
        split: dict[bool, list[Parameter]] = {True: [], False: []}
        for layer in group.layers:
            for parameter, plain in _parameters(network.layers[layer]):
                if parameter.requires_grad and id(parameter) not in seen:
                    seen.add(id(parameter))
                    split[everything or plain].append(parameter)
        groups += [
            ParameterGroup(owner, _group_name(group.name, decayed), tuple(parameters), wd if decayed else 0.0)
            for decayed, parameters in split.items()
            if parameters
        ]
    return tuple(groups)


def _group_name(group: str, decayed: bool) -> str:
    """Name a parameter group: two of one learning-rate group differ, and no layer group's name holds a dot."""
    return group if decayed else f"{group}.undecayed"


def sparse_tables(network: Network, rows: bool) -> None:
    """Have embedding tables give sparse gradients, of the rows that a batch has touched, or dense ones."""
    for module in network.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = rows


def _parameters(layer: nn.Module) -> Iterator[tuple[Parameter, bool]]:
    for module in layer.modules():
        norm = isinstance(module, NORMS)
        for name, parameter in module.named_parameters(recurse=False):
            yield parameter, not norm and name not in BIASES


def _decay(optimizer: Use) -> tuple[float, bool]:
    params = optimizer.params
    return (params.wd, params.wd_norm_bias) if isinstance(params, OptimizerParams) else (0.0, False)
