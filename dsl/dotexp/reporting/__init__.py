"""report.html: a run's story on one self-contained page. Needs no torch; to write it imports matplotlib and jinja2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotexp.language.diagnostics import FORMAT_VERSION
from dotexp.reporting.history import COURSE, MAKE, heading, sections_of
from dotexp.reporting.page import Drawer, Drawn, page
from dotexp.runs.files import write_text
from dotexp.runs.folder import RunFolder
from dotexp.sdk.report import Paragraph, Table
from dotexp.version import __version__

__all__ = ["Drawer", "Drawn", "Report", "write_report"]


@dataclass(frozen=True)
class Report:
    """A report that was written: where, its sections, and what could not be reported, sentence by sentence."""

    path: Path
    sections: tuple[Drawn, ...]
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """`report --json`'s answer: the tables and sentences of every section."""
        return {
            "format_version": FORMAT_VERSION,
            "path": str(self.path),
            "problems": list(self.problems),
            "sections": [_section_json(section) for section in self.sections],
        }


def write_report(
    run: RunFolder, drawer: Drawer, description: str = "", asked: Sequence[Drawn] = (), problems: Sequence[str] = ()
) -> Report:
    """Write a run's report.html: how it went, the sections that were asked for, and what it was made of.

    A run that failed, was interrupted or goes on has one too. Raises UsageError where result.json or metrics.jsonl
    cannot be read, OSError where the file cannot be written.
    """
    sections = (*sections_of(run, COURSE, drawer), *asked, *sections_of(run, MAKE, drawer))
    write_text(run.report, page({**heading(run, description), "version": __version__}, sections))
    return Report(run.report, sections, tuple(problems))


def _section_json(drawn: Drawn) -> dict[str, Any]:
    blocks = drawn.section.blocks
    tables = [
        {"title": block.title, "header": list(block.header), "rows": [list(row) for row in block.rows]}
        for block in blocks
        if isinstance(block, Table)
    ]
    text = [block.text for block in blocks if isinstance(block, Paragraph)]
    return {"title": drawn.title, "failed": drawn.failed, "tables": tables, "text": text}
