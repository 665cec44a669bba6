"""Predictions of any number of inputs into a file: in bounded memory, errors as rows, resumed where stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from dotexp.export.files import require_new
from dotexp.export.predictor import Input, Prediction, Predictor
from dotexp.export.writers import WRITERS, Columns, Writer, error_of
from dotexp.language.diagnostics import Interrupted, UsageError
from dotexp.language.machine_faults import file_fault, system_error
from dotexp.runs.bundle_files import checksum
from dotexp.runs.files import read_as, write_json

if TYPE_CHECKING:
    from dotexp.sdk.data import Encoded, Piece

_ROWS, _SECONDS = 8192, 10.0
"""Rows, and seconds, after which what was predicted is written and the state saved."""

Progress = Callable[[int, int | None], None]
"""Called with the rows done so far and how many there are in all, where that is known."""


@dataclass(frozen=True)
class State:
    """How far a file of predictions has got; `job` identifies model and inputs, `end` is the writer's."""

    job: str
    rows: int = 0
    errors: int = 0
    end: int = 0


@dataclass(frozen=True)
class Written:
    """A file of predictions: how many rows it has, how many of them are errors, and how many were there before."""

    path: Path
    rows: int
    errors: int
    resumed: int = 0


def predict_into(predictor: Predictor, inputs: Sequence[Input], out: Path, progress: Progress | None = None) -> Written:
    """Predict for inputs of any number into a .csv, .jsonl or .parquet file, in their order.

    An input that cannot be read is a row with its `error`. The file appears when it is whole; until then its rows are
    in the folder `OUT.part`, from which a later call with the same model and inputs goes on, to the same rows. Raises
    UsageError where `out` exists or the folder holds other predictions, and as `file_fault`.
    """
    require_new(out)
    make = WRITERS.get(out.suffix.lower())
    if make is None:
        raise UsageError(f"{out} is named as no table: its name ends in {', '.join(WRITERS)}")
    encoded = predictor.encode(inputs)
    folder = out.with_name(f"{out.name}.part")
    state = _start(folder, _job(predictor, inputs, encoded))
    writer = make(folder, _columns(predictor), state.end)
    total = encoded.total() if encoded.total is not None else None
    job = _Job(predictor, writer, folder, state)
    try:
        for piece in _pieces(encoded, state.rows):
            job.add(piece)
            if progress is not None:
                progress(job.rows, total)
        job.flush()
        writer.finish(out)
        shutil.rmtree(folder)
    except KeyboardInterrupt as stop:
        job.flush()
        message = f"interrupted after {job.rows:,} rows, which {folder} holds\n  to go on: give the same command again"
        raise Interrupted(message) from stop
    except Exception as error:
        found = system_error(error)
        if found is None:
            raise
        raise file_fault("write", out, found, f"{folder} keeps the rows so far: give the same command again") from error
    return Written(out, job.rows, job.errors, state.rows)


class _Job:
    """Predicts piece by piece, and writes what was predicted from time to time."""

    def __init__(self, predictor: Predictor, writer: Writer, folder: Path, state: State) -> None:
        self._predictor, self._writer, self._folder, self._state = predictor, writer, folder, state
        self._waiting: list[Prediction | Mapping[str, Any]] = []
        self._saved = monotonic()
        self.errors = state.errors

    @property
    def rows(self) -> int:
        """Rows done, those not yet written among them."""
        return self._state.rows + len(self._waiting)

    def add(self, piece: Piece) -> None:
        """Predict a piece's inputs."""
        answers = iter(self._predictor.outputs(piece.inputs).tolist() if piece.inputs else ())
        rows = [row if "error" in row else self._predictor.read(row, next(answers)) for row in piece.rows]
        self.errors += sum(bool(error_of(row)) for row in rows)
        self._waiting += rows
        if len(self._waiting) >= _ROWS or monotonic() - self._saved > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait, and then say so in the state."""
        if self._waiting:
            end = self._writer.write(self._waiting)
            self._state = State(self._state.job, self.rows, self.errors, end)
            self._waiting = []
            write_json(self._folder / _STATE, asdict(self._state))
        self._saved = monotonic()


_STATE = "state.json"


def _start(folder: Path, job: str) -> State:
    """Read the state that an earlier call left, or make the folder for a new one."""
    if not folder.exists():
        try:
            folder.mkdir(parents=True)
            write_json(folder / _STATE, asdict(State(job)))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise file_fault("make", folder, error) from error
        return State(job)
    state = read_as(State, folder / _STATE, "the state of predictions")
    if state.job != job:
        raise UsageError(
            f"{folder} holds predictions of another model or of other inputs: remove it, or name another --out"
        )
    return state


def _job(predictor: Predictor, inputs: Sequence[Input], encoded: Encoded) -> str:
    """Digest of the model, the inputs as given, and of the files among them."""
    digest = sha256(json.dumps([checksum(predictor.folder.model), *inputs]).encode())
    for given in inputs:
        path = None if isinstance(given, tuple) else Path(given)
        if path is not None and path.is_file():
            found = path.stat()
            digest.update(f"{found.st_size} {found.st_mtime_ns}".encode())
    if isinstance(encoded.rows, Sequence):  # such as the files in a folder
        digest.update(json.dumps(encoded.rows).encode())
    return digest.hexdigest()


def _columns(predictor: Predictor) -> Columns:
    """Say what the predictions' columns hold, by what the model answers for outputs of 0."""
    facts = predictor.facts
    alone = facts.classes is None and facts.outputs == 1
    example = predictor.read({}, 0.0 if alone else [0.0] * facts.outputs)
    many = isinstance(example.value, tuple)
    text = isinstance(example.value, str) or (facts.classes is not None and many)
    return Columns(text, many, facts.classes or (), bool(facts.entities))


def _pieces(encoded: Encoded, start: int) -> Iterator[Piece]:
    """Yield pieces from the input of this number on; without the data's help, by passing over those before."""
    if encoded.pieces is not None:
        yield from encoded.pieces(start)
        return
    from dotexp.sdk.data import Piece

    rows, done = iter(encoded.rows), 0
    for inputs in encoded.batches:
        some = [next(rows) for _ in range(len(inputs[0]))]
        if done >= start:
            yield Piece(some, inputs)
        done += len(some)
