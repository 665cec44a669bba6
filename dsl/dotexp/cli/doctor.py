"""`spec-runner doctor`."""

from __future__ import annotations

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from dotexp.cli.output import json_option, print_json, print_table, runs_option
from dotexp.components.registry import load_registry
from dotexp.language.machine_faults import machine_fault

_MODULES = {"scikit-learn": "sklearn"}
"""Packages that are imported under another name."""

_PACKAGES = ("dotexp", "torch", "torchvision", "torchmetrics", "pydantic", "lark", "pluggy", "polars", "scikit-learn")


@click.command("doctor")
@runs_option
@json_option
def command(root: Path, as_json: bool) -> None:
    """Check the installation: packages, the device a run would take, plugins, and whether runs can be written.

    Exits with 1 where something is wrong.
    """
    rows = [("python", platform.python_version(), True), *(_package(name) for name in _PACKAGES)]
    rows += [_device(), _writable(root)]
    rows += [(f"plugin {p.name}", p.load() or p.version, p.error is None) for p in load_registry().providers]
    if as_json:
        checks = [{"name": name, "found": found, "ok": ok} for name, found, ok in rows]
        print_json({"format_version": 1, "ok": all(ok for _, _, ok in rows), "checks": checks})
    else:
        print_table([("ok" if ok else "WRONG", name, found) for name, found, ok in rows])
    if not all(ok for _, _, ok in rows):
        click.get_current_context().exit(1)


def _package(name: str) -> tuple[str, str, bool]:
    """Say which version of a package is installed, and whether it can be imported."""
    try:
        found = version(name)
        import_module(_MODULES.get(name, name))
        return name, found, True
    except PackageNotFoundError:
        return name, "not installed", False
    except Exception as error:  # a broken installation is what this command is for
        return name, f"{found}: {_said(error)}", False


def _device() -> tuple[str, str, bool]:
    try:
        from dotexp.engine.build.devices import choose_device, device_name
        from dotexp.experiment.experiment import Device

        return "device", device_name(choose_device(Device.auto)), True
    except Exception as error:
        return "device", _said(error), False


def _said(error: Exception) -> str:
    told = machine_fault(error)
    return f"{type(error).__name__}: {error}" if told is None else f"{told}; {told.help}"


def _writable(root: Path) -> tuple[str, str, bool]:
    from tempfile import TemporaryFile

    folder = root if root.is_dir() else Path()
    try:
        with TemporaryFile(dir=folder):
            return "runs", f"{root} can be written", True
    except OSError as error:
        return "runs", f"{folder.resolve()} cannot be written: {error.strerror}", False
