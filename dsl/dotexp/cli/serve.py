"""`spec-runner serve`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.cli.output import device_option, runs_option, set_option
from dotexp.cli.session import note_work_done
from dotexp.commands.workspace import Workspace
from dotexp.serve.limits import Limits

_DEFAULTS = Limits()


@click.command("serve")
@click.argument("run")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for every network.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "--batch",
    type=click.IntRange(1, 65536),
    default=_DEFAULTS.batch,
    show_default=True,
    help="Examples that the model gets at once, at most.",
)
@click.option(
    "--queue",
    type=click.IntRange(1, 10**6),
    default=_DEFAULTS.queue,
    show_default=True,
    help="Requests that may wait for the model; more get 503.",
)
@click.option(
    "--max-body", type=click.IntRange(1), default=_DEFAULTS.body, show_default=True, help="Bytes of a request."
)
@click.option(
    "--max-pixels", type=click.IntRange(1), default=_DEFAULTS.pixels, show_default=True, help="Pixels of an image."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.001, 86400),
    default=_DEFAULTS.seconds,
    show_default=True,
    help="Seconds until a request without an answer gets 504.",
)
@set_option
@device_option
@runs_option
def command(
    run: str,
    host: str,
    port: int,
    batch: int,
    queue: int,
    max_body: int,
    max_pixels: int,
    timeout: float,
    overrides: tuple[str, ...],
    device: str | None,
    root: Path,
) -> None:
    """Serve a run's or a bundle's model over HTTP: a page to try it on, /predict, /health, /metrics and /docs.

    It listens on this machine alone unless --host says otherwise, and knows no passwords. Ctrl-C, SIGTERM or
    SIGHUP answers the requests under way and ends it. It needs dotexp[serve].
    """
    limits = Limits(batch=batch, queue=queue, body=max_body, pixels=max_pixels, seconds=timeout)

    def started(address: str) -> None:
        note_work_done()
        click.echo(f"serving {run} at {address} (Ctrl-C ends it)")

    Workspace(root, device).serve(run, host=host, port=port, limits=limits, set=overrides, started=started)
