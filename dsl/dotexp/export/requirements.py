"""Packages that an optional part needs, and the line that installs them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from dotexp.language.diagnostics import UsageError


def require_onnx() -> None:
    """Raise UsageError, with the line that installs them, where packages of the extra `onnx` are missing."""
    require("an ONNX export", "onnx", {name: name for name in ("onnx", "onnxscript", "onnxruntime")})


def require_serve() -> None:
    """Raise UsageError, with the line that installs them, where packages of the extra `serve` are missing."""
    packages = {"starlette": "starlette", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
    require("serve", "serve", packages)


def require(what: str, extra: str, packages: Mapping[str, str]) -> None:
    """Raise UsageError where a module is missing; `packages` are the packages by module."""
    missing = [package for module, package in packages.items() if find_spec(module) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(
            f"{what} needs {' and '.join(missing)}, which {are} not installed\n"
            f"  to install what it needs: pip install 'dotexp[{extra}]'"
        )
