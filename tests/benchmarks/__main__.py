"""`python -m tests.benchmarks`: every measurement, each a ratio of two things measured in turn in one run."""

from __future__ import annotations

from tests.benchmarks import loop, startup


def main() -> None:
    """Measure and print."""
    startup.measure()
    loop.measure()


if __name__ == "__main__":
    main()
