"""The table of timm's models is of one version of timm; what it does not know is said to be so under another."""

from __future__ import annotations

from importlib import metadata

import pytest
from dotexp_timm.params import TimmBodyParams
from dotexp_timm.table import version
from pydantic import ValidationError


def refusal(monkeypatch: pytest.MonkeyPatch, installed: str | None, name: str) -> str:
    def found(distribution: str) -> str:
        assert distribution == "timm"
        if installed is None:
            raise metadata.PackageNotFoundError(distribution)
        return installed

    monkeypatch.setattr(metadata, "version", found)
    with pytest.raises(ValidationError) as refused:
        TimmBodyParams(name=name, weights=None)
    return str(refused.value)


@pytest.mark.parametrize("name", ["a_model_of_tomorrow", "resnet18.tag_of_tomorrow"])
def test_a_name_that_another_timm_may_know_names_both_versions(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    said = refusal(monkeypatch, "99.1", name)
    assert f"dotexp knows the models of timm {version()}, and timm 99.1 is installed" in said


@pytest.mark.parametrize("name", ["a_model_of_tomorrow", "resnet18.tag_of_tomorrow"])
@pytest.mark.parametrize("same", [True, False])
def test_the_tables_own_timm_and_none_are_not_named(monkeypatch: pytest.MonkeyPatch, name: str, same: bool) -> None:
    assert "is installed" not in refusal(monkeypatch, version() if same else None, name)
