"""`spec-runner predict`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dotexp.cli.output import (
    device_option,
    json_option,
    print_json,
    print_json_line,
    print_line,
    print_table,
    runs_option,
    set_option,
)
from dotexp.cli.query_options import query_options, read_question
from dotexp.cli.session import note_work_done
from dotexp.cli.streams import output_failed
from dotexp.commands.queries import open_predictor
from dotexp.commands.workspace import Workspace
from dotexp.components.registry import load_registry
from dotexp.export.predictor import Prediction
from dotexp.language.wording import counted

_SHOWN = 5


class PredictCommand(click.Command):
    """`predict`, with an option for each query that installed components offer, and for those of the queries."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, with what installed data takes as INPUT."""
        about = ", for ".join(form.about for form in load_registry().input_forms())
        written, self.help = self.help, (self.help or "").replace("for INPUT", f"for {about or 'INPUT'}", 1)
        super().format_help_text(ctx, formatter)
        self.help = written

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the arguments, then the options of queries, then those of `predict` itself."""
        own = super().get_params(ctx)
        return [*own[:2], *query_options(load_registry().queries()), *own[2:]]


@click.command("predict", cls=PredictCommand)
@click.argument("run")
@click.argument("inputs", nargs=-1, metavar="[INPUT…]")
@click.option(
    "--tta",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Average with N passes over images augmented as in training (test-time augmentation).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a .csv, .jsonl or .parquet file; an input that cannot be read is a row with its error.",
)
@set_option
@device_option
@runs_option
@json_option
@click.option("--json-lines", "as_lines", is_flag=True, help="Print a JSON value a line, as they come: for millions.")
def command(
    run: str,
    inputs: tuple[str, ...],
    tta: int | None,
    out: Path | None,
    overrides: tuple[str, ...],
    device: str | None,
    root: Path,
    as_json: bool,
    as_lines: bool,
    **given: Any,
) -> None:
    """Predict for INPUT, or answer a query about the run.

    RUN is a run's name, its folder, or an experiment's name (its newest finished run). An id that the training data
    did not have is given what the model has for such, and marked; an image that cannot be read is a row with its error.
    Where a query opens the run's data and that has moved, --set gives the parameter that names it, such as
    data.path=NEW. With --out, the same command given again goes on where it was stopped.
    """  # fmt: skip
    asked = read_question(given, inputs, load_registry().queries(), overrides)
    if tta and not inputs:
        raise click.UsageError("--tta goes with INPUT")
    workspace = Workspace(root, device)
    if out is not None:
        if tta or not inputs:
            raise click.UsageError("--out goes with INPUT, and without --tta")
        _predict_into(workspace, run, inputs, out, as_json)
    elif asked is not None:
        predictor = open_predictor(run, overrides, root, device)
        query = predictor.query(asked.name)
        rows = predictor.ask(asked.name, asked.value, **query.read(asked.options))
        print_rows(rows, query.rows, {query.key: asked.value}, as_json, as_lines)
    else:
        _predict(workspace.iter_predictions(run, inputs, tta=tta or 0), as_json, as_lines)


def _predict(predictions: Iterable[Prediction], as_json: bool, as_lines: bool) -> None:
    """Print predictions, and count on standard error the inputs without an answer."""
    rows, total, errors = [], 0, 0
    for prediction in predictions:
        total, errors = total + 1, errors + bool(prediction.error)
        if as_lines:
            print_json_line(prediction.as_json())
        elif as_json:
            rows.append(prediction.as_json())
        else:
            click.echo(_line(prediction))
        if output_failed():  # `| head` has what it wants
            return
    if as_json and not as_lines:
        print_json({"format_version": 1, "predictions": rows})
    if errors:
        print_line(f"warning: {errors} of {total} inputs have no answer; each is a row with its error", err=True)


def _predict_into(workspace: Workspace, run: str, inputs: Sequence[str], out: Path, as_json: bool) -> None:
    from dotexp.cli.display import Bar

    with Bar("predicting", "rows") as bar:
        written = workspace.predict_into(run, inputs, out, progress=bar.update)
    note_work_done()
    if as_json:
        row = {"path": str(written.path), "rows": written.rows, "errors": written.errors, "resumed": written.resumed}
        print_json({"format_version": 1, **row})
        return
    more = f", {written.errors:,} of them with an error" if written.errors else ""
    resumed = f" ({written.resumed:,} were there already)" if written.resumed else ""
    click.echo(f"{written.path}: {counted(written.rows, 'row')}{more}{resumed}")


def print_rows(
    rows: Sequence[Mapping[str, Any]], name: str, asked: Mapping[str, str], as_json: bool, as_lines: bool
) -> None:
    """Print the answer to a question: a table, or JSON with the rows under `name`."""
    if as_lines:
        for row in rows:
            print_json_line(row)
    elif as_json:
        print_json({"format_version": 1, **asked, name: rows})
    elif rows:
        header = list(dict.fromkeys(key for row in rows for key in row))
        print_table([[_cell(row.get(key, "")) for key in header] for row in rows], header)
    else:
        click.echo("nothing is left to name")


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _line(prediction: Prediction) -> str:
    name = " ".join(str(value) for value in prediction.input.values())
    if prediction.error:
        return f"{name}: error: {prediction.error}"
    if prediction.probabilities is not None:
        ranked = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])[:_SHOWN]
        listed = ", ".join(f"{label} {probability:.4f}" for label, probability in ranked)
        value = prediction.value if isinstance(prediction.value, str) else ", ".join(map(str, _many(prediction)))
        return f"{name}: {value} ({listed})"
    said = ", ".join(f"{number:.4f}" for number in _many(prediction))
    taken = f": {prediction.stand_in}" if prediction.stand_in else ""
    unknown = f" (unknown {' and '.join(prediction.unknown)}{taken})" if prediction.unknown else ""
    return f"{name}: {said}{unknown}"


def _many(prediction: Prediction) -> tuple[str | float, ...]:
    value = prediction.value
    return value if isinstance(value, tuple) else () if value is None else (value,)
