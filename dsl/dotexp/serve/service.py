"""A predictor behind a queue: requests to jobs, jobs in batches, outputs to answers."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from dotexp.export.predictor import Predictor
from dotexp.language.diagnostics import ComponentError, UsageError
from dotexp.serve.batching import Batcher
from dotexp.serve.limits import Limits
from dotexp.serve.metrics import Metrics
from dotexp.serve.requests import Forms, Inputs, Question, RefusedError

Answer = list[dict[str, Any]]


@dataclass(frozen=True)
class Examples:
    """Encoded inputs to predict for."""

    rows: Sequence[Mapping[str, Any]]
    inputs: tuple[Tensor, ...]


class Service:
    """Answers for a trained model. Its methods run on the event loop, the model on a thread of its own.

    `forms` are those of the questions in JSON; where the data's inputs are files, inputs are not among them. `has_data`
    says whether a query can open the run's data. Raises UsageError where the data does not say how it takes inputs.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor = predictor
        self.limits = limits
        self.metrics = Metrics()
        self.inputs = predictor.inputs
        queries = [query for query in predictor.queries.values() if query.title]
        self.forms = Forms(self.inputs, queries, limits)
        self.batcher: Batcher[Examples | Question, Answer] = Batcher(
            self._run, limits.batch, limits.queue, lambda job: len(job.rows) if isinstance(job, Examples) else 1
        )
        self._decoders = ThreadPoolExecutor(thread_name_prefix="decode")
        self.has_data = any(query.opens_data for query in queries) and self._opens_data()

    @property
    def name(self) -> str:
        """What is served: the run's or bundle's name."""
        return self.predictor.folder.name

    async def predict_files(self, files: Sequence[bytes]) -> Answer:
        """Predict for inputs given as the bytes of files. Raises RefusedError for one that cannot be read."""
        loop = asyncio.get_running_loop()
        return await self.batcher.submit(await loop.run_in_executor(self._decoders, self._decode, files))

    async def predict(self, inputs: Inputs) -> Answer:
        """Predict for inputs given in JSON. Raises RefusedError for one that cannot be encoded."""
        return await self.batcher.submit(_examples(self.predictor, inputs.values))

    async def ask(self, asked: Question) -> tuple[Mapping[str, Any], Answer]:
        """Answer a query; return the options that the service may choose, and the rows.

        Without the run's data, an option that spares it is given. Raises RefusedError where the question forbids it,
        UsageError for what the query refuses.
        """
        options = {each.keyword: self.forms.default(each) for each in asked.query.options}
        options.update({name: value for name, value in asked.options.items() if value is not None})
        chosen = {}
        for option in asked.query.options:
            if not option.spares_data:
                continue
            if not self.has_data and asked.options.get(option.keyword) is False:
                help = f"ask with `{option.keyword}`: true"
                raise RefusedError(422, f"this question has no answer without the run's data: {help}")
            if asked.options.get(option.keyword) is None:
                options[option.keyword] = option.default or not self.has_data
            chosen[option.keyword] = options[option.keyword]
        return chosen, await self.batcher.submit(replace(asked, options=options))

    async def close(self) -> None:
        """Answer what waits, and end the threads."""
        await self.batcher.close()
        self._decoders.shutdown()

    def _opens_data(self) -> bool:
        try:
            self.predictor.open_data()
        except (UsageError, ComponentError):
            return False
        return True

    def _decode(self, files: Sequence[bytes]) -> Examples:
        if self.inputs.media.startswith("image/"):
            for file in files:
                self._check_pixels(file)
        return _examples(self.predictor, files)

    def _check_pixels(self, content: bytes) -> None:
        """Refuse an image by its header alone where decoding it would take too much memory."""
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(BytesIO(content)) as image:
                    width, height = image.size
        except Image.DecompressionBombError as error:
            raise RefusedError(413, f"the image is too large: {error}") from error
        except Exception:  # what is no image is told of by the decoder, in its words
            return
        if width * height > self.limits.pixels:
            raise RefusedError(
                413, f"the image has {width:,} by {height:,} pixels: {self.limits.pixels:,} in all are taken"
            )

    def _run(self, jobs: Sequence[Examples | Question]) -> list[Answer | Exception]:
        """Answer jobs on the model's thread: all examples in one batch, queries one by one."""
        examples = [job for job in jobs if isinstance(job, Examples)]
        predicted = iter(self._predict(examples) if examples else ())
        return [next(predicted) if isinstance(job, Examples) else self._answer(job) for job in jobs]

    def _predict(self, jobs: Sequence[Examples]) -> list[Answer]:
        inputs = tuple(torch.cat(column) for column in zip(*(job.inputs for job in jobs), strict=True))
        started = perf_counter()
        outputs = self.predictor.outputs(inputs).tolist()
        self.metrics.model_seconds.add(perf_counter() - started)
        self.metrics.batches.add(len(outputs))
        found = iter(outputs)
        return [[self.predictor.read(row, next(found)).as_json() for row in job.rows] for job in jobs]

    def _answer(self, job: Question) -> Answer | Exception:
        try:
            return self.predictor.ask(job.query.name, job.value, **job.options)
        except Exception as error:  # this request's alone
            return error


def _examples(predictor: Predictor, inputs: Sequence[Any]) -> Examples:
    """Encode inputs. Raises RefusedError for one that cannot be encoded, as the encoder says it."""
    encoded = predictor.encode(inputs)
    if encoded.pieces is None:
        rows: list[Mapping[str, Any]] = list(encoded.rows)
        batches = list(encoded.batches)
    else:
        pieces = list(encoded.pieces(0))
        rows, batches = [row for piece in pieces for row in piece.rows], [piece.inputs for piece in pieces]
    for row in rows:
        if "error" in row:
            raise RefusedError(422, str(row["error"]))
    return Examples(rows, tuple(torch.cat(column) for column in zip(*batches, strict=True)))
