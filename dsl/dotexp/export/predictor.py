"""A trained model ready for new inputs, restored from a run's folder or from a bundle."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dotexp.components.builders import DataContext
from dotexp.components.component import Use, load_attribute
from dotexp.components.facts import DataFacts, ModelFacts
from dotexp.components.input_form import InputForm
from dotexp.components.queries import Query
from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.experiment import Device, Experiment
from dotexp.language.diagnostics import ComponentError, RunError, UsageError
from dotexp.planning.inference import inference_of
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import is_finite
from dotexp.sdk.answers import numbers

if TYPE_CHECKING:
    from torch import Tensor

    from dotexp.engine.prediction import Restored
    from dotexp.sdk.data import Data, Encoded, Trained


Input = str | tuple[str, ...]
"""Text, such as a path, or the texts of an input that has several."""

Value = str | float | tuple[str, ...] | tuple[float, ...]
"""A label, labels, a number or numbers."""


@dataclass(frozen=True)
class Prediction:
    """What a run predicts for one input.

    `input` names it (a path, or the ids that make it); `value` is the class, the classes that apply, or the number;
    `probabilities` are by class; `unknown` lists which of its ids the training data did not have, and `stand_in`
    says what the model took in their place. Where an input cannot be read, `error` says why, and `value` is None.
    """

    input: dict[str, Any]
    value: Value | None
    probabilities: dict[str, float] | None = None
    unknown: tuple[str, ...] = field(default=())
    stand_in: str = ""
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """`predict --json`'s row."""
        if self.error:
            return {**self.input, "error": self.error}
        row: dict[str, Any] = {**self.input, "value": self.value}
        if self.probabilities is not None:
            row["probabilities"] = self.probabilities
        return {**row, "unknown": list(self.unknown), "stand_in": self.stand_in} if self.unknown else row


def queries_of(experiment: Experiment) -> Mapping[str, Query]:
    """Return the queries that an experiment's model and data answer; a model's stands before its data's of one name."""
    model, found = experiment.model, dict[str, Query]()
    for part in (model.whole, model.head, model.body, experiment.stages[-1].data):
        for query in part.component.queries if part is not None else ():
            found.setdefault(query.name, query)
    return found


