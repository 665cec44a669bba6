"""Micro-batches of a batch that does not fit into memory: balanced, and none of one example where batch norm trains."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from dotexp.engine.training.micro_batches import MicroBatches, micro_batch_sizes
from dotexp.sdk.data import Batch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([1, 2]))
def test_sizes_are_as_equal_as_can_be(count: int, size: int, smallest: int) -> None:
    sizes = micro_batch_sizes(count, size, smallest)
    assert sum(sizes) == count and max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(smallest, count)
    assert max(sizes) <= size or max(sizes) < 2 * smallest or len(sizes) == count // smallest
    fewer = len(sizes) - 1
    assert fewer == 0 or -(-count // fewer) > size  # no more of them than needed


@pytest.mark.parametrize(
    ("count", "size", "smallest", "sizes"),
    [
        (13, 7, 2, (7, 6)),
        (13, 4, 2, (4, 3, 3, 3)),
        (13, 2, 2, (3, 2, 2, 2, 2, 2)),
        (13, 2, 1, (2, 2, 2, 2, 2, 2, 1)),
        (3, 2, 2, (3,)),
        (1, 1, 2, (1,)),
    ],
)
def test_thirteen(count: int, size: int, smallest: int, sizes: tuple[int, ...]) -> None:
    assert micro_batch_sizes(count, size, smallest) == sizes


class Limited(nn.Module):
    """A network that runs out of memory above a number of examples, and notes what it has seen whole."""

    def __init__(self, most: int, norm: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 4), norm, nn.Linear(4, 3))
        self.most = most
        self.seen: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of a few."""
        if len(inputs) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append(len(inputs))
        output: Tensor = self.layers(inputs)
        return output


def backward(network: Limited, count: int) -> list[int]:
    """Take one step's gradient; return the sizes that were told."""
    told: list[int] = []
    batch = Batch((torch.randn(count, 5),), torch.randint(3, (count,)))
    MicroBatches(network, nn.CrossEntropyLoss(), nullcontext, count, told.append).backward([batch], lambda place: None)
    return told


@pytest.mark.parametrize(
    ("most", "told", "seen"), [(7, [7], [7, 6]), (5, [7, 4], [4, 3, 3, 3]), (3, [7, 4, 3], [3, 2, 2, 2, 2, 2])]
)
def test_batch_norm_that_trains_sees_no_example_alone(most: int, told: list[int], seen: list[int]) -> None:
    network = Limited(most, nn.BatchNorm1d(4))
    assert backward(network, 13) == told
    assert network.seen[-len(seen) :] == seen


def test_memory_for_one_example_alone_is_no_help_where_batch_norm_trains() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        backward(Limited(1, nn.BatchNorm1d(4)), 8)
    for norm in (nn.BatchNorm1d(4).eval(), nn.LayerNorm(4)):
        network = Limited(1, norm)
        assert backward(network, 5) == [3, 2, 1]
        assert network.seen == [1] * 5


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 12, 13])
def test_the_gradient_is_that_of_the_whole_batch(most: int) -> None:
    torch.manual_seed(0)
    network = Limited(13, nn.LayerNorm(4)).double()
    batch = Batch((torch.randn(13, 5, dtype=torch.float64),), torch.randint(3, (13,)))
    expected = torch.autograd.grad(cross_entropy(network(*batch.inputs), batch.targets), list(network.parameters()))
    network.most = most
    batches = MicroBatches(network, nn.CrossEntropyLoss(), nullcontext, 13, lambda size: None)
    batches.backward([batch], lambda place: None)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
