"""What is wrong with a spec, said so that it can be mended.

The exceptions, and the exit code that each one means:

    DotexpError
      ├── SpecError       2   the spec, its data or the call is wrong: carries diagnostics
      ├── UsageError      2   the call is wrong, and no spec is to blame
      ├── RunError        1   the run failed: a loss that is not a number, a machine's fault
      ├── MachineError    1   the machine's fault outside a run: a full disk, too little memory
      └── Interrupted   130   the user stopped it

A `Problem` is a fault that a component reports in terms of its own parameters; the language turns it into a
`Diagnostic` with a place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from dotexp.language.source import HIDDEN, Span
from dotexp.record import Record

FORMAT_VERSION = 1


class Severity(StrEnum):
    """How bad it is: an error stops everything, a warning nothing."""

    error = "error"
    warning = "warning"


CODES: Mapping[str, str] = {
    # the text
    "E101": "a file that cannot be read as text",
    "E102": "a character that the language does not have",
    "E103": "a word or sign out of place",
    "E104": "a bracket or block that is not closed",
    "E105": "a number that is not written as numbers are",
    "E106": "a string that is not closed, or a backslash that means nothing",
    "E107": "a file, a literal or a nesting beyond the limits",
    "E108": "a name that is not one",
    "E109": "a statement that does not exist",
    "E110": "arithmetic, which the language does not have",
    # the statements
    "E201": "a required statement is missing",
    "E202": "what may stand once stands twice",
    # the names and values
    "E203": "an unknown component",
    "E204": "an unknown parameter",
    "E205": "a required parameter is missing",
    "E206": "a value of the wrong type",
    "E207": "a value out of bounds",
    "E208": "an unknown name",
    "E209": "params that name each other, or hide another name",
    "E210": "two plugins offer the component",
    "E211": "a base file that cannot be used",
    "E212": "an override of something that does not exist",
    "E213": "a plugin that does not load",
    "E214": "changes to a component where none is in force",
    "E215": "a component that its plugin has declared wrongly",
    "E216": "a component whose plugin's code fails, or gives what it should not",
    # across statements
    "E301": "an unknown layer or group",
    "E302": "a list of the wrong length",
    "E303": "a stage that trains nothing",
    "E304": "a loss, metric, callback or report that does not fit the task or the model",
    "E305": "a model that does not fit the data",
    "E306": "groups that do not hold every layer once, in order",
    "E307": "learning rates that do not name the groups that train",
    "E308": "a stage's data that is split otherwise than the experiment's",
    # with the data
    "E401": "data that cannot be found",
    "E402": "data that cannot be used",
    "E403": "fewer examples than a batch",
    "E404": "targets outside the range that the model can reach",
    "E405": "weights that cannot be used",
    # warnings
    "W501": "a param that nothing uses",
    "W502": "a group that no stage trains",
    "W503": "a momentum that the policy replaces",
    "W504": "fewer than three steps",
    "W505": "something about the data to know",
    "W506": "a plugin that does not load",
    "W507": "a former name of something, which still works",
    "W508": "a run resumed from an earlier place than its last, since a checkpoint is damaged or missing",
    "W509": "an override, or a `none`, that changes nothing",
    "W510": "a weights file that is missing, as the data is",
    "W511": "a learning rate that is probably not meant",
}
"""Every diagnostic's code and what it is about; dsl/README.md explains each."""


class Related(NamedTuple):
    """A second place that a diagnostic speaks of, such as where a name stood first."""

    message: str
    span: Span


class Diagnostic(Record):
    """One fault: a stable code, a message, a place and a way forward.

    `label` stands beside the caret; `suggestion` is text that would mend it when put in place of the span; `help` is
    a sentence under it.
    """

    code: str
    message: str
    span: Span | None
    label: str = ""
    suggestion: str | None = None
    help: str = ""
    related: tuple[Related, ...] = ()

    @property
    def severity(self) -> Severity:
        """Warning for the codes that start with W."""
        return Severity.warning if self.code.startswith("W") else Severity.error


class Problem(NamedTuple):
    """A fault as a component sees it: which of its own parameters is wrong, and why.

    `field` names the parameter (`None`: the component as a whole).
    """

    message: str
    field: str | None = None
    help: str = ""
    code: str = "E402"


class DotexpError(Exception):
    """Anything that dotexp refuses or fails at; `help` says what to do about it, where the message does not."""

    exit_code = 1

    def __init__(self, message: str = "", help: str = "") -> None:
        super().__init__(message)
        self.help = help
        if help:
            self.add_note(help)


class SpecError(DotexpError):
    """The spec, or the data it names, is wrong; `diagnostics` says where."""

    exit_code = 2

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(f"{d.severity}[{d.code}]: {d.message}" for d in diagnostics))
        self.diagnostics = tuple(diagnostics)


class UsageError(DotexpError):
    """The call is wrong: no such run, no such part."""

    exit_code = 2


class ComponentError(DotexpError):
    """A component refuses what it was given; carries a `Problem`. Plugins raise it, the language gives it a place."""

    exit_code = 2

    def __init__(self, message: str, field: str | None = None, help: str = "", code: str = "E402") -> None:
        super().__init__(message, help)
        self.problem = Problem(message, field, help, code)


