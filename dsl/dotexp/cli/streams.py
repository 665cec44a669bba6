"""Standard output and error that cannot end a command: what they cannot encode is replaced, what fails is dropped.

What a command prints is not its work: a pipe that is closed, a terminal that is gone or a disk that is full must not
end a run. A stream that has failed once drops what comes after, and its `failure` says why.

Standard output is for what the command line prints, which programs read. What other code prints, such as a plugin that
is imported or called, goes to standard error.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO, cast

SUBSTITUTES = str.maketrans(
    {
        "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#",
        "─": "-", "│": "|", "┬": "+", "└": "+", "├": "+", "━": "-", "╸": "-", "╺": "-",
        "→": "->", "≥": ">=", "≤": "<=", "≠": "!=", "±": "+-", "×": "x", "÷": "/", "−": "-", "∞": "inf", "·": "*",
        "…": "...", "‥": "..", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "•": "*",
        "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "«": '"', "»": '"',
        "\N{NO-BREAK SPACE}": " ", "\N{REPLACEMENT CHARACTER}": "?",
    }
)  # fmt: skip
"""What stands in the place of characters that dotexp prints, where a stream cannot have them."""


class Stream:
    """A standard stream whose writes never raise; `failure` is why the stream was given up, None while it works."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None where the descriptor was closed at the start
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        """Write text, or drop it where the stream has failed."""
        if not isinstance(text, str):
            raise TypeError(f"text is written here, not {type(text).__name__}")
        if self._stream is not None and self.failure is None:
            try:
                self._write(self._stream, text)
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                self._give_up(self._stream, error)
        return len(text)

    def write_utf8(self, text: str) -> None:
        """Write text as UTF-8, line ends as they are, whatever the stream's encoding: the text is a file's."""
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            self.write(text)
        elif self._stream is not None and self.failure is None:
            try:
                self._stream.flush()
                buffer.write(text.encode())
            except (OSError, ValueError) as error:
                self._give_up(self._stream, error)

    def flush(self) -> None:
        """Flush the stream, or do nothing where it has failed."""
        if self._stream is not None and self.failure is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(self._stream, error)

    def isatty(self) -> bool:
        """Whether this is a terminal that still works."""
        return self._stream is not None and self.failure is None and self._stream.isatty()

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(substituted(text, stream.encoding))

    def _give_up(self, stream: TextIO, error: Exception) -> None:
        self.failure = error
        with suppress(OSError, ValueError):  # Python flushes what is left in the buffer at its end
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer" and not utf8(self._stream):
            raise AttributeError(name)  # click would write UTF-8 into it, whatever the stream's encoding
        return getattr(self._stream, name)


class Answers(Stream):
    """Standard output: takes what the command line prints, and passes on to `other` what anything else does."""

    def __init__(self, stream: TextIO | None, other: Stream) -> None:
        super().__init__(stream)
        self._other = other

    def write(self, text: str) -> int:
        """Write text of the command line; text of another module goes to the other stream."""
        return super().write(text) if _written_by_the_command_line() else self._other.write(text)

    def __getattr__(self, name: str) -> Any:
        own = super().__getattr__(name)
        return own if name != "buffer" else self._other.buffer


def _written_by_the_command_line() -> bool:
    """Whether the caller of `write` is dotexp.cli, by itself or through a library that prints for it."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _package(frame) in _PRINTERS:
        frame = frame.f_back
    return frame is None or _package(frame) == "dotexp.cli"


_PRINTERS = ("click", "rich")


def _package(frame: FrameType) -> str:
    """Return the package of a frame's module: of dotexp's own with the folder."""
    names = str(frame.f_globals.get("__name__", "")).split(".")
    return ".".join(names[: 2 if names[0] == "dotexp" else 1])


def keep_standard_output_apart() -> None:
    """Give standard output a descriptor of its own, so that what a library in C or a subprocess prints to descriptor 1
    goes to standard error."""
    stream = sys.stdout
    if os.name == "nt" or not isinstance(stream, io.TextIOWrapper) or stream is not sys.__stdout__:
        return
    try:
        stream.flush()
        own = os.fdopen(os.dup(stream.fileno()), "wb")
    except (OSError, ValueError):  # closed, or no file
        return
    apart = io.TextIOWrapper(
        own, stream.encoding, stream.errors, "\n", line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )  # fmt: skip
    try:
        os.dup2(2, stream.fileno())
    except OSError:  # standard error is closed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    sys.stdout = sys.__stdout__ = apart  # type: ignore[misc]


def substituted(text: str, encoding: str) -> str:
    """Replace what an encoding does not have: by a substitute where there is one, else by an escape such as \\u0416."""

    def shown(character: str) -> str:
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            return character.translate(SUBSTITUTES).encode(encoding, "backslashreplace").decode(encoding)
        return character

    return "".join(map(shown, text))


def utf8(stream: object) -> bool:
    """Whether a stream's encoding is UTF-8; one that has none, such as one in memory, takes every character, too."""
    encoding = getattr(stream, "encoding", None)
    return encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8")


def output_failed() -> bool:
    """Whether standard output has failed, so that going on to print is for nobody."""
    return isinstance(sys.stdout, Stream) and sys.stdout.failure is not None


@contextmanager
def standard_streams() -> Iterator[tuple[Stream, Stream]]:
    """Put safe streams in the place of standard output and error."""
    before = (sys.stdout, sys.stderr)
    err = Stream(before[1])
    out = Answers(before[0], err)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    with _blocking(before):
        try:
            yield out, err
        finally:
            out.flush()
            err.flush()
            sys.stdout, sys.stderr = before


@contextmanager
def _blocking(streams: tuple[TextIO | None, ...]) -> Iterator[None]:
    """Have writes wait for a slow reader; another program may have set the terminal they share not to."""
    changed = []
    for stream in streams:
        with suppress(OSError, ValueError, AttributeError):
            descriptor = stream.fileno() if stream is not None else -1
            if not os.get_blocking(descriptor):
                os.set_blocking(descriptor, True)
                changed.append(descriptor)
    try:
        yield
    finally:
        for descriptor in changed:
            with suppress(OSError):
                os.set_blocking(descriptor, False)
