"""What a run's checkpoint holds: how far it is, its history, the network, and the stage under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dotexp.engine.build.network import Network
from dotexp.engine.identity import fingerprint
from dotexp.engine.stage_run import StageRun
from dotexp.engine.state.history import History
from dotexp.engine.state.saving import Saver
from dotexp.experiment.experiment import Runtime
from dotexp.runs.checkpoints import Position
from dotexp.runs.files import finite
from dotexp.runs.folder import RunFolder


class RunCheckpoints(Saver):
    """Saves a run; `identity` is what its bits depend on, `changes` what had changed when it was resumed."""

    def __init__(
        self,
        run: RunFolder,
        runtime: Runtime,
        history: History,
        identity: Mapping[str, Any],
        changes: Sequence[str],
        warn: Callable[[str], None],
    ) -> None:
        super().__init__(run.checkpoints, runtime, warn)
        self.history = history
        self._origin = {
            "identity": dict(identity), "fingerprint": fingerprint(identity), "changes": list(changes)
        }  # fmt: skip

    def save_run(self, stages_done: int, network: Network, stage: StageRun | None, wait: bool = False) -> None:
        """Save the run after so many stages, and in the middle of `stage`; with `wait`, until it is on the disk."""
        history = self.history
        step = stage.loop.step if stage is not None else 0
        state: dict[str, Any] = {
            "network": network.state_dict(), "used": [each.as_state() for each in history.applied]
        }  # fmt: skip
        if stage is not None:
            state |= stage.state()
        facts: dict[str, Any] = {
            **history.facts(),
            **self._origin,
            "epoch_seconds": stage.epoch_seconds if stage is not None else 0.0,
            "valid_loss": self._valid_loss(stage),
            "proof": dict(stage.proof.start) if stage is not None else None,
        }
        self.save(Position(stages_done, step, len(history.rows)), facts, state, wait)

    def _valid_loss(self, stage: StageRun | None) -> float | None:
        """Validation loss of the weights as they are: that of the last epoch, unless steps were taken since."""
        rows = self.history.rows
        done = len(self.history.epochs(stage.stage.name)) * stage.stage.steps_per_epoch if stage is not None else 0
        if not rows or (stage is not None and stage.loop.step != done):
            return None
        loss: float | None = finite(self.history.left(rows[-1].stage).valid_loss)
        return loss