class RunError(DotexpError):
    """The run failed."""

    exit_code = 1


class MachineError(DotexpError):
    """The machine is at fault, not the spec or the call: a full or read-only disk, too little memory."""

    exit_code = 1


class Interrupted(DotexpError):
    """The user stopped the run."""

    exit_code = 130


@dataclass
class Collector:
    """Gathers diagnostics, each one once."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    _seen: set[Diagnostic] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self._seen.update(self.diagnostics)

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic unless the same fault at the same place is there already."""
        if diagnostic not in self._seen:
            self._seen.add(diagnostic)
            self.diagnostics.append(diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keep several."""
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def report(self, code: str, message: str, span: Span | None, **more: Any) -> None:
        """Make a diagnostic and keep it; `more` are the other fields of `Diagnostic`."""
        self.add(Diagnostic(code, message, span, **more))

    @property
    def failed(self) -> bool:
        """Whether one of them is an error."""
        return any(d.severity is Severity.error for d in self.diagnostics)

    def sorted(self) -> tuple[Diagnostic, ...]:
        """All of them in the order of the text."""
        return tuple(sorted(self.diagnostics, key=_position))


def closest(name: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the likeliest intended choice for a misspelt name, or None where none is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    from difflib import get_close_matches  # where there is a fault: a check of a sound spec needs it not

    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def render(diagnostic: Diagnostic, width: int | None = None) -> str:
    """Draw a diagnostic as text: message, place, the line with the span marked, and the way forward.

    Where there is a `width`, sentences are broken between words, and a long line of the spec is shown around its span.
    """
    span = diagnostic.span
    gutter = " " * len(str(span.line)) if span else ""
    lines = _wrapped(f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}", width, "  ")
    if span is not None:
        note = diagnostic.label or (f"did you mean `{diagnostic.suggestion}`?" if diagnostic.suggestion else "")
        lines += _draw(span, note, width)
    for related in diagnostic.related:
        lines += _wrapped(f"note: {related.message}", width, "  ")
        lines += _draw(related.span, "", width)
    if diagnostic.help:
        lines += _wrapped(f"{gutter} = {diagnostic.help}", width, f"{gutter}   ")
    return HIDDEN.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines))  # names and values may hold a terminal's commands


def _wrapped(text: str, width: int | None, hanging: str) -> list[str]:
    if width is None or len(text) <= width:
        return [text]
    import textwrap  # where a terminal is narrower than a sentence

    return textwrap.wrap(
        text, max(width, 20), subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def as_json(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """`check --json`'s answer: format_version, valid, and every diagnostic with lines and columns from 1."""
    rows = [_row(d) for d in diagnostics]
    return {
        "format_version": FORMAT_VERSION,
        "valid": all(row["severity"] != "error" for row in rows),
        "diagnostics": rows,
    }


def _row(diagnostic: Diagnostic) -> dict[str, Any]:
    span = diagnostic.span
    return {
        "severity": str(diagnostic.severity),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "file": span.source.name if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "end_line": span.end_line if span else None,
        "end_column": span.end_column if span else None,
        "suggestion": diagnostic.suggestion,
        "help": diagnostic.help,
    }


def _draw(span: Span, note: str, width: int | None) -> list[str]:
    number = str(span.line)
    gutter = " " * len(number)
    text = span.source.line(span.line)
    widest = _WIDEST if width is None else max(20, min(_WIDEST, width - len(number) - 3))
    marked = (span.end - span.start) if span.end_line == span.line else len(text) - span.column + 1
    first = _first_shown(text, span.column - 1, marked, widest)
    lead = "".join("\t" if c == "\t" else " " for c in text[first : span.column - 1])
    piece = text[first : first + widest]
    if first + widest < len(text) and piece.rfind(" ") >= span.column - 1 - first + marked:
        piece = piece[: piece.rfind(" ")]  # no word is cut
    shown = "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in piece)
    carets = "^" * max(1, min(marked, widest - len(lead)))
    drawn = [f"{gutter}--> {span.source.name}:{number}:{span.column}", f"{gutter} |", f"{number} | {shown}".rstrip()]
    if width is None or not note or len(lead) + len(carets) + 1 + len(note) <= widest:
        return [*drawn, f"{gutter} | {lead}{carets} {note}".rstrip()]
    return [*drawn, f"{gutter} | {lead}{carets}", *_wrapped(f"{gutter} = {note}", width, f"{gutter}   ")]


def _first_shown(text: str, start: int, marked: int, widest: int) -> int:
    """Offset from which a line is shown, so that what is marked at `start` is seen; between words where one is near."""
    if len(text) <= widest or start + min(marked, widest // 2) <= widest:
        return 0
    first = max(0, min(start - widest // 2, len(text) - widest))
    space = text.find(" ", first, start)
    return space + 1 if 0 <= space - first <= widest // 4 else first


_WIDEST = 200


def _position(diagnostic: Diagnostic) -> tuple[bool, str, int]:
    span = diagnostic.span
    return (span is None, span.source.name if span else "", span.start if span else 0)
