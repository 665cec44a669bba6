"""Running a service: uvicorn, and what the signals to stop do."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dotexp.language.diagnostics import RunError, UsageError
from dotexp.serve.limits import Limits
from dotexp.stop_signals import stop_signals

if TYPE_CHECKING:
    from dotexp.export.predictor import Predictor


def serve(predictor: Predictor, host: str, port: int, limits: Limits, started: Callable[[str], None]) -> None:
    """Serve a model until SIGTERM, SIGINT or SIGHUP, which end it once every request under way is answered.

    `started` hears of the address; port 0 takes a free one. Raises UsageError where the address cannot be taken.
    """
    import socket

    import uvicorn

    from dotexp.serve.app import create_app
    from dotexp.serve.service import Service

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise UsageError(f"{host}:{port} cannot be listened on: {error}") from error

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Stop on a signal, and leave the exit code to the command: uvicorn would raise the signal again."""
            before = {number: signal.signal(number, self.handle_exit) for number in stop_signals()}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    app = create_app(Service(predictor, limits))
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_keep_alive=30,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )  # fmt: skip
    server = Server(config)
    name = f"[{host}]" if ":" in host else host
    started(f"http://{name}:{listening.getsockname()[1]}")
    with listening:
        server.run([listening])
    if not server.started:
        raise RunError("the service did not start")
