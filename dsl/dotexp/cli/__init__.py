"""`spec-runner`: the command line. Commands are imported when they are called, so that `--help` stays quick."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from dotexp.cli.session import Session
from dotexp.cli.streams import keep_standard_output_apart, standard_streams

COMMANDS: Mapping[str, tuple[str, str]] = {
    "check": ("dotexp.cli.check", "Say what is wrong with specs, opening no data."),
    "plan": ("dotexp.cli.plan", "Show what a run will do, step by step; train nothing."),
    "run": ("dotexp.cli.run", "Run specs, one after the other."),
    "resume": ("dotexp.cli.resume", "Go on with an interrupted run."),
    "evaluate": ("dotexp.cli.evaluate", "Compute a run's loss and metrics over its data."),
    "predict": ("dotexp.cli.predict", "Predict for new inputs with a run."),
    "report": ("dotexp.cli.report", "Write a run's report: one page with plots, in HTML."),
    "lr-find": ("dotexp.cli.lr_find", "Find a stage's learning rate by a sweep."),
    "export": ("dotexp.cli.export", "Export a run's model, to be used elsewhere."),
    "serve": ("dotexp.cli.serve", "Serve a run's model over HTTP."),
    "fmt": ("dotexp.cli.fmt", "Format specs: one layout, comments kept."),
    "explain": ("dotexp.cli.explain", "Say what a setting is, and where its value comes from."),
    "diff": ("dotexp.cli.diff", "Say how two specs or runs differ, and what each difference does."),
    "upgrade": ("dotexp.cli.upgrade", "Replace former names in specs by the current ones."),
    "resolve": ("dotexp.cli.resolve", "Print a spec with everything filled in."),
    "new": ("dotexp.cli.new", "Write a spec to start from."),
    "runs": ("dotexp.cli.runs", "List, show, compare and remove runs."),
    "verify": ("dotexp.cli.verify", "Do a run again and say what differs."),
    "plugins": ("dotexp.cli.plugins", "List installed plugins, and why one does not load."),
    "show": ("dotexp.cli.show", "Describe a component, a kind or a diagnostic's code."),
    "schema": ("dotexp.cli.schema", "Print JSON Schema of specs and of every component."),
    "doctor": ("dotexp.cli.doctor", "Check the installation: versions, device, plugins."),
}
"""Every command: its module, whose `command` it is, and what it does."""


LIGHT = ("check", "fmt", "explain", "diff", "upgrade", "resolve", "show", "plugins", "schema", "new")
"""Commands that take a moment and need little memory."""


def _note_traceback(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    session = ctx.find_object(Session)
    if session is not None:
        session.traceback = session.traceback or value


def _with_traceback(command: click.Command) -> click.Command:
    """Give a command, and those inside it, the option `--traceback`; as a value of another option it stays one."""
    if all(parameter.name != "traceback" for parameter in command.params):
        command.params.append(
            click.Option(
                ["--traceback"], is_flag=True, is_eager=True, expose_value=False, callback=_note_traceback,
                help="Show Python's traceback of a fault.",
            )
        )  # fmt: skip
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _with_traceback(each)
    return command


class LazyGroup(click.Group):
    """A group whose commands' modules are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        return _with_traceback(import_module(COMMANDS[cmd_name][0]).command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from dotexp.version import __version__

        click.echo(f"spec-runner, dotexp {__version__}")
        ctx.exit()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.option(
    "--traceback",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_note_traceback,
    envvar="DOTEXP_TRACEBACK",
    help="Show Python's traceback of a fault.",
)
@click.option(
    "--plugins",
    "plugins_folder",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Folder of plugins to use beside the installed ones, as `pip install --target FOLDER` fills it.",
)
def group(plugins_folder: str | None) -> None:
    """Check, plan and run deep-learning experiments written as .exp files."""
    if plugins_folder is not None and plugins_folder not in sys.path:
        sys.path.append(plugins_folder)


def main() -> None:
    """Run the command line and exit with its code."""
    light = _is_light(sys.argv[1:])
    if light:
        gc.disable()  # it ends before a collection would pay
    # Threads that spin while they wait are many times slower where another program wants the cores, too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for pydantic's own takes a tenth of a check
    keep_standard_output_apart()
    code = call(sys.argv[1:])
    if light:
        os._exit(code)  # the streams are flushed, and taking every module down again takes a fifth of a check's time
    sys.exit(code)


def call(arguments: Sequence[str]) -> int:
    """Call a command; return 0 (fine), 1 (the run failed), 2 (the spec or call is wrong) or 130 (interrupted)."""
    session = Session()
    with standard_streams() as (out, err):
        code = _call(arguments, session) if _is_light(arguments) else _call_heeding_signals(arguments, session)
        out.flush()
        if out.failure is not None and not isinstance(out.failure, BrokenPipeError):
            from dotexp.language.machine_faults import reason

            err.write(f"{'warning' if session.work_done else 'error'}: standard output: {reason(out.failure)}\n")
            code = code or (0 if session.work_done else 1)
    return code


def _is_light(arguments: Sequence[str]) -> bool:
    return bool(arguments) and arguments[0] in LIGHT


def _call_heeding_signals(arguments: Sequence[str], session: Session) -> int:
    from dotexp.stop_signals import stopped_by_any_signal

    try:
        with stopped_by_any_signal():
            return _call(arguments, session)
    except KeyboardInterrupt:  # it came while the command ended
        return 130


def _call(arguments: Sequence[str], session: Session) -> int:
    try:
        if not _works_anywhere(arguments):
            from dotexp.language.machine_faults import require_working_folder

            require_working_folder()
        code: int = group.main(list(arguments), prog_name="spec-runner", standalone_mode=False, obj=session) or 0
    except click.ClickException as error:
        error.show()
        code = 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = 130
    except Exception as error:  # nothing a user does may end in a traceback
        if session.traceback:
            raise
        code = _explain(error)
    return code


def _works_anywhere(arguments: Sequence[str]) -> bool:
    """Whether a call needs no current folder: help, and the commands that import no torch."""
    return not arguments or _is_light(arguments) or not {"-h", "--help", "--version"}.isdisjoint(arguments)


def _explain(error: Exception) -> int:
    """Print what went wrong and what to do about it; return the exit code."""
    from dotexp.cli.output import print_diagnostics, print_line
    from dotexp.language.diagnostics import Interrupted, SpecError
    from dotexp.language.machine_faults import machine_fault

    told = machine_fault(error)
    if told is None:
        message = f"error: {type(error).__name__}: {error}\n = a fault of dotexp or a plugin: --traceback shows where"
        print_line(message, err=True)
        return 1
    if isinstance(told, SpecError):
        print_diagnostics(told.diagnostics, err=True)
    else:
        lead = "" if isinstance(told, Interrupted) else "error: "
        print_line(f"{lead}{told}" + (f"\n = {told.help}" if told.help else ""), err=True)
    return told.exit_code
