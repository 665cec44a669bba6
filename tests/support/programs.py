"""Networks built as for a run, untrained, and exported: the largest difference of their outputs."""

from __future__ import annotations

from pathlib import Path

import torch
from dotexp.components.facts import DataFacts
from dotexp.engine.build.network import Network, build_network, prepare_network, without_weights
from dotexp.experiment.resolve import Resolved
from dotexp.export.formats import Format
from dotexp.export.programs import compare, export_program, make_program
from dotexp.export.samples import TOLERANCE, Samples
from torch import Tensor, nn
from torch.nn import functional

from specs import resolved

SPEC = """
experiment photos
data digits
model {{
  body {body}
  head linear
}}
loss cross_entropy
stage all {{ fit one_cycle(epochs = 1, lr = 1e-3) }}
"""


def body_network(body: str) -> tuple[Network, nn.Module, int]:
    """Build a body with a head and its loss, and say the side of the images it takes."""
    found: Resolved = resolved(SPEC.format(body=body), *(("data.size=224",) if "vit" in body else ()))
    facts = DataFacts(
        task="classification", train=1, valid=1, classes=("a", "b", "c"), outputs=3, vocabulary={"classes": ["a"]}
    )
    model = without_weights(found.experiment.model)
    network = build_network(model, facts, 0)
    side = 224 if "vit" in body else 64
    _take_statistics(network, side)
    with torch.no_grad():
        largest = network.eval()(*images(side)).abs().max().item()
    return network, Probabilities(largest), side


class Probabilities(nn.Module):
    """A loss that activates as cross-entropy does, its logits from -3 to 3: those of an untrained network are any."""

    def __init__(self, largest: float) -> None:
        super().__init__()
        self._largest = largest

    def activate(self, output: Tensor) -> Tensor:
        """Return probabilities."""
        return (3 * output / self._largest).softmax(1)


def _take_statistics(network: Network, side: int) -> None:
    """Give batch norms the statistics of some images, so that the outputs depend on the input."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
        last = {"BasicBlock": "bn2", "Bottleneck": "bn3", "ResBottleneckBlock": "f.c.1"}.get(type(module).__name__)
        if last is not None:  # deep residual networks start chaotic: each branch at full strength doubles a rounding
            nn.init.constant_(module.get_submodule(last).weight, 0.2)  # type: ignore[arg-type]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        network.train()(*images(side, 16))


def largest_differences(
    network: Network, loss: nn.Module, inputs: tuple[Tensor, ...], folder: Path | None
) -> list[float]:
    """Export a network to torch and, where there is a folder to write in, to ONNX; compare both with the network."""
    program = make_program(network, loss)

    def model(given: tuple[Tensor, ...]) -> Tensor:
        with torch.no_grad():
            answer: Tensor = loss.activate(network(*given))  # type: ignore[operator]
        return answer

    outputs = model(inputs)
    assert outputs.std(0).max() > 1e-3 * outputs.abs().max(), "the outputs do not depend on the input"
    samples = Samples(inputs, outputs)
    exported = export_program(program, samples)
    module = exported.module()
    found = [compare(lambda given: module(*given).detach(), model, inputs, Format.torch, TOLERANCE)]
    if folder is not None:
        from dotexp.export.onnx import save, session_answer, to_onnx

        path = folder / "model.onnx"
        save(to_onnx(exported), path)
        found.append(compare(session_answer(path), model, inputs, Format.onnx, TOLERANCE))
    return found


def images(side: int, count: int = 3) -> tuple[Tensor, ...]:
    """Make images of a few random patches each: as unlike one another as photographs, which noise is not."""
    patches = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return (functional.interpolate(patches, (side, side), mode="bilinear"),)


def prepared(network: Network, resolved: Resolved) -> Network:
    """Fill what a model looks up in the training set."""
    from dotexp.engine.build.datasets import DataStore

    prepare_network(network, DataStore().get(resolved.experiment.data, 42).part("train"))
    return network.eval()
