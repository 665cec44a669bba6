"""The HTTP face of a service: routes, bounds on what comes in, and errors in the words of the diagnostics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from time import perf_counter
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from dotexp.language.diagnostics import ComponentError, DotexpError
from dotexp.runs.files import finite
from dotexp.serve.batching import FullError
from dotexp.serve.openapi import document
from dotexp.serve.pages import HEADERS, docs_page, model_page
from dotexp.serve.requests import Inputs, RefusedError
from dotexp.serve.service import Service

Handler = Callable[[Request], Awaitable[Response]]


def create_app(service: Service) -> Starlette:
    """Make the application of a service; when it shuts down, what waits is answered first."""
    app = _App(service)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await service.close()

    routes = [
        Route("/", app.page),
        Route("/predict", app.predict, methods=["POST"]),
        Route("/health", app.health),
        Route("/metrics", app.metrics),
        Route("/openapi.json", app.openapi),
        Route("/docs", app.docs),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class _App:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._document = document(service)

    async def predict(self, request: Request) -> Response:
        """Answer a question within the time allowed; whatever is wrong with it is said with a status of 4xx."""
        started = perf_counter()
        seconds = self._service.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                response = _json(await self._answer(request))
        except TimeoutError:
            response = _error(504, f"there was no answer within {seconds:g} seconds")
        except FullError:
            response = _error(503, "too many requests wait for the model: try again later", {"Retry-After": "1"})
        except RefusedError as error:
            response = _error(error.status, str(error))
        except ComponentError as error:
            response = _error(422, str(error), help=error.problem.help)
        except DotexpError as error:
            response = _error(422, str(error))
        except ClientDisconnect:
            response = Response(status_code=499)
        except Exception as error:  # a fault of the model or of this service: the next request is answered all the same
            response = _error(500, f"{type(error).__name__}: {error}")
        self._service.metrics.seconds.add(perf_counter() - started)
        self._service.metrics.requests["/predict", response.status_code] += 1
        return response

    async def _answer(self, request: Request) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        service = self._service
        if service.inputs.media and not (kind == "application/json" and service.forms.queries):
            return {"format_version": 1, "predictions": await service.predict_files(await self._files(request, kind))}
        if kind not in ("application/json", ""):
            raise RefusedError(415, f"the body is `{kind}`, and a question as application/json is wanted: see /docs")
        asked = service.forms.parse(await self._body(request))
        if isinstance(asked, Inputs):
            return {"format_version": 1, "predictions": await service.predict(asked)}
        chosen, rows = await service.ask(asked)
        return {"format_version": 1, asked.query.key: asked.value, **chosen, asked.query.rows: rows}

    async def _files(self, request: Request, kind: str) -> list[bytes]:
        """Read the files of a request: its body, or those of a form."""
        if kind == "multipart/form-data":
            return await self._form(request)
        media, one = self._service.inputs.media, self._service.inputs.one
        if kind and not fnmatch(kind, media) and kind != "application/octet-stream":
            wanted = f"{media.replace('*', '…')}, application/octet-stream or multipart/form-data"
            raise RefusedError(415, f"the body is `{kind}`, and {one} as {wanted} is wanted")
        body = await self._body(request)
        if not body:
            raise RefusedError(422, f"the body is empty: {one} is wanted")
        return [body]

    async def _form(self, request: Request) -> list[bytes]:
        most = self._service.limits.files
        parser = MultiPartParser(request.headers, self._stream(request), max_files=most, max_fields=8)
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError, ValueError) as error:
            raise RefusedError(400, f"the form cannot be read: {error}") from error
        files = [await value.read() for _, value in form.multi_items() if isinstance(value, UploadFile)]
        await form.close()
        if not files:
            raise RefusedError(422, f"the form has no file: {self._service.inputs.one} is wanted")
        return files

    async def _body(self, request: Request) -> bytes:
        return b"".join([piece async for piece in self._stream(request)])

    async def _stream(self, request: Request) -> AsyncGenerator[bytes]:
        """Yield a body piece by piece. Raises RefusedError as soon as it is longer than allowed."""
        most, seen = self._service.limits.body, 0
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise RefusedError(413, f"the body has {int(length):,} bytes, and {most:,} are taken")
        async for piece in request.stream():
            seen += len(piece)
            if seen > most:
                raise RefusedError(413, f"the body has more than {most:,} bytes")
            yield piece

    async def health(self, request: Request) -> Response:
        """Say that the service answers."""
        return self._counted("/health", _json({"status": "ok", "model": self._service.name}))

    async def metrics(self, request: Request) -> Response:
        """Print the metrics as Prometheus reads them."""
        text = self._service.metrics.text(self._service.batcher.waiting, self._service.name)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """Print the OpenAPI document."""
        return _json(self._document)

    async def docs(self, request: Request) -> Response:
        """Show the OpenAPI document as a page."""
        return HTMLResponse(docs_page(self._document), headers=HEADERS)

    async def page(self, request: Request) -> Response:
        """Show the page to try the model on."""
        return HTMLResponse(model_page(self._service), headers=HEADERS)

    def _counted(self, path: str, response: Response) -> Response:
        self._service.metrics.requests[path, response.status_code] += 1
        return response


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps(finite(value), allow_nan=False, ensure_ascii=False).encode(errors="backslashreplace")
    return Response(content, status, headers, "application/json")


def _error(status: int, message: str, headers: dict[str, str] | None = None, help: str = "") -> Response:
    error = {"message": message, **({"help": help} if help else {})}
    return _json({"format_version": 1, "error": error}, status, headers)
