"""Data sets, each opened once."""

from __future__ import annotations

import gc
from collections.abc import Collection
from typing import Any

from dotexp.components.builders import DataContext
from dotexp.components.component import Use
from dotexp.sdk.data import Data


class DataStore:
    """Opens data when it is first asked for and keeps it for later requests for the same."""

    def __init__(self) -> None:
        self._opened: list[tuple[Use, int, Data]] = []
        self._shared: dict[str, Any] = {}

    def get(self, use: Use, seed: int) -> Data:
        """Data of this component with these parameters, split by this seed unless it has its own."""
        for known, known_seed, data in self._opened:
            if known == use and known_seed == seed:
                return data
        opened: Data = use.build(DataContext(seed, self._shared))
        self._opened.append((use, seed, opened))
        return opened

    def keep_only(self, uses: Collection[Use], seed: int) -> None:
        """Release all data but that of these components, split by this seed."""
        kept = [each for each in self._opened if each[0] in uses and each[1] == seed]
        if len(kept) < len(self._opened):
            self._opened = kept
            gc.collect()  # a stage that is over holds its data in a cycle of references
