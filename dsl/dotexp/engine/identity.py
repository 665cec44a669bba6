"""What a run's bits depend on, so that a resumed run can tell what has changed since."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import ndiff
from hashlib import sha256
from typing import Any

from dotexp.planning.plan import Plan

_MACHINE = ("device", "device_name", "threads", "cpu_capability", "data_fingerprint")


def identity(plan: Plan, environment: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the bits depend on: the experiment, the data, the versions and the machine."""
    return {"experiment": plan.identity, **conditions(environment)}


def conditions(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What of an environment the bits depend on: the data, the versions and the machine."""
    machine = {name: environment.get(name) for name in _MACHINE}
    versions = environment.get("versions") or {}
    return machine | {f"version of {name}": value for name, value in versions.items()}


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Digest of an identity: 64 hexadecimal digits."""
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Say, one by one, what differs: `threads: 2 was 4`; the experiment's lines as they were and are."""
    return tuple(_differences(before, now))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = str(before.get("experiment", "")), str(now.get("experiment", ""))
    if old != new:
        for line in ndiff(old.splitlines(), new.splitlines()):
            if line.startswith(("- ", "+ ")):
                yield f"experiment: {'was' if line[0] == '-' else 'now'} `{line[2:].strip()}`"
    for name in sorted((before.keys() | now.keys()) - {"experiment"}):
        if before.get(name) != now.get(name):
            yield f"{name.replace('_', ' ')}: now {now.get(name)}, was {before.get(name)}"
