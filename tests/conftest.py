"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from paths import REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets: DOTEXP_TEST_DATA, else ../shared/data beside the repository."""
    named = os.environ.get("DOTEXP_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data: set DOTEXP_TEST_DATA to the folder that holds ml-100k, hymenoptera, …")
    return folder
