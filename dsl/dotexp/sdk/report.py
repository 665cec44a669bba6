"""What a report is made of: sections of tables, plots, pictures and text; and what a section may look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from dotexp.components.component import Use
    from dotexp.components.facts import DataFacts
    from dotexp.experiment.experiment import Model
    from dotexp.runs.results import EpochRow
    from dotexp.sdk.data import Part
    from dotexp.sdk.seeds import Draw


class Colour(StrEnum):
    """Colours for plots that follow the page's theme; matplotlib takes them as they are.

    What is drawn without a colour follows it too: text, axes, and the lines, which take `first` to `eighth` in turn.
    """

    text = "#1f2329"
    muted = "#5c6470"
    grid = "#d5dae1"
    page = "#fefeff"
    first = "#1d5fd1"
    second = "#b6480b"
    third = "#17783c"
    fourth = "#7a3ed6"
    fifth = "#b3174b"
    sixth = "#0b7078"
    seventh = "#8a6100"
    eighth = "#475770"


Cell = str | int | float | None
"""What stands in a table: text, a number, or nothing."""


class Table(NamedTuple):
    """Rows under a header; `title` may be empty. A folded table, and any of many rows, opens by its title."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False


class Plot(NamedTuple):
    """A drawing: `draw` makes the figure when the page is written; `title` is its caption and its text for readers.

    A figure 5 inches wide or less is shown whole on a phone, beside its neighbour on a desk; a wider one can be
    scrolled.
    """

    title: str
    draw: Callable[[], Figure]


class Picture(NamedTuple):
    """An image, (3, H, W) floats in 0..1, with a caption."""

    image: Tensor
    caption: str


class Pictures(NamedTuple):
    """Images side by side."""

    title: str
    pictures: tuple[Picture, ...]


class Paragraph(NamedTuple):
    """A sentence or two."""

    text: str


class Verbatim(NamedTuple):
    """Text as it stands, such as a spec, folded under its title."""

    title: str
    text: str


Block = Table | Plot | Pictures | Paragraph | Verbatim
"""What stands under a section's title."""


class Section(NamedTuple):
    """One part of a report: a title and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Subject:
    """What a report looks at: a finished run's network, in evaluation mode on the CPU, and its validation part.

    `metrics` and `model` are the experiment's components. `outputs` are the activated outputs over the part, (N,) or
    (N, outputs) float32, `targets` the part's targets, both in the part's order; `losses` computes each example's own
    loss, (N,). `activate` maps the network's outputs to activated ones; `batch_size` and `seed` are the experiment's.
    `augmented` computes the activated outputs over the part with its examples augmented as in training, by a draw; None
    where the data augments nothing. `train` is the training part, for what is counted there; None where only the
    validation part was opened. `folder` is the run's, and `epochs` are its epochs: losses, metrics, and what callbacks
    have logged.
    """

    metrics: tuple[Use, ...]
    model: Model
    facts: DataFacts
    network: nn.Module
    part: Part
    outputs: Tensor
    targets: Tensor
    losses: Callable[[], Tensor]
    activate: Callable[[Tensor], Tensor]
    batch_size: int
    seed: int
    augmented: Callable[[Draw], Tensor] | None = None
    train: Part | None = None
    folder: Path | None = None
    epochs: tuple[EpochRow, ...] = ()


Reporter = Callable[[Subject], Sequence[Section]]
"""What a report component's builder makes of its parameters: `build(params)(subject)`."""
