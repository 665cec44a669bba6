"""The table of statements: every keyword, where it may stand, what stands behind it, and what it does.

A new statement is a row here, a word in the grammar (experiment.lark) and a field of `Experiment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from dotexp.language.effects import Effect

TOP, MODEL, STAGE = "top", "model", "stage"
"""Places of statements: a file, and the blocks of a model and of a stage."""


class Form(StrEnum):
    """What stands behind a keyword."""

    component = "component"  # one component, or changes to the one in force
    listing = "listing"  # several components, or none
    settings = "settings"  # changes alone, in parentheses
    block = "block"  # a component, or members in braces
    stage = "stage"  # a name, and members in braces
    name = "name"
    param = "param"  # a name, `=` and a value
    number = "number"
    path = "path"
    layers = "layers"
    alone = "alone"


_TAKES = {
    Form.component: "a component, or changes in parentheses",
    Form.settings: "settings in parentheses",
    Form.block: "a component, or `{ body …  head … }`",
    Form.stage: "a name and members",
    Form.name: "a name",
    Form.param: "a name, `=` and a value",
    Form.number: "a number",
    Form.path: "a path in quotes",
    Form.alone: "nothing",
}
_ONE = {Form.number: "number", Form.param: "value", Form.path: "path", Form.name: "name"}
_USAGE = {Form.component: " COMPONENT", Form.listing: " COMPONENT, …", Form.settings: "(…)"}


class Keyword(NamedTuple):
    """A statement: its word, the places where it may stand, its form, what it does, and an example.

    Of a statement of components, `kind` is the components' kind, `default` the component in force where none is
    named, `field` the field of `Experiment` and `Stage` (or `Model`) that holds them, and `path` their place in
    `--set`. `takes` and `usage` stand where the form does not say enough. A `former` spelling still works, with a
    warning. `effect` is what another value does to a run; a parameter may say otherwise (`Affects`).
    """

    word: str
    places: tuple[str, ...]
    form: Form
    help: str
    example: str
    kind: str = ""
    field: str = ""
    path: str = ""
    default: str = ""
    required: bool = False
    takes: str = ""
    usage: str = ""
    former: tuple[str, ...] = ()
    effect: Effect = Effect.weights

    @property
    def terminal(self) -> str:
        """Terminal of the grammar: one for all statements of components that share form and places."""
        if self.form not in (Form.component, Form.listing, Form.settings):
            return self.word.upper()
        prefix = "" if len(self.places) > 1 else f"{self.places[0].upper()}_"
        return f"{prefix}{self.form.upper()}"

    @property
    def needs(self) -> str:
        """What an incomplete statement lacks, with an example."""
        return f"{self.takes or _TAKES[self.form]}, such as `{self.example}`"

    @property
    def written(self) -> str:
        """How it is written, as the documentation shows it."""
        return self.usage or (f"`{self.word}{_USAGE[self.form]}`" if self.form in _USAGE else f"`{self.example}`")

    @property
    def one(self) -> str:
        """What it takes one of, in a word."""
        return _ONE.get(self.form, "component")

    @property
    def several(self) -> bool:
        """Whether commas may separate several of what it takes."""
        return self.form in (Form.listing, Form.layers)

    @property
    def changeable(self) -> bool:
        """Whether parentheses may follow the keyword, with changes to the component in force."""
        return self.form in (Form.component, Form.settings, Form.block)


KEYWORDS: tuple[Keyword, ...] = (
    Keyword("dotexp", (TOP,), Form.number, "the language's version; optional, first", "dotexp 1"),
    Keyword("extends", (TOP,), Form.path, "start from another file; then first", 'extends "base.exp"'),
    Keyword(
        "experiment", (TOP,), Form.name,
        "the name (ASCII, at most 64 characters: it names the run's folder) and what it is about",
        'experiment pets "what it is about"', required=True, usage='`experiment NAME "…"`',
        effect=Effect.reporting,
    ),
    Keyword("seed", (TOP,), Form.number, "seed of everything random; 42 unless said", "seed 42", path="seed"),
    Keyword("param", (TOP,), Form.param, "a named constant", "param epochs = 2", usage="`param NAME = VALUE`"),
    Keyword(
        "data", (TOP, STAGE), Form.component, "the data", 'data image_folder("data/pets")',
        kind="data", field="data", path="data", required=True,
    ),
    Keyword(
        "model", (TOP,), Form.block, "a whole model, or a body with a head", "model { body resnet34  head mlp }",
        kind="model", field="whole", path="model", required=True,
        usage="`model COMPONENT`, `model { body … head … groups … }`",
    ),
    Keyword(
        "loss", (TOP, STAGE), Form.component, "the loss", "loss cross_entropy",
        kind="loss", field="loss", path="loss", required=True,
    ),
    Keyword(
        "optimizer", (TOP, STAGE), Form.component, "the optimizer; `adam` unless said", "optimizer adam(wd = 0.1)",
        kind="optimizer", field="optimizer", path="optimizer", default="adam",
    ),
    Keyword(
        "metrics", (TOP,), Form.listing, "what is measured on the validation set after every epoch",
        "metrics accuracy", kind="metric", field="metrics", path="metrics", takes="a metric",
        effect=Effect.reporting,
    ),
    Keyword(
        "callbacks", (TOP, STAGE), Form.listing,
        "what else goes on while a stage trains: early stopping, clipping, mixup",
        "callbacks early_stopping", kind="callback", field="callbacks", path="callbacks", takes="a callback",
    ),
    Keyword(
        "report", (TOP,), Form.listing, "sections of the run's `report.html` beside those that every report has",
        "report confusion_matrix", kind="report", field="reports", path="report", takes="a section",
        effect=Effect.reporting,
    ),
    Keyword(
        "runtime", (TOP,), Form.settings, "device, precision, data workers, threads", "runtime(device = cpu)",
        kind="runtime", field="runtime", path="runtime", default="runtime",
    ),
    Keyword(
        "stage", (TOP,), Form.stage, "a stage of training: the statements below",
        "stage train { fit one_cycle(epochs = 5, lr = 1e-3) }", required=True, usage="`stage NAME { … }`",
    ),
    Keyword(
        "stages", (TOP,), Form.component, "stages that a component stands for, such as `fine_tune`",
        "stages fine_tune(5)", kind="stages", path="stages",
    ),
    Keyword(
        "body", (MODEL,), Form.component, "what turns images into features, cut off before its classifier",
        "body resnet34(weights = imagenet)", kind="body", field="body", path="model.body", required=True,
    ),
    Keyword(
        "head", (MODEL,), Form.component, "what turns the body's features into predictions", "head mlp([512])",
        kind="head", field="head", path="model.head", required=True,
    ),
    Keyword(
        "groups", (MODEL,), Form.layers, "learning-rate groups, in place of the body's own",
        "groups early [stem..layer2], late [layer3]", takes="groups of layers", usage="`groups NAME [LAYERS], …`",
    ),
    Keyword(
        "freeze", (STAGE,), Form.layers, "which layers do not train; `except batchnorm`, `except norm`", "freeze body",
        path="freeze", takes="layers or groups", usage="`freeze LAYERS`, `freeze before LAYER`",
    ),
    Keyword("unfreeze", (STAGE,), Form.alone, "every layer trains, which is the default", "unfreeze"),
    Keyword(
        "fit", (STAGE,), Form.component, "the learning-rate policy, and for how many epochs",
        "fit one_cycle(epochs = 5, lr = 1e-3)", kind="policy", field="fit", path="fit", required=True,
    ),
)  # fmt: skip
"""Every statement, in the order in which messages list them and in which a resolved spec is written."""

LATER = ("sweep", "track")
"""Statements of the language that this version does not have."""

BY_WORD: Mapping[str, Keyword] = {keyword.word: keyword for keyword in KEYWORDS}

LEADERS: Mapping[str, tuple[str, ...]] = {
    place: tuple(keyword.word for keyword in KEYWORDS if place in keyword.places) for place in (TOP, MODEL, STAGE)
}
"""Words that lead the statements of each place."""

FORMER: Mapping[str, str] = {former: keyword.word for keyword in KEYWORDS for former in keyword.former}
"""Current word of each former spelling of a statement."""

RESERVED: Mapping[str, str] = {
    **{word: keyword.terminal for keyword in KEYWORDS for word in (keyword.word, *keyword.former)},
    **{word: word.upper() for word in ("before", "except", "none")},
    **dict.fromkeys(("true", "false"), "CONSTANT"),
}
"""Terminal of every reserved word."""


def keyword_of(word: str) -> Keyword | None:
    """Return the statement that a word leads, by a former spelling too."""
    return BY_WORD.get(FORMER.get(word, word))


def in_place(place: str, *forms: Form) -> tuple[Keyword, ...]:
    """Return the statements that may stand in a place, of these forms if any are given."""
    return tuple(each for each in KEYWORDS if place in each.places and (not forms or each.form in forms))
