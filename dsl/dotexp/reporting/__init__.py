"""report.html: one self-contained page about a run. Needs no torch; writing it imports matplotlib and jinja2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotexp.language.diagnostics import FORMAT_VERSION
from dotexp.language.machine_faults import file_fault
from dotexp.reporting.page import RenderedSection, SectionRenderer, page
from dotexp.reporting.run_sections import OUTCOME, SETUP, heading, render_sections
from dotexp.runs.files import write_text
from dotexp.runs.folder import RunFolder
from dotexp.sdk.report import Paragraph, Table
from dotexp.version import __version__

__all__ = ["RenderedSection", "Report", "SectionRenderer", "write_report"]


@dataclass(frozen=True)
class Report:
    """A written report: its path, its sections, and a sentence for each section that failed."""

    path: Path
    sections: tuple[RenderedSection, ...]
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
    run: RunFolder,
    renderer: SectionRenderer,
    description: str = "",
    asked: Sequence[RenderedSection] = (),
    problems: Sequence[str] = (),
) -> Report:
    """Write a run's report.html: its training, the sections in `asked`, its layer groups, data, spec and environment.

    A failed, interrupted or unfinished run has one, too. Raises UsageError where result.json or metrics.jsonl
    cannot be read, and as `file_fault` where the file cannot be written.
    """
    sections = (*render_sections(run, OUTCOME, renderer), *asked, *render_sections(run, SETUP, renderer))
    text = page({**heading(run, description), "version": __version__}, sections)
    try:
        write_text(run.report, text)
    except OSError as error:
        raise file_fault("write", run.report, error) from error
    return Report(run.report, sections, tuple(problems))


def _section_json(rendered: RenderedSection) -> dict[str, Any]:
    blocks = rendered.section.blocks
    tables = [
        {"title": block.title, "header": list(block.header), "rows": [list(row) for row in block.rows]}
        for block in blocks
        if isinstance(block, Table)
    ]
    text = [block.text for block in blocks if isinstance(block, Paragraph)]
    return {"title": rendered.title, "failed": rendered.failed, "tables": tables, "text": text}
