"""A run's progress on standard error: a bar with the time left, and a table row for every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dotexp.cli.output import said
from dotexp.cli.tables import fitted, screen_width
from dotexp.language.wording import counted, counted_plural
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, RunResult


class Bar:
    """A progress bar on standard error from the first update on, with the time left; none outside a terminal."""

    def __init__(self, name: str, unit: str) -> None:
        console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
        times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        self._progress = Progress(*columns, *times, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(name, total=None, visible=False)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, done: int, total: int | None) -> None:
        """Update the bar; None: the total is not known."""
        self._progress.update(self._task, completed=done, total=total, visible=True)


class Display:
    """Prints a run's progress: on a terminal with a bar, elsewhere as plain lines."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._header: tuple[str, ...] = ()
        self._logged: tuple[str, ...] = ()

    def run_started(self, plan: Plan, run: RunFolder) -> None:
        """Print the run's name and its counts."""
        facts = plan.facts
        read = [counted_plural(count, name) for name, count in facts.summary.items()]
        parameters = counted(plan.parameters, "parameter")
        counts = [f"{facts.train:,} train", f"{facts.valid:,} valid", *read, parameters]
        self._say(f"{run.name}: {', '.join(counts)}")
        self._header = ("epoch", "train_loss", "valid_loss", *(use.name for use in plan.metrics), "seconds")

    def stage_started(self, name: str, steps: int) -> None:
        """Print the stage's table header and start its progress bar."""
        self._stop()
        self._console.print(f"stage {name}", markup=False, style="bold")
        self._logged = ()
        self._print_header()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
            times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
            self._progress = Progress(*columns, *times, console=self._console, transient=True)
            self._task = self._progress.add_task(name, total=steps)
            self._progress.start()

    def progress(self, step: int) -> None:
        """Update the progress bar."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=step)

    def epoch_ended(self, row: EpochRow) -> None:
        """Print the epoch's row, under a new header where callbacks have logged other numbers than before."""
        if tuple(row.logged) != self._logged:
            self._logged = tuple(row.logged)
            self._print_header()
        numbers = (row.train_loss, row.valid_loss, *_values(row.numbers))
        cells = (str(row.epoch), *(said(number) for number in numbers), f"{row.seconds:.1f}")
        self._console.print(_line(cells, self._width), markup=False)
        if row.stopped is not None:
            self._say(f"  stopped by {row.stopped}")

    def warned(self, message: str) -> None:
        """Print a warning above the bar."""
        self._say(f"warning: {message}", style="yellow")

    def run_ended(self, result: RunResult) -> None:
        """Stop the progress bar."""
        self._stop()

    @property
    def _width(self) -> int | None:
        return screen_width(err=True)

    def _print_header(self) -> None:
        *columns, seconds = self._header
        self._console.print(_line((*columns, *self._logged, seconds), self._width), markup=False)

    def _say(self, text: str, style: str | None = None) -> None:
        """Print a line, broken between words where the terminal is narrower."""
        self._console.print(fitted(text, self._width, "    "), markup=False, style=style)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _values(metrics: Mapping[str, Any]) -> list[Any]:
    return [value if isinstance(value, float) else str(value) for value in metrics.values()]


def _line(cells: tuple[str, ...], width: int | None) -> str:
    """A row of the table of epochs; on a terminal that is too narrow for it, its last columns stand below."""
    first, *numbers = (cell.rjust(max(11, len(cell))) if i else cell.rjust(5) for i, cell in enumerate(cells))
    lines = [f"  {first}"]
    for number in numbers:
        if width is not None and len(lines[-1]) + 2 + len(number) > width:
            lines.append(" " * 7)
        lines[-1] += f"  {number}"
    return "\n".join(lines)
