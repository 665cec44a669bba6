"""The run directory: a run is a folder of plain files, made once, written atomically, readable without torch."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotexp.components.facts import DataFacts
from dotexp.language.diagnostics import FORMAT_VERSION, UsageError
from dotexp.language.machine_faults import file_fault
from dotexp.language.wording import counted
from dotexp.runs.files import exclusive, finite, parse_as, read_as, read_json, write_json, write_text
from dotexp.runs.results import EpochRow, RunResult, Status

DEFAULT_ROOT = Path("runs")
_EXPERIMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_NUMBERS = ".numbers.json"
_RUN = re.compile(r"(?P<experiment>[A-Za-z_][A-Za-z0-9_-]{0,63})-(?P<number>[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and the files in it."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name, `<experiment>-<n>` unless someone renamed it."""
        return self.path.resolve().name

    @property
    def experiment(self) -> str:
        """The experiment's name: from the result, else from the folder's name."""
        result = self.read_result()
        match = _RUN.fullmatch(self.name)
        return result.experiment if result else match["experiment"] if match else self.name

    @property
    def spec(self) -> Path:
        """The spec as written."""
        return self.path / "spec.exp"

    @property
    def resolved(self) -> Path:
        """The spec with everything filled in."""
        return self.path / "resolved.exp"

    @property
    def plan(self) -> Path:
        """The plan, as `plan --json` prints it."""
        return self.path / "plan.json"

    @property
    def environment(self) -> Path:
        """Versions, device, threads, seed and the data's fingerprint."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """A line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def schedule(self) -> Path:
        """Learning rates and momenta that the optimizer was given, step by step."""
        return self.path / "schedule.json"

    @property
    def model(self) -> Path:
        """The trained weights."""
        return self.path / "model.safetensors"

    @property
    def vocabulary(self) -> Path:
        """The data's facts and vocabulary, which prediction needs where the data is absent."""
        return self.path / "vocabulary.json"

    @property
    def result(self) -> Path:
        """How the run ended."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The run's story on one page."""
        return self.path / "report.html"

    @property
    def checkpoints(self) -> Path:
        """Where the run's state is saved while it goes on."""
        return self.path / "checkpoints"

    @property
    def resume_line(self) -> str:
        """The command that goes on with the run."""
        return f"spec-runner resume {self._reference}"

    @property
    def report_line(self) -> str:
        """The command that writes the run's report anew."""
        return f"spec-runner report {self._reference}"

    @property
    def _reference(self) -> str:
        return shlex.quote(self.name if self.path.parent == DEFAULT_ROOT else str(self.path))

    @property
    def status(self) -> Status:
        """How the run ended, or that it has not."""
        result = self.read_result()
        return result.status if result else Status.unfinished

    def append_epoch(self, row: EpochRow) -> None:
        """Add a line to metrics.jsonl and see it onto the disk."""
        with self.metrics.open("ab") as file:
            file.write(_epoch_line(row).encode())
            file.flush()
            os.fsync(file.fileno())

    def write_epochs(self, rows: Sequence[EpochRow]) -> None:
        """Write metrics.jsonl anew, with these epochs."""
        write_text(self.metrics, "".join(map(_epoch_line, rows)))

    def read_epochs(self) -> tuple[EpochRow, ...]:
        """Every epoch so far; a last line that was cut off by a crash is left out."""
        if not self.metrics.exists():
            return ()
        try:
            lines = self.metrics.read_bytes().split(b"\n")[:-1]
        except OSError as error:
            raise file_fault("read", self.metrics, error) from error
        return tuple(parse_as(EpochRow, line, self.metrics, "a run's epochs") for line in lines)

    def write_result(self, result: RunResult) -> None:
        """Write result.json."""
        write_json(self.result, {"format_version": FORMAT_VERSION, **asdict(result)})

    def read_result(self) -> RunResult | None:
        """Read result.json; None while the run has not ended. Raises UsageError where it is not a result."""
        return read_as(RunResult, self.result, "a run's result") if self.result.exists() else None

    def write_facts(self, facts: DataFacts) -> None:
        """Write vocabulary.json: the data's facts, its vocabulary among them."""
        write_json(self.vocabulary, {"format_version": FORMAT_VERSION, **asdict(facts)})

    def read_facts(self) -> DataFacts:
        """Read vocabulary.json. Raises UsageError where it is missing or is not one."""
        return read_as(DataFacts, self.vocabulary, "a data set's facts")

    def read_environment(self) -> dict[str, Any]:
        """Read environment.json."""
        return read_json(self.environment)


