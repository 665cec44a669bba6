"""Report components' input, a finished run's network and its outputs on the validation set, and their sections."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial

import torch
from torch import Tensor, nn

from dotexp.components.component import Use
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, machine
from dotexp.engine.build.network import Network, restore_network
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import UsageError
from dotexp.planning.inference import Inference
from dotexp.reporting import RenderedSection, SectionRenderer
from dotexp.runs.folder import RunFolder
from dotexp.sdk.data import Augmentable, Data, Part
from dotexp.sdk.report import Section, Subject
from dotexp.sdk.seeds import Draw, derive

FEW = 20_000
"""Examples up to which losses are computed one at a time; vmap is quicker for more, and takes seconds to set up."""


def report_sections(
    inference: Inference,
    run: RunFolder,
    store: DataStore,
    renderer: SectionRenderer,
    origins: Mapping[str, str],
    device: Device | None = None,
) -> tuple[list[RenderedSection], list[str]]:
    """Render the sections that an experiment's `report` statement names; also return a sentence for each failure.

    `origins` are the plugins' distributions and versions by the plugins' names. A component that raises is named in its
    section's place, and the others are rendered. Raises UsageError where there is no subject to look at.
    """
    rendered: list[RenderedSection] = []
    problems: list[str] = []
    with machine(inference.runtime, device) as chosen:
        subject = make_subject(inference, run, store, chosen)
        for place, use in enumerate(inference.reports):
            torch.manual_seed(derive(inference.seed, "report", place))
            sections, reason = renderer.render_or_explain(use.name.replace("_", " "), partial(_sections, use, subject))
            rendered += sections
            if reason is not None:
                problems.append(f"report `{use.name}` of {origins.get(use.component.provider, 'a plugin')}: {reason}")
    return rendered, problems


def make_subject(inference: Inference, run: RunFolder, store: DataStore, device: torch.device) -> Subject:
    """Compute what reports look at; the network computes on `device` and is left on the CPU.

    Raises UsageError where the run has no model, its data no validation part, or other classes or ids than it had.
    """
    if not run.model.exists():
        raise UsageError(f"{run.path} has no model to report on: the run is {run.status}")
    facts = run.read_facts()
    data = store.get(inference.data, inference.seed)
    if json.loads(json.dumps(dict(data.facts.vocabulary))) != facts.vocabulary:
        raise UsageError(f"the data has other classes or ids than {run.path} was trained on")
    part = _valid_part(data)
    network = restore_network(inference.model, facts, run.model).eval()
    loss: nn.Module = inference.loss.build(facts)
    activate: Callable[[Tensor], Tensor] = loss.activate  # type: ignore[assignment]
    batch_size = inference.batch_size
    forward = partial(_forward, inference, network, batch_size=batch_size, device=device)
    raw, targets = forward(part, None)

    @cache
    def losses() -> Tensor:
        return example_losses(loss, raw, targets)

    def augmented(draw: Draw) -> Tensor:
        return activate(forward(part, draw)[0]).float()

    return Subject(
        inference.metrics, inference.model, facts, network, part, activate(raw).float(), targets, losses, activate,
        batch_size, inference.seed, augmented if isinstance(part, Augmentable) and part.augmentable else None,
        data.part("train"), run.path, run.read_epochs(),
    )  # fmt: skip


@torch.no_grad()
def example_losses(loss: nn.Module, outputs: Tensor, targets: Tensor) -> Tensor:
    """Each example's own loss, (N,) float32: the loss of a batch of one. Outputs are the network's, not activated."""
    if len(targets) > FEW:
        try:
            every: Tensor = torch.vmap(lambda o, t: loss(o[None], t[None]), chunk_size=FEW)(outputs, targets)
            return every.float()
        except (RuntimeError, NotImplementedError):  # a loss that vmap does not know how to batch
            pass
    one_by_one = [loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(len(targets))]
    return torch.stack(one_by_one).float()


@torch.no_grad()
def _forward(
    inference: Inference, network: Network, part: Part, draw: Draw | None, batch_size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Outputs over a part, float32, and its targets, on the CPU and in the part's order."""
    cast = autocast(device, inference.runtime.precision)
    outputs, targets = [], []
    network.to(device)
    try:
        for batch in part.batches(torch.arange(len(part)), batch_size, draw, device, inference.runtime.workers):
            with cast():
                outputs.append(network(*batch.inputs).float().cpu())
            targets.append(batch.targets.cpu())
    finally:
        network.cpu()
    return torch.cat(outputs), torch.cat(targets)


def _sections(use: Use, subject: Subject) -> list[Section]:
    sections: list[Section] = list(use.build()(subject))
    return sections


def _valid_part(data: Data) -> Part:
    try:
        part = data.part("valid")
    except KeyError as error:
        raise UsageError("the data has no validation part to report on") from error
    if len(part) == 0:
        raise UsageError("the validation part has no examples to report on")
    return part
