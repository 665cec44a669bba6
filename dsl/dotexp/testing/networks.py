"""Checks of bodies, heads and whole models, each within a network that the engine builds. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from dotexp.components.component import Use
from dotexp.components.facts import DataFacts
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.network import Network, build_network, network_from, prepare_network
from dotexp.engine.state.state import from_bytes, snapshot, to_bytes
from dotexp.engine.training.freezing import freeze, frozen_tensors, training_mode
from dotexp.experiment.experiment import Model
from dotexp.language.diagnostics import Problem
from dotexp.sdk.data import Batch, Data
from dotexp.testing.trial import Check, Finding, Trial

_SEED = 1
_BATCH = 6
_STEP = 0.1


class _Case:
    """The network of a plan, and a batch of its data."""

    def __init__(self, trial: Trial) -> None:
        plan = trial.bench.plan(trial.use)
        self.model: Model = plan.model
        self.facts: DataFacts = plan.facts
        self.loss: Use = plan.stages[-1].loss
        self.data: Data = DataStore().get(plan.data, plan.seed)

    def network(self) -> Network:
        """Build the network."""
        network = build_network(self.model, self.facts, _SEED)
        prepare_network(network, self.data.part("train"))
        return network

    def batch(self, size: int = _BATCH) -> Batch:
        """A batch of the training part."""
        part = self.data.part("train")
        order = torch.arange(min(size, len(part)))
        return next(iter(part.batches(order, size, None, torch.device("cpu"))))


def _outputs(network: Network, inputs: tuple[Tensor, ...]) -> Tensor:
    network.eval()
    with torch.no_grad():
        outputs: Tensor = network(*(tensor.clone() for tensor in inputs))
    return outputs


def builds(trial: Trial) -> Iterator[Finding]:
    """A network whose layers are those that the facts publish, which maps a batch to (B, outputs), or (B,)."""
    case = _Case(trial)
    network, batch = case.network(), case.batch()
    found = _outputs(network, batch.inputs)
    wanted = [(len(batch.targets), case.facts.outputs), *([(len(batch.targets),)] if case.facts.outputs == 1 else [])]
    if tuple(found.shape) not in wanted:
        help = f"the data has {case.facts.outputs} outputs: return (B, {case.facts.outputs})"
        yield Problem(f"a batch of {len(batch.targets)} gives outputs of shape {tuple(found.shape)}", help=help)
    elif not found.isfinite().all():
        yield Problem("a batch of finite numbers gives outputs that are not", help="look at its initial weights")


def is_deterministic(trial: Trial) -> Iterator[Finding]:
    """The same seed gives the same weights, and the same batch the same outputs, in evaluation mode."""
    case = _Case(trial)
    one, other = case.network(), case.network()
    states = one.state_dict(), other.state_dict()
    changed = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    if changed:
        help = "draw initial weights from torch's generators, which are seeded, and keep nothing in the module"
        yield Problem(f"`{changed[0]}` differs between two networks of one seed", help=help)
        return
    batch = case.batch()
    if not torch.equal(_outputs(one, batch.inputs), _outputs(one, batch.inputs)):
        help = "draw nothing while `self.training` is false, and change no buffer then"
        yield Problem("the same batch has other outputs the second time, in evaluation mode", help=help)


def examples_are_independent(trial: Trial) -> Iterator[Finding]:
    """In evaluation mode an example's output does not depend on the rest of its batch."""
    case = _Case(trial)
    network, batch = case.network(), case.batch()
    whole = _outputs(network, batch.inputs)
    single = _outputs(network, tuple(tensor[:1] for tensor in batch.inputs))
    if whole[:1].shape != single.shape or not torch.allclose(whole[:1], single, rtol=1e-3, atol=1e-4):
        help = "use no statistics of the batch in evaluation mode, and no `squeeze()` that drops a batch of one"
        yield Problem("an example alone has another output than in a batch", help=help)


def leaves_its_input(trial: Trial) -> Iterator[Finding]:
    """The batch is as it was."""
    case = _Case(trial)
    network, batch = case.network(), case.batch()
    given = [tensor.clone() for tensor in batch.inputs]
    network.eval()
    with torch.no_grad():
        network(*given)
    if not all(map(torch.equal, given, batch.inputs)):
        yield Problem("it changes the inputs that it is given", help="use no operation that ends in `_` on them")


def freezes_by_layer(trial: Trial) -> Iterator[Finding]:
    """With one layer trained, that layer moves and no other changes, buffers included."""
    case = _Case(trial)
    network, batch = case.network(), case.batch()
    loss = case.loss.build(case.facts)
    for layer in network.layers:
        if not any(True for _ in network.layers[layer].parameters()):
            continue
        frozen = set(network.layers) - {layer}
        freeze(network, frozen, None)
        training_mode(network, frozen, None)
        held = list(frozen_tensors(network, frozen, None))
        before = [tensor.detach().clone() for tensor in held]
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        start = [parameter.detach().clone() for parameter in trained]
        torch.manual_seed(_SEED)
        value = loss(network(*batch.inputs), batch.targets)
        if value.requires_grad:
            value.backward()
        with torch.no_grad():
            for parameter in trained:
                if parameter.grad is not None:
                    parameter.sub_(
                        parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad, alpha=_STEP
                    )
        if not all(map(torch.equal, before, held)):
            help = "change buffers only while the layer that has them is in training mode (`self.training`)"
            yield Problem(f"with only `{layer}` training, a tensor of a frozen layer changes", help=help)
            return
        if trained and all(map(torch.equal, start, trained)):
            help = "let it take part in `forward`, without `detach`; what never trains belongs into buffers"
            yield Problem(f"with only `{layer}` training nothing of it moves: no gradient reaches it", help=help)
            return


def saves_and_loads(trial: Trial) -> Iterator[Finding]:
    """Weights saved and loaded into a new network give the same outputs."""
    case = _Case(trial)
    network, batch = case.network(), case.batch()
    network.train()
    torch.manual_seed(_SEED)
    network(*batch.inputs)  # buffers such as batch norm's statistics are no longer what they start as
    tensors = from_bytes(to_bytes(snapshot(network.state_dict())))
    loaded = network_from(case.model, case.facts, tensors, Path("model.safetensors"))
    if not torch.equal(_outputs(network, batch.inputs), _outputs(loaded, batch.inputs)):
        help = "keep what its outputs depend on in parameters and buffers (`register_buffer`): a run saves only those"
        yield Problem("saved and loaded it gives other outputs", help=help)


NETWORK: tuple[Check, ...] = (
    builds, is_deterministic, examples_are_independent, leaves_its_input, freezes_by_layer, saves_and_loads,
)  # fmt: skip
