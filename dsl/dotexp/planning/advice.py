"""What a plan suggests: choices that only the spec may make, since they change the result, and why they may pay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dotexp.components.component import Use
from dotexp.components.facts import OptimizerFacts
from dotexp.planning.plan import LayerCount

LARGE = 2_000_000
"""Numbers in the embedding tables from which moving a step's rows alone is faster, as measured on a CPU."""

TIMES = 50
"""How many times the numbers that a step touches the tables must hold."""


def hints(optimizer: Use, layers: Sequence[LayerCount], examples: int) -> Iterator[str]:
    """Suggest the optimizer's way to move only touched rows, for large tables of which a step's `examples` touch few.

    `layers` are those that train.
    """
    facts = optimizer.facts_as(OptimizerFacts)
    numbers = sum(layer.table_parameters for layer in layers)
    touched = examples * sum(layer.table_width for layer in layers)
    if facts.sparse_option and not facts.sparse and numbers >= LARGE and numbers >= TIMES * touched:
        yield (
            f"the tables hold {numbers:,} numbers, of which a step touches at most {touched:,} and moves all: "
            f"{optimizer.name}({facts.sparse_option}) moves those alone, which is faster, and another result"
        )
