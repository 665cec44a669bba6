"""A service's requests a second and 99th percentile beside a plain handler's: `python -m tests.benchmarks serving`.

Both serve the same trained model on 127.0.0.1 under uvicorn, the plain one as a page on PyTorch shows it: a function a
request, the model called in it. 64 connections send a bounded number of requests, a tenth of them malformed, to one
server and then to the other, three times in turn; the medians are printed with their ratio.
"""

import asyncio
import json
import os
import subprocess
import sys
from argparse import SUPPRESS
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from tests.benchmarks import argument_parser

CONNECTIONS = 64
REQUESTS = 3200
LONGEST = 120.0
"""Seconds after which a load ends, whatever is left."""

SPECS = {
    "pairs": 'experiment pairs\ndata latent_ratings(users = 1000, items = 1500, batch_size = 256)\n'
    "model embedding_dot_bias(factors = 40)\nloss mse\nstage s { fit one_cycle(epochs = 1, lr = 5e-3) }\n",
    "images": "experiment images\ndata digits(size = 32)\nmodel {\n  body resnet18(weights = none)\n  head mlp\n}\n"
    "loss cross_entropy\nstage s { fit one_cycle(epochs = 1, lr = 1e-3) }\n",
}  # fmt: skip


def plain(folder: str, port: int) -> None:
    """Serve a run by a plain handler."""
    import torch
    import uvicorn
    from dotexp.commands.predicting import make_predictor
    from dotexp.runs.folder import RunFolder
    from fastapi import FastAPI, HTTPException, Request
    from PIL import UnidentifiedImageError
    from pydantic import BaseModel

    predictor = make_predictor(RunFolder(Path(folder)), (), None, None)
    network, loss = predictor.restored.network, predictor.restored.loss
    app = FastAPI()

    class Pair(BaseModel):
        user: str
        item: str

    if "user" in predictor.queries:
        users, items = ({label: code for code, label in enumerate(predictor.facts.vocabulary[name], 1)}
                        for name in ("users", "items"))  # fmt: skip

        @app.post("/predict")
        def predict_pair(pair: Pair) -> dict[str, object]:
            with torch.no_grad():
                codes = torch.tensor([users.get(pair.user, 0)]), torch.tensor([items.get(pair.item, 0)])
                value = loss.activate(network(*codes)).item()  # type: ignore[operator]
            return {"user": pair.user, "item": pair.item, "value": value}

    else:
        from io import BytesIO

        from PIL import Image
        from torchvision.transforms.functional import resize, to_tensor

        @app.post("/predict")
        async def predict_image(request: Request) -> dict[str, object]:
            try:
                image = Image.open(BytesIO(await request.body())).convert("RGB")
            except UnidentifiedImageError as error:
                raise HTTPException(422, "this is no image") from error
            with torch.no_grad():
                shares = loss.activate(network(to_tensor(resize(image, [32, 32]))[None]))[0]  # type: ignore[operator]
            names = predictor.facts.classes or ()
            return {
                "value": names[int(shares.argmax())],
                "probabilities": dict(zip(names, shares.tolist(), strict=True)),
            }

    config = uvicorn.Config(app, port=port, log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    print(f"http://127.0.0.1:{port}", flush=True)
    server.run()


def measure(arguments: Sequence[str] = ()) -> None:
    """Measure models of both kinds, or of one."""
    parser = argument_parser("serving", __doc__)
    parser.add_argument("kinds", nargs="*", choices=(*SPECS, []), metavar="KIND", help=" or ".join(SPECS))
    parser.add_argument("--plain", nargs=2, help=SUPPRESS)
    given = parser.parse_args(arguments)
    if given.plain:
        plain(given.plain[0], int(given.plain[1]))
        return
    for kind in given.kinds or SPECS:
        measure_kind(kind)


def measure_kind(kind: str) -> None:
    """Train a model, load both servers in turn, and print the medians."""
    from dotexp import Workspace

    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "s.exp").write_text(SPECS[kind])
        run = Workspace(folder / "runs").run(folder / "s.exp", report=False)
        requests = list(_requests(kind))
        rows: dict[str, list[tuple[float, float]]] = {"plain": [], "serve": []}
        for _ in range(3):
            for name, found in rows.items():
                speed, p99, statuses = _load(name, str(run.path), requests)
                found.append((speed, p99))
                print(
                    f"  {kind:7} {name:6} {speed:8.0f} requests/s, p99 {1000 * p99:7.1f} ms, {dict(statuses)}",
                    flush=True,
                )
    medians = {name: [median(column) for column in zip(*found, strict=True)] for name, found in rows.items()}
    for name, (speed, p99) in medians.items():
        print(f"{kind:7} {name:6} {speed:8.0f} requests/s, p99 {1000 * p99:7.1f} ms")
    print(f"{kind:7} serve / plain: {medians['serve'][0] / medians['plain'][0]:.2f}")


def _requests(kind: str) -> list[bytes]:
    """Make requests, a tenth of them malformed."""
    made = []
    for number in range(100):
        if kind == "pairs":
            good, bad = json.dumps({"user": str(number % 90), "item": str(number)}).encode(), b'{"user": '
            media = "application/json"
        else:
            from serving import picture

            good, bad, media = picture(28, number, "PNG"), b"this is no image", "image/png"
        body = bad if number % 10 == 9 else good
        head = (
            f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def _load(name: str, run: str, requests: list[bytes]) -> tuple[float, float, Counter[int]]:
    """Start a server, load it, and end it."""
    port = 18080
    command = (
        [sys.executable, "-m", "tests.benchmarks", "serving", "--plain", run, str(port)]
        if name == "plain"
        else [sys.executable, "-m", "dotexp.cli", "serve", run, "--port", str(port)]
    )
    # as the command line sets it: threads that spin while they wait would make the plain handler many times slower
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None and "127.0.0.1" in process.stdout.readline()
        asyncio.run(_send(port, requests, 640))  # the first are slower
        seconds, times, statuses = asyncio.run(_send(port, requests, REQUESTS))
    finally:
        process.terminate()
        process.wait(60)
    return len(times) / seconds, sorted(times)[int(0.99 * len(times))], statuses


async def _send(port: int, requests: list[bytes], count: int) -> tuple[float, list[float], Counter[int]]:
    """Send so many requests over the connections, each when the one before is answered."""
    times: list[float] = []
    statuses: Counter[int] = Counter()
    until = perf_counter() + LONGEST

    async def connection(first: int) -> None:
        for attempt in range(300):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                assert attempt < 299, "the server does not answer"
                await asyncio.sleep(0.1)
        for number in range(first, count, CONNECTIONS):
            if perf_counter() > until:
                break
            started = perf_counter()
            writer.write(requests[number % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(perf_counter() - started)
            statuses[int(head.split(b" ", 2)[1])] += 1
        writer.close()

    started = perf_counter()
    await asyncio.gather(*(connection(first) for first in range(CONNECTIONS)))
    return perf_counter() - started, times, statuses
