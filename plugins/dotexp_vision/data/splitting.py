"""Which examples are held out at random: evenly, or each class in proportion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from dotexp.sdk.seeds import derive
from dotexp.sdk.splits import Rows, random_split_rows


def stratified_rows(
    labels: Sequence[str], held_out: float | int, seed: int, purpose: str = "split", field: str = "valid"
) -> tuple[Rows, Rows]:
    """Split the row numbers 0 to n-1 so that each class is held out in proportion: rows kept and rows held out.

    As many are held out as `random_split_rows` would, floor(held_out * n), and each class gives its share of them to
    the nearest whole number: those with the largest remainders one more. Raises ComponentError as it does.
    """
    n = len(labels)
    count = len(random_split_rows(n, held_out, seed, purpose, field)[1])
    sizes = Counter(labels)
    shares = {label: count * size / n for label, size in sizes.items()}
    quota = {label: int(share) for label, share in shares.items()}
    by_remainder = sorted(sizes, key=lambda label: (quota[label] - shares[label], label))
    for label in by_remainder[: count - sum(quota.values())]:
        quota[label] += 1
    taken = []
    for row in np.random.default_rng(derive(seed, purpose)).permutation(n):
        if quota[labels[row]] > 0:
            quota[labels[row]] -= 1
            taken.append(row)
    mask = np.zeros(n, dtype=np.bool_)
    mask[taken] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)
