"""What a planner needs to know that only torch can tell: the data's facts, and the layers' sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

import torch
from torch import nn

from dotexp.components.bases import BodyParams
from dotexp.components.builders import Body
from dotexp.components.calls import PluginError
from dotexp.components.component import Use
from dotexp.components.facts import DataFacts
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import planned_device
from dotexp.engine.build.network import Network, build_network, require_run_fits, run_weights, without_weights
from dotexp.engine.build.overlaps import find_overlaps
from dotexp.engine.build.try_builders import builder_faults
from dotexp.engine.training.freezing import BATCHNORMS, NORMS, training_mode
from dotexp.engine.training.guard import optimizer_skips
from dotexp.experiment.experiment import Device, Model, Runtime, Stage, Unfreeze, frozen_layers
from dotexp.language.diagnostics import ComponentError, UsageError
from dotexp.planning.overlaps import Overlap
from dotexp.planning.plan import LayerCount, Plan
from dotexp.planning.rewrites.facts import StageFacts
from dotexp.runs.folder import DEFAULT_ROOT, open_run
from dotexp.sdk.data import TensorPart
from dotexp.sdk.weights import inspect_weights


class LookAt(Enum):
    """What of the weights that a body starts from is looked at: nothing, their files' headers, or all their values."""

    nothing = "nothing"
    headers = "headers"
    values = "values"


class Probe:
    """Looks at data and models for a planner; what it opens stays in `store`, for the run that may follow.

    `device` stands before the one that the spec says; `weights` says whether the weights that a body starts from are
    looked at.
    """

    def __init__(
        self,
        runs: Path = DEFAULT_ROOT,
        store: DataStore | None = None,
        device: Device | None = None,
        weights: LookAt = LookAt.nothing,
        builders: bool = False,
    ) -> None:
        self.store = store or DataStore()
        self._runs = runs
        self._device = device
        self._weights = weights
        self._builders = builders or weights is not LookAt.nothing
        self._network: Network | None = None

    def data_facts(self, use: Use, seed: int) -> DataFacts:
        """Open the data and return its facts. Raises ComponentError where it cannot be used."""
        return self.store.get(use, seed).facts

    def stage_facts(self, stage: Stage, runtime: Runtime, seed: int) -> StageFacts:
        """Find out what rewrites depend on: the device, how the data is held, what the optimizer's kernels can do."""
        device = planned_device(self._device or runtime.device)
        part = self.store.get(stage.data, seed).part("train")
        skips = device is Device.cuda and optimizer_skips(stage.optimizer)
        return StageFacts(device, runtime.precision, isinstance(part, TensorPart), skips)

    def refuses_one(self, stage: Stage, model: Model, facts: DataFacts, seed: int) -> str | None:
        """Name the module whose batch norm cannot train on a batch of one example in a stage; None where all can.

        The model is tried on the meta device where it can be built there; a model that fails otherwise is not judged.
        """
        network = _build(without_weights(model), facts)
        device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
        kept = None if isinstance(stage.freeze, Unfreeze) else stage.freeze.kept
        training_mode(network, frozen_layers(stage.freeze, model.layers, model.groups), kept)
        part = self.store.get(stage.data, seed).part("train")
        entered: list[str] = []
        for name, module in network.named_modules():
            if isinstance(module, BATCHNORMS):
                module.register_forward_pre_hook(lambda _module, _inputs, name=name: entered.append(name))
        try:
            batch = next(iter(part.batches(torch.arange(1), 1, None, torch.device("cpu"))))
            network(*(tensor.to(device) for tensor in batch.inputs))
        except ValueError as error:
            return entered[-1] if entered and "more than 1 value per channel" in str(error) else None
        except Exception:  # a model that the meta device does not know fails in other ways, and so may its training
            return None
        return None

    def overlaps(self, stages: Sequence[Stage], seed: int) -> Sequence[Overlap]:
        """Find examples that one stage trains on and another holds out; the stages' data has been opened."""
        return list(find_overlaps({stage.name: self.store.get(stage.data, seed) for stage in stages}))

    def run_folder(self, run: str) -> Path:
        """Find the folder of the run that `weights = run("…")` names. Raises UsageError where it has no weights.

        Where weights are not looked at, a folder is taken as it is: a run of it has all its weights, whatever has
        become of the run that it started from.
        """
        if self._weights is LookAt.nothing and Path(run).is_absolute():
            return Path(run)
        folder = open_run(run, self._runs)
        if not folder.model.is_file():
            raise UsageError(f"{folder.path} has no model.safetensors to start from: the run is {folder.status}")
        return folder.path.resolve()

    def missing_weights(self, model: Model) -> Sequence[str]:
        """Hold the weights that the body starts from against it; return the published ones that are to be downloaded.

        Raises ComponentError (E405) where they are missing or do not fit.
        """
        body = model.body
        given = body.params.weights if body is not None and isinstance(body.params, BodyParams) else None
        if body is None or given is None or self._weights is LookAt.nothing:
            return ()
        source = run_weights(body.params)
        if source is not None:  # the engine loads a run's or a bundle's weights, not the body's builder
            body = without_weights(model).body or body
        with inspect_weights(self._weights is LookAt.values) as found:
            try:
                with torch.device("meta"):
                    built: Body = body.build()
            except PluginError:  # some models read their own tensors while being built
                found.missing.clear()
                built = body.build()
        if source is not None:
            require_run_fits(built, Path(source.run))
        return found.missing

    def layer_counts(self, model: Model, facts: DataFacts) -> tuple[LayerCount, ...]:
        """Count each layer's parameters, on the meta device where the model can be built there.

        No pretrained weights are opened. A parameter that several layers share counts in the first.
        """
        network = self._network = _build(without_weights(model), facts)
        seen: set[int] = set()
        return tuple(_count(name, layer, seen) for name, layer in network.layers.items())

    def builder_faults(self, plan: Plan) -> Iterator[tuple[Use, ComponentError]]:
        """Call the builders of what trains, measures and reports, and yield what they refuse or do wrong."""
        network, self._network = self._network, None
        if self._builders and network is not None:
            yield from builder_faults(plan, network)


def _build(model: Model, facts: DataFacts) -> Network:
    try:
        with torch.device("meta"):
            return build_network(model, facts, seed=0)
    except Exception:  # some models read their own tensors while being built; a true fault comes again here
        return build_network(model, facts, seed=0)


def _count(name: str, layer: nn.Module, seen: set[int]) -> LayerCount:
    total = batchnorm = norm = tables = width = 0
    for module in layer.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            total += parameter.numel()
            batchnorm += parameter.numel() * isinstance(module, BATCHNORMS)
            norm += parameter.numel() * isinstance(module, NORMS)
            if isinstance(module, nn.Embedding | nn.EmbeddingBag):
                tables += parameter.numel()
                width += parameter.shape[-1]
    return LayerCount(name, total, batchnorm, norm, tables, width)
