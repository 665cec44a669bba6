"""Largest difference of exported outputs: `python -m tests.benchmarks export [BODY…]`, every bundled body by default.

A row a body: the difference under torch and under onnxruntime, and the seconds of both exports; then the largest.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from dotexp.language.diagnostics import RunError
from dotexp_vision.models.catalogue import TITLES
from programs import body_network, images, largest_differences

from tests.benchmarks import argument_parser

COLUMNS = ("torch", "onnx")


def measure(arguments: Sequence[str] = ()) -> None:
    """Print a row a body, and the largest differences."""
    parser = argument_parser("export", __doc__)
    parser.add_argument("bodies", nargs="*", choices=(*TITLES, []), metavar="BODY", help="a body's name")
    bodies: list[str] = parser.parse_args(arguments).bodies
    largest = dict.fromkeys(COLUMNS, 0.0)
    for body in bodies or TITLES:
        started = perf_counter()
        network, loss, side = body_network(f"{body}(weights = none)")
        with TemporaryDirectory() as folder:
            try:
                found = largest_differences(network, loss, images(side), Path(folder))
                told = "".join(f" {value:10.2e}" for value in found)
            except RunError as error:
                found, told = [], f" {error}"
        print(f"{body:20}{told} {perf_counter() - started:6.1f} s", flush=True)
        largest |= {name: max(largest[name], value) for name, value in zip(COLUMNS, found, strict=False)}
        del network
        gc.collect()
    print(", ".join(f"{name} {value:.2e}" for name, value in largest.items()))
