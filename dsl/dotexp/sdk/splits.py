"""Random splits as a function of the seed and the examples alone, never of a size or a batch. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray

from dotexp.language.diagnostics import ComponentError
from dotexp.sdk.seeds import derive

Rows = NDArray[np.int64]


def random_split(
    identities: Sequence[str], held_out: float | int, seed: int, purpose: str = "split", field: str = "valid"
) -> tuple[Rows, Rows]:
    """Split examples by their identities: positions kept and positions held out, each ascending.

    The identities are sorted first, so the order in which they were found does not matter. `held_out` and the
    errors are as in `random_split_rows`.
    """
    by_identity = np.asarray(sorted(range(len(identities)), key=identities.__getitem__), dtype=np.int64)
    kept, held = random_split_rows(len(identities), held_out, seed, purpose, field)
    return np.sort(by_identity[kept]), np.sort(by_identity[held])


def random_split_rows(
    n: int, held_out: float | int, seed: int, purpose: str = "split", field: str = "valid"
) -> tuple[Rows, Rows]:
    """Split the row numbers 0 to n-1: rows kept and rows held out, each ascending.

    `held_out` is a fraction (a float: floor(held_out * n) rows) or a count (an int); `purpose` keeps a second
    split of the same seed, such as the test part's, apart from the first. Raises ComponentError (E402), naming
    `field`, where either side would be empty.
    """
    count = held_out_count(held_out, n, field)
    order = np.random.default_rng(derive(seed, purpose)).permutation(n).astype(np.int64)
    return np.sort(order[count:]), np.sort(order[:count])


def held_out_count(held_out: float | int, n: int, field: str, free: int | None = None) -> int:
    """Count the rows to hold out of those that are `free` (None: all n); a fraction is of all n.

    Raises ComponentError (E402), naming `field`, where none would be held out or none be left.
    """
    count = held_out if isinstance(held_out, int) else whole_part(held_out, n)
    free = n if free is None else free
    if not 0 < count < free:
        raise ComponentError(
            f"{field} takes {count} of {free} examples, and leaves {max(0, free - count)}",
            field=field,
            help="hold out at least one example and leave at least one",
        )
    return count


def whole_part(fraction: float, n: int) -> int:
    """Count floor(fraction * n) examples; a product that rounding left just below a whole number counts as it."""
    return floor(fraction * n + 1e-9)
