"""Counts and times of a service, in Prometheus's text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Histogram:
    """How many values lie up to each bound, their number and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Take in a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, help: str) -> Iterator[str]:
        """Write the histogram."""
        yield from (f"# HELP {name} {help}", f"# TYPE {name} histogram")
        below = 0
        for bound, count in zip(self._bounds, self._counts, strict=False):
            below += count
            yield f'{name}_bucket{{le="{bound:g}"}} {below}'
        total = sum(self._counts)
        yield from (f'{name}_bucket{{le="+Inf"}} {total}', f"{name}_sum {self._sum:.9g}", f"{name}_count {total}")


class Metrics:
    """What a service counts."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds = Histogram(SECONDS)
        self.batches = Histogram(SIZES)
        self.model_seconds = Histogram(SECONDS)

    def text(self, waiting: int, model: str) -> str:
        """Write every metric; `waiting` are the requests in the queue."""
        return "\n".join(self._lines(waiting, model)) + "\n"

    def _lines(self, waiting: int, model: str) -> Iterator[str]:
        yield from ("# HELP dotexp_model_info The model that is served.", "# TYPE dotexp_model_info gauge")
        yield f'dotexp_model_info{{model="{_label(model)}"}} 1'
        yield from ("# HELP dotexp_requests_total Requests answered.", "# TYPE dotexp_requests_total counter")
        for (path, status), count in sorted(self.requests.items()):
            yield f'dotexp_requests_total{{path="{_label(path)}",status="{status}"}} {count}'
        yield from (
            "# HELP dotexp_queue_requests Requests that wait for the model.",
            "# TYPE dotexp_queue_requests gauge",
        )
        yield f"dotexp_queue_requests {waiting}"
        yield from self.seconds.lines("dotexp_predict_seconds", "Time to answer a request to /predict.")
        yield from self.model_seconds.lines("dotexp_model_seconds", "Time of a batch in the model.")
        yield from self.batches.lines("dotexp_batch_examples", "Examples in a batch.")


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
