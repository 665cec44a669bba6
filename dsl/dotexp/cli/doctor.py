"""`spec-runner doctor`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from dotexp.cli.output import json_option, print_json, print_table, runs_option
from dotexp.components.registry import load_registry

_PACKAGES = ("dotexp", "torch", "torchvision", "torchmetrics", "pydantic", "lark", "pluggy", "polars", "scikit-learn")


@click.command("doctor")
@runs_option
@json_option
def command(root: Path, as_json: bool) -> None:
    """Check the installation: versions, the device a run would take, plugins, and whether runs can be written.

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
    try:
        return name, version(name), True
    except PackageNotFoundError:
        return name, "not installed", False


def _device() -> tuple[str, str, bool]:
    try:
        from dotexp.engine.build.devices import choose_device, device_name
        from dotexp.experiment.experiment import Device

        return "device", device_name(choose_device(Device.auto)), True
    except Exception as error:  # a broken torch is what this command is for
        return "device", f"{type(error).__name__}: {error}", False


def _writable(root: Path) -> tuple[str, str, bool]:
    from tempfile import TemporaryFile

    folder = root if root.is_dir() else Path()
    try:
        with TemporaryFile(dir=folder):
            return "runs", f"{root} can be written", True
    except OSError as error:
        return "runs", f"{folder.resolve()} cannot be written: {error.strerror}", False
