"""A predictor behind a queue: requests to jobs, jobs in batches, outputs to answers."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from dotexp.export.predictor import Predictor
from dotexp.language.diagnostics import ComponentError, UsageError
from dotexp.sdk.data import Piece
from dotexp.serve.batching import Batcher
from dotexp.serve.limits import Limits
from dotexp.serve.metrics import Metrics

Answer = list[dict[str, Any]]


@dataclass(frozen=True)
class Examples:
    """Encoded inputs to predict for."""

    rows: Sequence[Mapping[str, Any]]
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Recommendation:
    """A user's best items to name."""

    user: str
    top: int
    seen: bool


class RefusedError(Exception):
    """A request that cannot be answered: the HTTP status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Service:
    """Answers for a trained model. Its methods run on the event loop, the model on a thread of its own.

    `takes_images` says what inputs are; else they are pairs of a user and an item. `knows_ratings` says whether the
    run's data is at hand, so that what a user has rated can be left out.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor = predictor
        self.limits = limits
        self.metrics = Metrics()
        self.batcher: Batcher[Examples | Recommendation, Answer] = Batcher(
            self._run, limits.batch, limits.queue, lambda job: len(job.rows) if isinstance(job, Examples) else 1
        )
        self._decoders = ThreadPoolExecutor(thread_name_prefix="decode")
        self.takes_images = "user" not in predictor.queries
        self.knows_ratings = not self.takes_images and self._opens_data()

    @property
    def name(self) -> str:
        """What is served: the run's or bundle's name."""
        return self.predictor.folder.name

    async def predict_images(self, images: Sequence[bytes]) -> Answer:
        """Predict for images given as the bytes of files. Raises RefusedError for one that cannot be read."""
        loop = asyncio.get_running_loop()
        piece = await loop.run_in_executor(self._decoders, self._decode, images)
        return await self.batcher.submit(Examples(piece.rows, piece.inputs))

    async def predict_pairs(self, pairs: Sequence[tuple[str, str]]) -> Answer:
        """Predict for pairs of a user and an item."""
        (piece,) = _pieces(self.predictor, pairs)
        return await self.batcher.submit(Examples(piece.rows, piece.inputs))

    async def recommend(self, user: str, top: int, seen: bool) -> Answer:
        """Name a user's best items. Raises UsageError for an unknown user."""
        return await self.batcher.submit(Recommendation(user, top, seen))

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

    def _decode(self, images: Sequence[bytes]) -> Piece:
        for image in images:
            self._check_pixels(image)
        (piece,) = _pieces(self.predictor, images)
        for row in piece.rows:
            if "error" in row:
                raise RefusedError(422, str(row["error"]))
        return piece

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

    def _run(self, jobs: Sequence[Examples | Recommendation]) -> list[Answer | Exception]:
        """Answer jobs on the model's thread: all examples in one batch, recommendations one by one."""
        examples = [job for job in jobs if isinstance(job, Examples)]
        predicted = iter(self._predict(examples) if examples else ())
        return [next(predicted) if isinstance(job, Examples) else self._recommend(job) for job in jobs]

    def _predict(self, jobs: Sequence[Examples]) -> list[Answer]:
        inputs = tuple(torch.cat(column) for column in zip(*(job.inputs for job in jobs), strict=True))
        started = perf_counter()
        outputs = self.predictor.outputs(inputs).tolist()
        self.metrics.model_seconds.add(perf_counter() - started)
        self.metrics.batches.add(len(outputs))
        found = iter(outputs)
        return [[self.predictor.read(row, next(found)).as_json() for row in job.rows] for job in jobs]

    def _recommend(self, job: Recommendation) -> Answer | Exception:
        try:
            return self.predictor.ask("user", job.user, top=job.top, seen=job.seen)
        except Exception as error:  # this request's alone
            return error


def _pieces(predictor: Predictor, inputs: Sequence[Any]) -> list[Piece]:
    encoded = predictor.encode(inputs)
    if encoded.pieces is None:
        raise RefusedError(501, f"`{predictor.data.name}` does not encode inputs in pieces, which a service needs")
    pieces = list(encoded.pieces(0))
    rows = [row for piece in pieces for row in piece.rows]
    columns = zip(*(piece.inputs for piece in pieces if piece.inputs), strict=True)
    return [Piece(rows, tuple(torch.cat(column) for column in columns))]
