"""Micro-batching: what arrives while the model is busy is its next batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class FullError(Exception):
    """So many jobs wait that another is refused."""


class Batcher(Generic[Job, Answer]):
    """Hands jobs to one thread, all that wait at once up to `most` examples; an idle thread gets a job as it comes.

    `run` answers jobs in their order, an exception standing for an answer. `size` counts a job's examples.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], Sequence[Answer | Exception]],
        most: int,
        depth: int,
        size: Callable[[Job], int] = lambda job: 1,
    ) -> None:
        self._run, self._most, self._depth, self._size = run, most, depth, size
        self._waiting: deque[tuple[Job, asyncio.Future[Answer]]] = deque()
        self._thread = ThreadPoolExecutor(1, "model")
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Jobs that wait for the model."""
        return len(self._waiting)

    async def submit(self, job: Job) -> Answer:
        """Return a job's answer. Raises FullError where too many wait."""
        if len(self._waiting) >= self._depth:
            raise FullError
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((job, future))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())
        return await future

    async def close(self) -> None:
        """Answer what waits, then end the thread."""
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._next()
            if not batch:
                continue
            try:
                answers = await loop.run_in_executor(self._thread, self._run, [job for job, _ in batch])
            except Exception as error:  # the model's, or of the batch as a whole
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():  # whoever asked has gone
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _next(self) -> list[tuple[Job, asyncio.Future[Answer]]]:
        batch: list[tuple[Job, asyncio.Future[Answer]]] = []
        count = 0
        while self._waiting and (not batch or count + self._size(self._waiting[0][0]) <= self._most):
            job, future = self._waiting.popleft()
            if not future.done():
                batch.append((job, future))
                count += self._size(job)
        return batch
