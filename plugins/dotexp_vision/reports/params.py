"""Parameters of the reports on what a classifier gets right and wrong."""

from typing import Annotated

from dotexp import Component, Params, Percent, Positional, ReportFacts
from pydantic import Field


class ConfusionMatrixParams(Params):
    """How often each class was taken for each: a row for what it is, a column for what the model says.

    With several labels an example, a table of each label's right and wrong answers.
    """

    normalize: bool = Field(False, description="shares of each actual class instead of counts")


class MostConfusedParams(Params):
    """Pairs of classes that are confused most often, as actual and predicted."""

    min: Annotated[int, Positional()] = Field(2, ge=1, le=10**9, description="confusions from which a pair is listed")


class TopLossesParams(Params):
    """Validation examples with the highest losses, with their pictures."""

    k: Annotated[int, Positional()] = Field(9, ge=1, le=1000, description="how many")


class PerClassParams(Params):
    """Precision, recall, F1 and number of examples of each class."""


class CalibrationParams(Params):
    """Whether probabilities can be taken at their word: a reliability diagram and the expected calibration error."""

    bins: int = Field(10, ge=2, le=100, description="intervals of equal width that the probabilities are sorted into")


class TtaParams(Params):
    """Metrics with and without test-time augmentation: several augmented passes averaged with the plain one."""

    copies: Annotated[int, Positional()] = Field(4, ge=1, le=100, description="augmented passes over the set")
    beta: Annotated[float, Percent()] = Field(0.25, ge=0, le=1, description="weight of the plain pass, as in fastai")


_HOME = "dotexp_vision.reports.sections"
_ONE_CLASS = ReportFacts(tasks=("classification",))
_CLASSES = ReportFacts(tasks=("classification", "multilabel"))
_IMAGES = ReportFacts(tasks=("classification", "multilabel", "regression"))

COMPONENTS = (
    Component("report", "confusion_matrix", ConfusionMatrixParams, f"{_HOME}:confusion_matrix", _CLASSES),
    Component("report", "most_confused", MostConfusedParams, f"{_HOME}:most_confused", _ONE_CLASS),
    Component("report", "top_losses", TopLossesParams, f"{_HOME}:top_losses", _IMAGES),
    Component("report", "per_class", PerClassParams, f"{_HOME}:per_class", _CLASSES),
    Component("report", "calibration", CalibrationParams, f"{_HOME}:calibration", _CLASSES),
    Component("report", "tta", TtaParams, f"{_HOME}:tta", _IMAGES),
)
