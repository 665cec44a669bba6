"""State as tensors and JSON: what networks and optimizers remember, taken apart and put together again, exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer

from dotexp.language.diagnostics import RunError

Tensors = dict[str, Tensor]


def pack(value: Any, tensors: Tensors, name: str) -> Any:
    """Take a value apart: tensors go into `tensors` under names that begin with `name`, the rest becomes JSON.

    Understands tensors, numbers, text, None, lists, tuples and maps of these. Raises RunError for anything else.
    """
    match value:
        case Tensor():
            kept = _unused(name, tensors)
            tensors[kept] = value
            return {"tensor": kept}
        case float() if not math.isfinite(value):
            return {"float": repr(float(value))}
        case None | bool() | int() | float() | str():
            return value
        case tuple():
            return {"tuple": [pack(item, tensors, f"{name}/{i}") for i, item in enumerate(value)]}
        case list():
            return [pack(item, tensors, f"{name}/{i}") for i, item in enumerate(value)]
        case Mapping():
            return {"map": [[_key(key, name), pack(item, tensors, f"{name}/{key}")] for key, item in value.items()]}
    raise RunError(f"{name} holds a {type(value).__name__}, which a checkpoint cannot keep")


def _unused(name: str, tensors: Mapping[str, Tensor]) -> str:
    """A name that no tensor has yet: keys may hold `/`, or differ in their type alone."""
    number, found = 1, name
    while found in tensors:
        number += 1
        found = f"{name}~{number}"
    return found


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Put together what `pack` took apart."""
    if isinstance(packed, list):
        return [unpack(item, tensors) for item in packed]
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "float":
            return float(content)
        case "tuple":
            return tuple(unpack(item, tensors) for item in content)
    return {key: unpack(item, tensors) for key, item in content}


def snapshot(tensors: Mapping[str, Tensor]) -> Tensors:
    """Copy tensors to the CPU, so that training may go on and change them."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Write tensors of the CPU as safetensors."""
    data: bytes = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    return data


def from_bytes(data: bytes) -> Tensors:
    """Read what `to_bytes` wrote, into memory laid out as torch's own."""
    return {name: tensor.clone() for name, tensor in load(data).items()}


def restore_optimizer(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Give an optimizer the state that one of the same kind had.

    Raises RunError unless it then is the same, bit for bit: some cast what they load.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    groups = list(optimizer.param_groups)
    try:
        optimizer.load_state_dict(dict(state))
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise RunError(f"the optimizer does not take the state that it had: {error}") from error
    for group, loaded in zip(groups, optimizer.param_groups, strict=True):  # others hold on to the groups that were
        group.update(loaded)
    optimizer.param_groups[:] = groups
    for parameter in parameters:  # a tensor like the parameter is laid out like it, as the optimizer's own are
        for key, value in optimizer.state[parameter].items() if parameter in optimizer.state else ():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                optimizer.state[parameter][key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    if not _same(optimizer.state_dict(), state):
        raise RunError(f"a {type(optimizer).__name__} cannot be given back the state that it had, exactly")


def _key(key: object, name: str) -> str | int:
    if isinstance(key, (str, int)) and not isinstance(key, bool):
        return key
    raise RunError(f"{name} has the key {key!r}, which a checkpoint cannot keep")


def _same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    one: Tensors = {}
    other: Tensors = {}
    if pack(first, one, "") != pack(second, other, ""):
        return False
    return all(one[n].dtype == other[n].dtype and torch.equal(one[n].cpu(), other[n].cpu()) for n in one)