def create_run(experiment: str, root: Path = DEFAULT_ROOT) -> RunFolder:
    """Make `<root>/<experiment>-<n>/`, n one above the highest so far; two calls at once get two folders.

    Numbers of runs that were removed are not used again. Raises UsageError where the name is not an experiment's, and
    as `file_fault` where the folder cannot be made.
    """
    if not _EXPERIMENT.fullmatch(experiment):
        raise UsageError(f"`{experiment}` is not the name of an experiment")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with exclusive(root):
            numbers = _numbers(root)
            highest = max((n for name, n, _ in _folders(root) if name == experiment), default=0)
            number = max(highest, numbers.get(experiment, 0)) + 1
            while True:
                path = root / f"{experiment}-{number}"
                write_json(root / _NUMBERS, {**numbers, experiment: number})
                with suppress(FileExistsError):
                    path.mkdir()
                    return RunFolder(path)
                number += 1
    except OSError as error:
        raise file_fault("make a run in", root, error, "--runs names it") from error


def list_runs(root: Path = DEFAULT_ROOT) -> tuple[RunFolder, ...]:
    """Runs in a folder by experiment and number; none where the folder does not exist."""
    if not root.is_dir():
        return ()
    return tuple(RunFolder(path) for _, _, path in sorted(_folders(root)))


def newest_finished(experiment: str, root: Path = DEFAULT_ROOT) -> RunFolder | None:
    """The finished run of an experiment with the highest number; None where there is none."""
    folders = sorted(_folders(root), reverse=True) if root.is_dir() else []
    runs = (RunFolder(path) for name, _, path in folders if name == experiment)
    return next((run for run in runs if run.status is Status.finished), None)


def newest_unfinished(experiment: str, root: Path = DEFAULT_ROOT) -> RunFolder | None:
    """The newest run of an experiment, if it did not finish."""
    folders = sorted(_folders(root), reverse=True) if root.is_dir() else []
    newest = next((RunFolder(path) for name, _, path in folders if name == experiment), None)
    return None if newest is None or newest.status is Status.finished else newest


def open_run(reference: str, root: Path = DEFAULT_ROOT) -> RunFolder:
    """Open a run by its name under `root`, by the path of its folder, or by its experiment (the newest finished one).

    Raises UsageError, with the closest names, where there is no such run.
    """
    for path in (root / reference, Path(reference)):
        if _is_run(path):
            return RunFolder(path)
    run = newest_finished(reference, root)
    if run is not None:
        return run
    raise UsageError(_no_such_run(reference, root))


def _epoch_line(row: EpochRow) -> str:
    values = asdict(row)
    if row.stopped is None:
        values.pop("stopped")
    if not row.logged:
        values.pop("logged")
    return json.dumps(finite(values), allow_nan=False) + "\n"


def _numbers(root: Path) -> dict[str, int]:
    """Highest number given to a run of each experiment, as far as it was noted."""
    try:
        return read_as(dict[str, int], root / _NUMBERS, "a note of the runs' numbers")
    except UsageError:
        return {}


def _folders(root: Path) -> Iterator[tuple[str, int, Path]]:
    for path in root.iterdir():
        match = _RUN.fullmatch(path.name)
        if match and path.is_dir():
            yield match["experiment"], int(match["number"]), path


def _is_run(path: Path) -> bool:
    run = RunFolder(path)
    try:
        return any(file.is_file() for file in (run.spec, run.resolved, run.plan, run.environment, run.result))
    except (OSError, ValueError):  # a name too long for the file system, or with a NUL in it
        return False


def _no_such_run(reference: str, root: Path) -> str:
    folders = list(_folders(root)) if root.is_dir() else []
    names = {path.name for _, _, path in folders} | {experiment for experiment, _, _ in folders}
    if reference in names:
        return f"`{reference}` has no finished run in {root}"
    near = get_close_matches(reference, sorted(names), n=3)
    known = (
        f"did you mean {', '.join(f'`{name}`' for name in near)}?"
        if near
        else f"{root} holds {counted(len(folders), 'run')}"
    )
    return f"there is no run `{reference}`: {known}"
