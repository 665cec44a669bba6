"""Services in this process or in one of their own, for tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

from dotexp.commands.predicting import make_predictor
from dotexp.runs.folder import RunFolder
from dotexp.serve.app import create_app
from dotexp.serve.limits import Limits
from dotexp.serve.service import Service
from PIL import Image
from starlette.testclient import TestClient

PATIENCE = 60.0
"""Seconds to wait for an answer."""


@contextmanager
def client(folder: RunFolder, **limits: Any) -> Iterator[TestClient]:
    """Serve a run in this process."""
    service = Service(make_predictor(folder, (), None, None), Limits(**limits))
    with TestClient(create_app(service), raise_server_exceptions=False) as made:
        yield made


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start `spec-runner serve` on a free port, and end it."""
    command = [sys.executable, "-m", "dotexp.cli", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, (line, process.communicate()[1])
        yield process, int(line.split("http://127.0.0.1:")[1].split()[0])
    finally:
        process.kill()
        process.communicate()


def ask(port: int, body: bytes, kind: str = "application/json", path: str = "/predict") -> tuple[int, Any]:
    """Post a body to a service on this machine; return the status and the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def picture(side: int = 24, level: int = 128, format: str = "PNG") -> bytes:
    """Make an image file's bytes."""
    file = BytesIO()
    Image.new("L", (side, side), level).save(file, format)
    return file.getvalue()
