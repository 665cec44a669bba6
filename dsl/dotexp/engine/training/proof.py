"""Proof of freezing: at a stage's end, what was frozen is as it was, bit for bit, and what was to train has moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

import torch
from torch import Tensor

from dotexp.engine.build.network import Network
from dotexp.engine.training.freezing import frozen_tensors
from dotexp.planning.plan import StagePlan
from dotexp.runs.freeze_proof import Freezing
from dotexp.runs.results import skipped_text

_SHOWN = 5
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class _Trained:
    group: str
    layer: str
    tensor: Tensor


class Proof:
    """Digests of what a network holds when a stage starts, to be held against what it holds at the stage's end.

    Made once the stage's freeze state is in force. `start` has a digest for every tensor of the state that is frozen
    or trained, by name; a stage that is gone on with in the middle is given the one that it started with. Buffers
    that are no part of the state (`persistent=False`) are caches, and left out.
    """

    def __init__(self, network: Network, stage: StagePlan, start: Mapping[str, str] = _NOTHING) -> None:
        names = _names(network)
        frozen = frozen_tensors(network, stage.frozen, stage.kept)
        self._frozen = {names[id(tensor)]: tensor for tensor in frozen if id(tensor) in names}
        self._trained = {names[id(each.tensor)]: each for each in _trained(network, stage) if id(each.tensor) in names}
        self.start: Mapping[str, str] = {
            name: start[name] if name in start else digest(tensor) for name, tensor in self._tensors()
        }

    def result(self) -> Freezing:
        """Hold the network as it is now against the start."""
        now, start = {name: digest(tensor) for name, tensor in self._tensors()}, self.start
        moved = [each for name, each in self._trained.items() if now[name] != start[name]]
        layers, groups = {each.layer for each in moved}, {each.group for each in moved}
        return Freezing(
            frozen_tensors=len(self._frozen),
            before=_fingerprint(start, self._frozen),
            after=_fingerprint(now, self._frozen),
            changed=tuple(name for name in self._frozen if now[name] != start[name]),
            trained_tensors=len(self._trained),
            still=tuple(name for name in self._trained if now[name] == start[name]),
            still_layers=_others((each.layer for each in self._trained.values()), layers),
            still_groups=_others((each.group for each in self._trained.values()), groups),
        )

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from self._frozen.items()
        yield from ((name, each.tensor) for name, each in self._trained.items())


def digest(tensor: Tensor) -> str:
    """SHA-256, in hex, of a tensor's kind of number, shape and bytes."""
    found = sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def fault(freezing: Freezing, stage: StagePlan, steps: int, skipped: int) -> str | None:
    """Say what a stage did that it should not have, or left undone; None where all is as planned.

    Of the `steps` taken `skipped` moved nothing, since their gradients overflowed.
    """
    found = []
    if freezing.changed:
        found.append(
            f"frozen tensors changed: {_listed(freezing.changed)}; a model's forward pass, an optimizer or a callback"
            " changes what it should leave alone, or a trained tensor shares their memory"
        )
    rates = {group: max(rates, default=0.0) for group, rates in _rates(stage)}
    for group in freezing.still_groups:
        if rates.get(group):
            found.append(f"nothing of group `{group}` has moved{_reason(rates[group], steps, skipped)}")
    return f"stage `{stage.name}` is not what it says: {'. And '.join(found)}" if found else None


def _reason(rate: float, steps: int, skipped: int) -> str:
    """Say why a group may not have moved, the likelier cause first: skipped steps, or its gradient and rate."""
    if 2 * skipped >= steps:
        others = "" if skipped == steps else ", and the others gave it no gradient, or one too small"
        return (
            f": {skipped_text(skipped, steps)}{others}; take precision = bf16 or f32, or more steps, in which the loss"
            " scale comes down"
        )
    more = f". {skipped_text(skipped, steps)}" if skipped else ""
    return (
        f", with learning rates up to {rate:.3g}: it got no gradient, or one too small; freeze it, raise its rate, or"
        f" look for what keeps gradients from it{more}"
    )


def _rates(stage: StagePlan) -> Iterator[tuple[str, tuple[float, ...]]]:
    for group, rates in zip(stage.groups, stage.rates, strict=True):
        if rates is not None:
            yield group.name, rates


def _names(network: Network) -> dict[int, str]:
    """Names of the state's tensors by identity; what goes by two names has the first."""
    names: dict[int, str] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), name)
    return names


def _trained(network: Network, stage: StagePlan) -> Iterator[_Trained]:
    seen: set[int] = set()
    for group in stage.groups:
        for layer in group.layers:
            for parameter in network.layers[layer].parameters():
                if parameter.requires_grad and id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield _Trained(group.name, layer, parameter)


def _fingerprint(digests: Mapping[str, str], names: Iterable[str]) -> str | None:
    lines = "".join(f"{name} {digests[name]}\n" for name in sorted(names))
    return sha256(lines.encode()).hexdigest() if lines else None


def _others(names: Iterable[str], moved: set[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name not in moved))


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
