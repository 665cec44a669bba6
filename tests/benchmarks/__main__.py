"""`python -m tests.benchmarks [NAME [ARGUMENT…]]`: one measurement, or those of a few minutes in turn."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from tests.benchmarks import argument_parser

MEASUREMENTS = {
    "startup": "how long the light commands take, against importing what they are made of",
    "loop": "an epoch of MovieLens-100k, against a plain PyTorch loop; what callbacks add to it",
    "images": "images a second, against torchvision's ImageFolder and a DataLoader",
    "freezing": "seconds and memory of a step with a frozen body and without, beside plain PyTorch",
    "ratings": "seconds and memory per million ratings, as ratings and tables grow",
    "export": "the largest difference of exported outputs, body by body; half an hour for all",
    "serving": "requests a second of `serve`, against a plain FastAPI handler",
}
"""Every measurement: its module, whose `measure` takes its arguments, and what it measures."""

SHORT = ("startup", "loop", "images")
"""Those that are measured where none is named."""


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argument_parser("", "Measure and print; no test asserts a time.")
    named = parser.add_subparsers(title=f"measurements (without a name: {', '.join(SHORT)})", dest="name", metavar="")
    for name, text in MEASUREMENTS.items():
        named.add_parser(name, help=text, add_help=False)
    given, rest = parser.parse_known_args(arguments)
    if rest and given.name is None:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    for name in (given.name,) if given.name else SHORT:
        import_module(f"tests.benchmarks.{name}").measure(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
