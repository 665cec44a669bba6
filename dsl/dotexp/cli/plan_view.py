"""A plan drawn for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from dotexp.cli.output import columns
from dotexp.cli.tables import fitted, screen_width
from dotexp.engine.estimate import Estimate
from dotexp.experiment.text import freeze_text
from dotexp.language.wording import counted, counted_plural, range_ends
from dotexp.planning.plan import GroupPlan, Plan, StagePlan

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
_BEHIND_LABEL = " " * 8


def show_plan(plan: Plan, estimates: Sequence[Estimate]) -> None:
    """Print a plan: the data, and for every stage its groups, curves, rewrites and an estimate of memory and time."""
    console = Console(highlight=False, soft_wrap=True)
    title = f"{plan.name}: {plan.description}" if plan.description else plan.name
    _say(console, f"{title}  (seed {plan.seed})", bold=title)
    _say(console, f"data    {_data(plan)}", _BEHIND_LABEL)
    for name, guess in plan.facts.guesses.items():
        _say(console, f"  guessed: {name} = {guess}")
    _say(console, f"model   {counted(plan.parameters, 'parameter')}")
    for stage, estimate in zip(plan.stages, estimates, strict=True):
        console.print()
        _show_stage(console, stage, estimate)


def _say(console: Console, text: str, hanging: str = "    ", bold: str = "") -> None:
    """Print a line, broken between words where the terminal is narrower."""
    said = Text(fitted(text, screen_width(), hanging))
    said.stylize("bold", 0, len(bold))
    console.print(said)


def _show_stage(console: Console, stage: StagePlan, estimate: Estimate) -> None:
    batches = f"batches of {stage.batch_size}"
    if stage.batches_per_step > 1:
        batches += f", {stage.batches_per_step} to a step"
    epochs, steps = counted(stage.epochs, "epoch"), counted(stage.steps_per_epoch, "step")
    length = f"{epochs} of {steps}, {stage.steps:,} in all, {batches}"
    title = f"stage {stage.name}"
    _say(console, f"{title}  {freeze_text(stage.freeze)}; {length}", bold=title)
    _say(console, f"  loss {stage.loss.name}, optimizer {stage.optimizer.name}, policy {stage.fit.name}")
    console.print(_groups(stage), markup=False)
    rates = next((rates for rates in stage.rates if rates is not None), None)
    if rates:
        _draw(console, "learning rate", rates)
    if stage.momentum:
        low, high = min(stage.momentum), max(stage.momentum)
        said = f"{high:g}" if low == high else f"{stage.momentum[0]:g} → {_turn(stage.momentum):g}"
        _draw(console, "momentum", stage.momentum, said)
    for rewrite in stage.rewrites:
        applies = "applies" if rewrite.applies else "does not apply"
        _say(console, f"  rewrite {rewrite.name} {applies}: {rewrite.reason}")
    for hint in stage.hints:
        _say(console, f"  hint: {hint}")
    _say(console, f"  estimate: {estimate.said()}")


def _draw(console: Console, label: str, values: Sequence[float], said: str = "") -> None:
    """Print values as a curve that leaves room for what is said behind it."""
    lead, tail = f"  {label:13}  ", f"  {said}" if said else ""
    room = (screen_width() or _WIDTH + len(lead) + len(tail)) - len(lead) - len(tail)
    console.print(f"{lead}{curve(values, max(8, min(_WIDTH, room)))}{tail}", markup=False)


def _groups(stage: StagePlan) -> str:
    header = ("group", "layers", "parameters", "trainable", "batch norm", "lr start", "peak", "end")
    rows = [
        (
            group.name,
            _layers(group),
            f"{group.parameters:,}",
            f"{group.trainable_parameters:,}",
            group.batchnorm,
            *(("frozen", "", "") if rates is None else (f"{r:.3g}" for r in (rates[0], max(rates), rates[-1]))),
        )
        for group, rates in zip(stage.groups, stage.rates, strict=True)
    ]
    return columns(rows, header, right=range(2, 4), indent="  ")


def _layers(group: GroupPlan) -> str:
    said = f"{group.layers[0]}..{group.layers[-1]}" if len(group.layers) > 3 else ", ".join(group.layers)
    return said + (f" (frozen: {', '.join(group.frozen_layers)})" if group.frozen == "part" else "")


def curve(values: Sequence[float], width: int = _WIDTH) -> str:
    """Draw values as a line of bars, from the lowest to the highest."""
    count = min(width, len(values))
    picked = [values[(2 * i + 1) * len(values) // (2 * count)] for i in range(count)]
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in picked)


def _turn(values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    return low if abs(values[0] - high) < abs(values[0] - low) else high


def _data(plan: Plan) -> str:
    facts = plan.facts
    parts = f"{facts.train:,} train, {facts.valid:,} valid" + (f", {facts.test:,} test" if facts.test else "")
    said = [f"{plan.data.name}: {facts.task}", parts]
    if facts.classes is not None:
        shown = ", ".join(facts.classes[:8]) + (", …" if len(facts.classes) > 8 else "")
        said.append(f"{counted(len(facts.classes), 'class', 'classes')} ({shown})")
    if facts.entities:
        said.append(", ".join(counted_plural(count, name) for name, count in facts.entities.items()))
    if facts.range is not None:
        said.append(f"targets {'..'.join(range_ends(*facts.range))}")
    said += [counted_plural(count, name) for name, count in facts.summary.items()]
    return "; ".join(said)
