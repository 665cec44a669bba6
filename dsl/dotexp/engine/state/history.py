"""A run's history: its epochs, its proofs of freezing and the schedules applied, kept through interruptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from dotexp.engine.training.controls import AppliedSchedule
from dotexp.language.diagnostics import FORMAT_VERSION
from dotexp.planning.plan import Plan
from dotexp.runs.files import finite, write_json
from dotexp.runs.folder import RunFolder
from dotexp.runs.freeze_proof import Freezing
from dotexp.runs.results import EpochRow, StageResult


@dataclass
class History:
    """Epochs done, schedules applied in finished stages, and `earlier`, the seconds before this process took over.

    `proofs` holds, by stage, what was found of its freezing at its end; `best` the epoch, from 1, whose weights it left
    where that is not its last; `skipped` how many of its steps were skipped in f16.
    """

    run: RunFolder
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    earlier: float = 0.0
    rows: list[EpochRow] = field(default_factory=list)
    applied: list[AppliedSchedule] = field(default_factory=list)
    proofs: dict[str, Freezing] = field(default_factory=dict)
    best: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    clock: float = field(default_factory=perf_counter)
    unwritten: bool = False

    @classmethod
    def of_facts(cls, run: RunFolder, facts: Mapping[str, Any], applied: list[AppliedSchedule]) -> History:
        """Read the history that a checkpoint holds, and cut metrics.jsonl back to it."""
        rows = [EpochRow(**row) for row in facts["rows"]]
        proofs = {name: Freezing.of_json(proof) for name, proof in facts.get("proofs", {}).items()}
        history = cls(
            run,
            facts["started"],
            facts["seconds"],
            rows,
            applied,
            proofs,
            dict(facts.get("best", {})),
            dict(facts.get("skipped", {})),
        )
        run.write_epochs(rows)
        return history

    @property
    def seconds(self) -> float:
        """Time taken so far, interruptions left out."""
        return self.earlier + perf_counter() - self.clock

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, beside the schedules."""
        rows = [finite(asdict(row)) for row in self.rows]
        proofs = {name: asdict(proof) for name, proof in self.proofs.items()}
        return {
            "started": self.started,
            "seconds": self.seconds,
            "rows": rows,
            "proofs": proofs,
            "best": self.best,
            "skipped": self.skipped,
        }

    def epochs(self, stage: str) -> list[EpochRow]:
        """Epochs of a stage that are done."""
        return [row for row in self.rows if row.stage == stage]

    def stopped(self, stage: str) -> str | None:
        """Why a stage stopped before its last epoch; None where it did not."""
        rows = self.epochs(stage)
        return rows[-1].stopped if rows else None

    def leave(self, stage: str, epoch: int | None) -> None:
        """Note the epoch, from 1, whose weights a stage leaves; None for its last."""
        if epoch is not None:
            self.best[stage] = epoch

    def left(self, stage: str) -> EpochRow:
        """The epoch whose weights a stage left, or has so far."""
        rows = self.epochs(stage)
        return rows[self.best.get(stage, len(rows)) - 1]

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
            stopped = self.stopped(stage.name)
            if len(rows) < stage.epochs and stopped is None:
                break
            left = self.left(stage.name)
            results.append(
                StageResult(
                    name=stage.name,
                    epochs=len(rows),
                    steps=rows[-1].step,
                    train_loss=left.train_loss,
                    valid_loss=left.valid_loss,
                    metrics=left.metrics,
                    seconds=sum(row.seconds for row in rows),
                    freezing=self.proofs.get(stage.name),
                    stopped=stopped,
                    best_epoch=self.best.get(stage.name),
                    skipped_steps=self.skipped.get(stage.name, 0),
                )
            )
        return tuple(results)

    def write(self, under_way: AppliedSchedule | None) -> None:
        """Write schedule.json, and the epochs that the disk did not take before."""
        if self.unwritten:
            self.run.write_epochs(self.rows)
        every = [*self.applied, under_way] if under_way is not None else self.applied
        stages = [each.as_json() for each in every]
        write_json(self.run.schedule, {"format_version": FORMAT_VERSION, "stages": stages})
