"""Spec text that a run's numbers depend on, to tell whether two runs are the same."""

from __future__ import annotations

from dotexp.components.params import effect_of
from dotexp.experiment.experiment import Experiment, Runtime
from dotexp.experiment.text import as_text
from dotexp.language.effects import Effect


def identity_text(experiment: Experiment) -> str:
    """Write an experiment without what its numbers do not depend on: data workers, checkpoints, device, threads.

    The device and the threads that a run really had are in its environment.
    """
    return as_text(experiment.replace(runtime=_numeric(experiment.runtime)))


def start_text(experiment: Experiment, index: int) -> str:
    """Write what the weights at the start of stage `index`, from 0, depend on: data, model and the stages before."""
    plain = {"name": "any", "description": "", "metrics": (), "reports": ()}
    stages = experiment.stages[:index]
    return as_text(experiment.replace(**plain, runtime=_numeric(experiment.runtime), stages=stages))


def _numeric(runtime: Runtime) -> Runtime:
    """Return the runtime with the settings that change the weights alone; the others have their defaults."""
    fields = type(runtime).model_fields
    return Runtime(**{name: value for name, value in runtime if effect_of(fields[name]).effect is Effect.weights})
