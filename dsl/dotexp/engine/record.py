"""What a run has to show so far: its epochs, and the rates that were used, kept through interruptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from dotexp.diagnostics import FORMAT_VERSION
from dotexp.engine.controls import Used
from dotexp.plans import Plan
from dotexp.runs import EpochRow, RunFolder, StageResult, finite, write_json


@dataclass
class Record:
    """The epochs done, what the optimizers of finished stages were given, and the time taken before this sitting."""

    run: RunFolder
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    earlier: float = 0.0
    rows: list[EpochRow] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)
    clock: float = field(default_factory=perf_counter)
    unwritten: bool = False

    @classmethod
    def of_facts(cls, run: RunFolder, facts: Mapping[str, Any], used: list[Used]) -> Record:
        """Take up the record that a checkpoint holds, and cut metrics.jsonl back to it."""
        rows = [EpochRow(**row) for row in facts["rows"]]
        record = cls(run, facts["started"], facts["seconds"], rows, used)
        run.write_epochs(rows)
        return record

    @property
    def seconds(self) -> float:
        """Time taken so far, interruptions left out."""
        return self.earlier + perf_counter() - self.clock

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, beside the rates."""
        rows = [finite(asdict(row)) for row in self.rows]
        return {"started": self.started, "seconds": self.seconds, "rows": rows}

    def epochs(self, stage: str) -> list[EpochRow]:
        """Epochs of a stage that are done."""
        return [row for row in self.rows if row.stage == stage]

    def add(self, row: EpochRow) -> OSError | None:
        """Keep an epoch and write it down; where the disk does not take it, say so, and write it with the next."""
        self.rows.append(row)
        try:
            if self.unwritten:
                self.run.write_epochs(self.rows)
            else:
                self.run.append_epoch(row)
        except OSError as error:
            self.unwritten = True
            return error
        self.unwritten = False
        return None

    def stages(self, plan: Plan) -> tuple[StageResult, ...]:
        """How the stages that are finished ended."""
        results = []
        for stage in plan.stages:
            rows = self.epochs(stage.name)
            if len(rows) < stage.epochs:
                break
            last = rows[-1]
            seconds = sum(row.seconds for row in rows)
            numbers = (last.train_loss, last.valid_loss, last.metrics)
            results.append(StageResult(stage.name, stage.epochs, stage.steps, *numbers, seconds))
        return tuple(results)

    def write(self, under_way: Used | None) -> None:
        """Write schedule.json, and the epochs that the disk did not take before."""
        if self.unwritten:
            self.run.write_epochs(self.rows)
        every = [*self.used, under_way] if under_way is not None else self.used
        stages = [used.as_json() for used in every]
        write_json(self.run.schedule, {"format_version": FORMAT_VERSION, "stages": stages})
