"""Components that belong to the language itself."""

from __future__ import annotations

from dotexp.components.component import Component, RunWeights

BUILTINS = (Component("weights", "run", RunWeights, build="dotexp.engine.build.network:run_weights"),)
"""`weights = run("name")`: the engine loads it, whatever the body."""
