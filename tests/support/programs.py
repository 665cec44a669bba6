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

from specs import resolved

SPEC = """
experiment photos
data digits
model {{
  body {body}
  head mlp([8])
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
    return network.eval(), Raw(), side


class Raw(nn.Module):
    """A loss that leaves outputs as they are: probabilities of an untrained network hardly differ."""

    def activate(self, output: Tensor) -> Tensor:
        """Return the outputs."""
        return output


def _take_statistics(network: Network, side: int) -> None:
    """Give batch norms the statistics of some images, so that the outputs depend on the input."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        network.train()(*images(side, 8))


def largest_differences(
    network: Network, loss: nn.Module, inputs: tuple[Tensor, ...], folder: Path | None
) -> list[float]:
    """Export a network to torch and, where there is a folder to write in, to ONNX; compare both with the network."""
    program = make_program(network, loss)
    with torch.no_grad():
        outputs = loss.activate(network(*inputs))  # type: ignore[operator]
    assert outputs.std(0).max() > 1e-3 * outputs.abs().max(), "the outputs do not depend on the input"
    samples = Samples(inputs, outputs)
    exported = export_program(program, samples)
    module = exported.module()
    found = [compare(lambda given: module(*given).detach(), samples, Format.torch, TOLERANCE)]
    if folder is not None:
        from dotexp.export.onnx import session_answer, to_onnx

        path = folder / "model.onnx"
        path.write_bytes(to_onnx(exported).SerializeToString())
        found.append(compare(session_answer(path), samples, Format.onnx, TOLERANCE))
    return found


def images(side: int, count: int = 3) -> tuple[Tensor, ...]:
    """Make random images."""
    return (torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)),)


def prepared(network: Network, resolved: Resolved) -> Network:
    """Fill what a model looks up in the training set."""
    from dotexp.engine.build.datasets import DataStore

    prepare_network(network, DataStore().get(resolved.experiment.data, 42).part("train"))
    return network.eval()