class Predictor:
    """A trained model with its data's vocabulary: encodes inputs, computes outputs, and reads them as predictions.

    The model is restored once, when the predictor is made. Raises UsageError where the folder has no model,
    ComponentError E405 where its weights do not fit.
    """

    def __init__(
        self, experiment: Experiment, folder: RunFolder, device: Device | None = None, registry: Registry | None = None
    ) -> None:
        from dotexp.engine.prediction import restore

        self.experiment = experiment
        self.registry = registry or load_registry()
        self.folder = folder
        self.facts: DataFacts = folder.read_facts()
        self._opened: Data | None = None
        self.data: Use = experiment.stages[-1].data
        self.restored: Restored = restore(inference_of(experiment), folder, device)
        whole = experiment.model.whole
        self._stand_in = whole.facts_as(ModelFacts).unknown if whole is not None else ""
        task = self.registry.tasks.get(self.facts.task)
        self._answer = numbers if task is None else load_attribute(task.answer)

    @cached_property
    def inputs(self) -> InputForm:
        """How the data takes inputs. Raises UsageError where it does not say."""
        form = self.data.component.inputs
        if form is None:
            name = self.data.name
            raise UsageError(f"`{name}` does not say how to encode new inputs, so nothing can be predicted from it")
        return form

    @cached_property
    def _encoder(self) -> Callable[[Sequence[Any]], Encoded]:
        encoder: Callable[[Sequence[Any]], Encoded] = load_attribute(self.inputs.encoder)(
            self.data.params, self.facts.vocabulary
        )
        return encoder

    def encode(self, inputs: Sequence[Any]) -> Encoded:
        """Encode inputs as the data does. Raises UsageError for inputs of another kind, TypeError for other tuples."""
        return self._encoder([self.inputs.given(each) if isinstance(each, tuple) else each for each in inputs])

    def predictions(self, inputs: Sequence[Any], tta: int = 0) -> Iterator[Prediction]:
        """Yield a prediction for each input, in bounded memory; one without an answer is a prediction with its error.

        Raises UsageError where no input has an answer, and where the data needs all of them to be readable.
        """
        from dotexp.engine.prediction import outputs_for

        encoded = self.encode(inputs)
        if not encoded.errors_as_rows or encoded.pieces is None:
            answers = self._answered(encoded.rows, outputs_for(self.restored, encoded, tta))
            yield from _errors_first_fail(answers)
            return
        if tta and encoded.augmented is not None:
            rows = [row for piece in encoded.pieces(0) for row in piece.rows]
            readable = self.encode([row["input"] for row in rows if "error" not in row])
            yield from _errors_first_fail(self._answered(rows, outputs_for(self.restored, readable, tta)))
            return
        if tta:
            outputs_for(self.restored, encoded, tta)  # which says why there is nothing to average
        yield from _errors_first_fail(
            answer
            for piece in encoded.pieces(0)
            for answer in self._answered(piece.rows, [self.outputs(piece.inputs)] if piece.inputs else [])
        )

    def _answered(self, rows: Iterable[Mapping[str, Any]], outputs: Iterable[Tensor]) -> Iterator[Prediction]:
        """Read outputs, in batches, as the predictions of the rows; rows with an error have none."""
        each = (output for batch in outputs for output in batch.tolist())
        for row in rows:
            yield Prediction(_named(row), None, error=row["error"]) if "error" in row else self.read(row, next(each))

    def outputs(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Compute the activated outputs of a batch, (B,) or (B, outputs), float32 on the CPU."""
        (outputs,) = self.trained().scores(iter([inputs]))
        return outputs

    def read(self, row: Mapping[str, Any], output: Any) -> Prediction:
        """Read an activated output, a number or a list of them, as the prediction for the input that `row` names.

        An output that is not finite is no answer: the prediction has an error in its place.
        """
        named = dict(row)
        unknown = tuple(named.pop("unknown", ()))
        if not is_finite(output):
            return Prediction(named, None, error=_NO_NUMBER)
        value, probabilities = self._answer(output, self.facts)
        return Prediction(named, value, probabilities, unknown, self._stand_in if unknown else "")

    @property
    def queries(self) -> Mapping[str, Query]:
        """Queries that the run's data and model answer, by name; a model's stands before its data's of one name."""
        return queries_of(self.experiment)

    def query(self, name: str) -> Query:
        """Return the query of a name. Raises UsageError where neither the data nor the model answers one."""
        queries = self.queries
        if name not in queries:
            listed = ", ".join(f"`{each}`" for each in queries) or "none"
            raise UsageError(f"`{self.data.name}` and its model answer no query `{name}` (they answer: {listed})")
        return queries[name]

    def ask(self, name: str, value: str, **options: Any) -> list[dict[str, Any]]:
        """Answer a query with rows.

        Raises UsageError for what it refuses, and where it needs data that is gone; RunError for scores that are not
        finite, since nothing can be ranked by them.
        """
        query = self.query(name)
        arguments = query.arguments(options)
        answer: Callable[..., list[dict[str, Any]]] = load_attribute(query.answer)
        return _with_numbers(answer(self.trained(), value, **arguments))

    def trained(self) -> Trained:
        """Return the model as queries take it."""
        from dotexp.engine.prediction import trained

        return trained(self.restored, self.facts.vocabulary, self._data_for_queries)

    def open_data(self) -> Data:
        """Open the run's data, once. Raises ComponentError where it is gone, UsageError where it has changed."""
        if self._opened is not None:
            return self._opened
        data: Data = self.data.build(DataContext(self.experiment.seed))
        if json.loads(json.dumps(dict(data.facts.vocabulary))) != self.facts.vocabulary:
            what = " or ".join(self.facts.entities) or "classes"
            raise UsageError(f"the data has other {what} than {self.folder.path} was trained on")
        self._opened = data
        return data

    def _data_for_queries(self) -> Data:
        try:
            return self.open_data()
        except ComponentError as error:
            raise UsageError(str(error)) from error


_NO_NUMBER = "the model's output for it is not a finite number: look at the input's numbers, and at the run's losses"


def _with_numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of an answer. Raises RunError where a score is not a finite number, so that none can be ranked."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise RunError(f"the model's {name} is {value}, so nothing can be ranked: look at the run's losses")
    return rows


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("error", "unknown")}


def _errors_first_fail(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
    """Yield predictions as they come, errors that stand first with the first answer; UsageError where none is one."""
    waiting: list[Prediction] = []
    answered = False
    for prediction in predictions:
        answered = answered or not prediction.error
        waiting.append(prediction)
        if answered:
            yield from waiting
            waiting = []
    if waiting:
        others = len(waiting) - 1
        more = f" (and {others} more input{'s' * (others > 1)})" if others else ""
        raise UsageError(f"{waiting[0].error}{more}")
