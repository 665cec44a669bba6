"""The network that a run trains: built reproducibly, its layers by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from dotexp.components.bases import BodyParams, RunWeights
from dotexp.components.builders import Body
from dotexp.components.component import Use
from dotexp.components.facts import DataFacts
from dotexp.components.params import Params
from dotexp.engine.build.weights import load_weights, require_fit
from dotexp.experiment.experiment import Model
from dotexp.language.diagnostics import ComponentError, RunError, UsageError
from dotexp.runs.bundle_files import is_bundle, require_sound
from dotexp.runs.folder import RunFolder
from dotexp.sdk.data import Part, Prepared
from dotexp.sdk.seeds import derive

HEAD = "head"


class Normalize(nn.Module):
    """Subtract a mean and divide by a deviation, one a channel: images (N, C, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1))
        self.register_buffer("std", std.reshape(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise a batch."""
        return (images - self.mean) / self.std


class Network(nn.Module):
    """A model with its layers by name, in order; every parameter is in a layer."""

    layers: dict[str, nn.Module]


class BodyAndHead(Network):
    """Normalisation, body and head: images (N, 3, H, W) to outputs. State names: `normalize.*`, `body.*`, `head.*`."""

    def __init__(self, body: Body, head: nn.Module) -> None:
        super().__init__()
        self.normalize: nn.Module = nn.Identity()
        if body.mean is not None and body.std is not None:
            self.normalize = Normalize(torch.tensor(body.mean), torch.tensor(body.std))
        self.body = body.module
        self.head = head
        self.layers = {**body.layers, HEAD: head}

    def forward(self, images: Tensor) -> Tensor:
        """Outputs before the loss's activation."""
        output: Tensor = self.head(self.body(self.normalize(images)))
        return output


class WholeModel(Network):
    """A model in one piece. State names: `model.*`; its layers are its submodules of those names."""

    def __init__(self, model: nn.Module, layers: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        only = len(layers) == 1 and layers[0] not in dict(model.named_children())
        self.layers = {name: model if only else model.get_submodule(name) for name in layers}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs before the loss's activation."""
        output: Tensor = self.model(*inputs)
        return output


def build_network(model: Model, facts: DataFacts, seed: int) -> Network:
    """Build the network on the CPU, or on the default device in force, with initial weights that are f(seed).

    Where the body's weights are a run's or a bundle's, they are loaded into it, the normalisation along. The caller's
    random numbers are left as they were. Raises ComponentError E405 for weights that do not fit.
    """
    source = run_weights(model.body.params) if model.body is not None else None
    network = _build(model if source is None else without_weights(model), facts, seed)
    _require_layers(network, model.layers)
    if source is not None and isinstance(network, BodyAndHead):
        _load_body(network, _sound_model(Path(source.run)))
    return network


def prepare_network(network: Network, train: Part) -> None:
    """Let a model that asks for it look at the training part; the network must be on the CPU."""
    for module in network.children():
        if isinstance(module, Prepared):
            module.prepare(train)


def restore_network(model: Model, facts: DataFacts, path: Path) -> Network:
    """Build the network and fill it with the weights of a run. Raises ComponentError E405 where they do not fit."""
    return network_from(model, facts, load_weights(path), path)


def network_from(model: Model, facts: DataFacts, tensors: Mapping[str, Tensor], source: Path) -> Network:
    """Build the network and fill it with `tensors`, which are from `source`; no pretrained weights are opened.

    Raises ComponentError E405 where they do not fit.
    """
    network = build_network(without_weights(model), facts, seed=0)
    if isinstance(network, BodyAndHead):
        _set_normalisation(network, tensors)
    require_fit(tensors, network.state_dict(), source)
    network.load_state_dict(tensors)
    return network


def without_weights(model: Model) -> Model:
    """Replace a body's pretrained weights by none, so that building it opens and downloads nothing."""
    body = model.body
    if body is None or not isinstance(body.params, BodyParams) or body.params.weights is None:
        return model
    bare = body.replace(params=body.params.model_copy(update={"weights": None}))
    return model.replace(body=bare)


def run_weights(params: Params) -> RunWeights | None:
    """Which run or bundle a body's weights come from, `run("…")` or its folder; None where they come from elsewhere."""
    weights = params.weights if isinstance(params, BodyParams) else None
    if isinstance(weights, Path) and RunFolder(weights).resolved.is_file():
        return RunWeights(run=str(weights))
    return weights.params if isinstance(weights, Use) and isinstance(weights.params, RunWeights) else None


@contextmanager
def _random(seed: int, part: str) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, "init", part))
        yield


def _build(model: Model, facts: DataFacts, seed: int) -> Network:
    if model.whole is not None:
        with _random(seed, "model"):
            return WholeModel(model.whole.build(facts), model.layers)
    if model.body is None or model.head is None:
        raise RunError("the plan's model is neither whole nor a body with a head")
    with _random(seed, "body"):
        body: Body = model.body.build()
    with _random(seed, HEAD):
        head: nn.Module = model.head.build(body.features, facts.outputs)
    return BodyAndHead(body, head)


def _require_layers(network: Network, planned: tuple[str, ...]) -> None:
    if tuple(network.layers) != planned:
        raise RunError(f"the model's layers are {', '.join(network.layers)}; planned were {', '.join(planned)}")
    held = {id(parameter) for layer in network.layers.values() for parameter in layer.parameters()}
    stray = [name for name, parameter in network.named_parameters() if id(parameter) not in held]
    if stray:
        raise RunError(f"the model has parameters in none of its layers: {', '.join(stray)}")


def require_run_fits(body: Body, run: Path) -> None:
    """Raise ComponentError E405 where the weights of a run's body, in its folder, are not those of this body."""
    path = _sound_model(run)
    require_fit(_of_body(load_weights(path)), body.module.state_dict(), path)


def _sound_model(run: Path) -> Path:
    """Return the path of a run's weights. Raises ComponentError E405 for a bundle that is not as it was written."""
    if is_bundle(run):
        try:
            require_sound(run)
        except UsageError as error:
            raise ComponentError(str(error), field="weights", code="E405") from error
    return RunFolder(run).model


def _load_body(network: BodyAndHead, path: Path) -> None:
    tensors = load_weights(path)
    _set_normalisation(network, tensors)
    body = _of_body(tensors)
    require_fit(body, network.body.state_dict(), path)
    network.body.load_state_dict(body)


def _of_body(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("body."): value for name, value in tensors.items() if name.startswith("body.")}


def _set_normalisation(network: BodyAndHead, tensors: Mapping[str, Tensor]) -> None:
    mean, std = tensors.get("normalize.mean"), tensors.get("normalize.std")
    network.normalize = nn.Identity() if mean is None or std is None else Normalize(mean, std)
