"""`python -m tests.benchmarks`: every measurement, each a ratio of two things measured in turn in one run."""

from __future__ import annotations

from tests.benchmarks import images, loop, startup


def main() -> None:
    """Measure and print."""
    startup.measure()
    loop.measure()
    loop.measure_callbacks()
    images.measure()


if __name__ == "__main__":
    main()
