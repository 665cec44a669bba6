"""`spec-runner export`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.cli.output import json_option, print_json, print_table, runs_option, said, set_option
from dotexp.cli.session import note_work_done
from dotexp.commands.workspace import Workspace
from dotexp.export.formats import Format, Quantized


@click.command("export")
@click.argument("run")
@click.option("--to", type=click.Choice(list(Format)), default=Format.bundle, show_default=True, help="What to write.")
@click.option("--out", type=click.Path(path_type=Path), help="Path to write; it must not exist.  [default: RUN-FORMAT]")
@click.option(
    "--sample",
    "samples",
    multiple=True,
    metavar="INPUT",
    help="An input, as for predict, to compare outputs on, in place of validation examples. May be given again.",
)
@click.option(
    "--quantize",
    type=click.Choice(list(Quantized)),
    help="Round weights to bf16 (bundle, torch), or numbers to int8 (onnx), and measure what it costs.",
)
@set_option
@runs_option
@json_option
def command(
    run: str,
    to: Format,
    out: Path | None,
    samples: tuple[str, ...],
    quantize: Quantized | None,
    overrides: tuple[str, ...],
    root: Path,
    as_json: bool,
) -> None:
    """Export a finished run's model, and compare the export's outputs with the model's.

    A bundle is a folder with the weights, the resolved spec, the labels or vocabulary, sample inputs with outputs, a
    model card and checksums: predict and evaluate take it in place of RUN, on any machine with dotexp. onnx is for
    onnxruntime, and needs dotexp[onnx]; torch is an ExportedProgram, for torch alone. Both take what the model
    takes, such as images as floats 0..1 of its size, or codes of ids, in batches of any size. Sample inputs are
    validation examples: --set says where the data is now, and --sample gives inputs in place of it.
    """
    exported = Workspace(root).export(run, to, out, set=overrides, samples=samples, quantize=quantize)
    note_work_done()
    if as_json:
        print_json(exported.as_json())
        return
    checked = f"{exported.samples} sample{'s' * (exported.samples != 1)} differ by at most {exported.difference:.2g}"
    click.echo(f"{exported.path}: {exported.bytes / 1e6:,.1f} MB, {checked}")
    if exported.quantized is not None:
        rows = [(name, said(model), said(export)) for name, (model, export) in exported.metrics.items()]
        print_table(rows, ("validation set", "model", str(exported.quantized)))
