"""The service: answers as `predict` gives them, bounds, and faults in the words of the diagnostics."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import dotexp
import pytest
from dotexp import Workspace
from dotexp.runs.folder import RunFolder
from dotexp.serve.batching import Batcher, FullError
from dotexp.serve.metrics import Histogram, Metrics
from dotexp.serve.service import Service
from exported import DIGITS, FILMS, train_digits, train_films, write_ratings
from PIL import Image
from serving import ask, client, picture, started
from spec_runner import runner

pytestmark = pytest.mark.run


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_digits(tmp_path_factory.mktemp("digits"))


# answers


def test_pairs_are_answered_as_predict_answers_them(films: RunFolder) -> None:
    with client(films) as http:
        one = http.post("/predict", json={"user": "u1", "item": "i2"}).json()
        assert one["format_version"] == 1
        (expected,) = dotexp.predict(films, "u1:i2")
        assert one["predictions"] == [{**expected.as_json(), "value": pytest.approx(expected.value, abs=1e-6)}]
        pairs = [{"user": f"u{n % 12}", "item": f"i{n % 7}"} for n in range(100)]
        many = http.post("/predict", json={"pairs": pairs}).json()["predictions"]
        wanted = dotexp.predict(films, [f"{pair['user']}:{pair['item']}" for pair in pairs])
        assert [row["value"] for row in many] == pytest.approx([row.value for row in wanted], abs=1e-6)
        assert [row.get("unknown") for row in many] == [list(row.unknown) or None for row in wanted]


def test_an_id_may_hold_a_colon_and_a_number_is_its_digits(tmp_path: Path) -> None:
    write_ratings(tmp_path / "ratings.csv")
    text = (tmp_path / "ratings.csv").read_text().replace("u1,", "a:b,").replace("i2,", "77,")
    (tmp_path / "ratings.csv").write_text(text)
    (tmp_path / "films.exp").write_text(FILMS)
    run = dotexp.run(tmp_path / "films.exp", runs=tmp_path / "runs", report=False)
    with client(run) as http:
        (row,) = http.post("/predict", json={"user": "a:b", "item": 77}).json()["predictions"]
        assert row["user"] == "a:b" and row["item"] == "77" and "unknown" not in row


def test_a_users_best_items_with_and_without_what_they_have_rated(films: RunFolder, tmp_path: Path) -> None:
    with client(films) as http:
        answer = http.post("/predict", json={"user": "u1", "top": 3, "seen": True}).json()
        assert answer["recommendations"] == dotexp.recommend(films, "u1", top=3, seen=True) and answer["seen"] is True
        answer = http.post("/predict", json={"user": "u1"}).json()
        assert answer["recommendations"] == dotexp.recommend(films, "u1") and answer["seen"] is False
    bundle = Workspace().export(films, out=tmp_path / "bundle").path
    bundle.rename(tmp_path / "away")
    with client(RunFolder(tmp_path / "away")) as http:
        answer = http.post("/predict", json={"user": "u1", "top": 3}).json()
        assert answer["seen"] is True and len(answer["recommendations"]) == 3
        refused = http.post("/predict", json={"user": "u1", "seen": False})
        assert refused.status_code == 422 and "without the run's data" in refused.json()["error"]["message"]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP"])
def test_an_image_is_answered_as_predict_answers_its_file(digits: RunFolder, tmp_path: Path, format: str) -> None:
    content = picture(format=format)
    (tmp_path / "file").write_bytes(content)
    (expected,) = dotexp.predict(digits, tmp_path / "file")
    assert expected.probabilities is not None
    with client(digits) as http:
        for kind in ("image/png", "application/octet-stream", ""):
            answer = http.post("/predict", content=content, headers={"Content-Type": kind} if kind else {})
            (row,) = answer.json()["predictions"]
            assert row["value"] == expected.value
            assert row["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        files = [("file", ("a.png", content)), ("file", ("b.png", picture(level=7)))]
        rows = http.post("/predict", files=files).json()["predictions"]
        assert len(rows) == 2 and rows[0]["value"] == expected.value


# faults


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the body is not JSON"),
        (b"{", 400, "the body is not JSON"),
        (b"[" * 100_000, 400, "the body is not JSON"),
        (b"\xff\xfe", 400, "the body is not JSON"),
        (b"3", 422, "the body is not an object: a question is"),
        (b"{}", 422, "the body has nothing: a question is"),
        (b'{"user": "u1", "item": "i1", "more": 1}', 422, "the body has `item`, `more`, `user`: a question is"),
        (b'{"pairs": []}', 422, "a question is"),
        (b'{"pairs": [{"user": "u1", "item": "i1"}, 3]}', 422, "pair 2: a pair is an object with `user` and `item`"),
        (b'{"pairs": [{"user": "u1", "item": null}]}', 422, "pair 1: `item` is null: an id, text or a whole number"),
        (b'{"user": true, "item": "i1"}', 422, "`user` is true"),
        (b'{"user": "", "item": "i1"}', 422, "`user` is \"\""),
        (b'{"user": 1.5, "item": "i1"}', 422, "`user` is 1.5"),
        (b'{"user": "u1", "top": 0}', 422, "`top` is 0: a whole number from 1 to 1,000 is wanted"),
        (b'{"user": "u1", "top": true}', 422, "`top` is true"),
        (b'{"user": "u1", "top": 1001}', 422, "`top` is 1001"),
        (b'{"user": "u1", "seen": "no"}', 422, "`seen` is neither true nor false"),
        (b'{"user": "nobody"}', 422, "the training set has no user `nobody`"),
        (b'{"user": "\\ud800", "item": "i1"}', 200, ""),
        (b'{"pairs": [' + b",".join([b'{"user": 1, "item": 1}'] * 1001) + b"]}", 413, "there are 1,001 pairs"),
    ],
    ids=range(20),
)  # fmt: skip
def test_a_bad_question_gets_a_status_of_400s_and_the_reason(
    films: RunFolder, body: bytes, status: int, message: str
) -> None:
    with client(films) as http:
        answer = http.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, answer.text
        assert message in answer.json().get("error", {"message": ""})["message"]
        assert http.post("/predict", json={"user": "u1", "item": "i1"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"no image", "image/png", 422, "the image cannot be read: it is no image"),
        (b"", "image/png", 422, "the body is empty: an image is wanted"),
        (picture(format="JPEG")[:200], "image/jpeg", 422, "the image cannot be read: "),
        (b"{}", "application/json", 415, "the body is `application/json`, and an image as image/"),
        (b"", "multipart/form-data", 400, "the form cannot be read"),
        (b"--x\r\n", "multipart/form-data; boundary=x", 422, "the form has no file"),
        (picture(200), "image/png", 413, "the image has 200 by 200 pixels: 30,000 in all are taken"),
        (b"x" * 100_001, "image/png", 413, "the body has 100,001 bytes, and 100,000 are taken"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 422, "the image cannot be read: "),
    ],
    ids=range(9),
)
def test_a_bad_image_gets_a_status_of_400s_and_the_reason(
    digits: RunFolder, body: bytes, kind: str, status: int, message: str
) -> None:
    with client(digits, pixels=30_000, body=100_000) as http:
        answer = http.post("/predict", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text
        assert message in answer.json()["error"]["message"]
        assert http.post("/predict", content=picture()).status_code == 200


def test_a_body_without_a_length_is_cut_off_where_it_is_too_long(digits: RunFolder) -> None:
    with client(digits, body=1000) as http:
        answer = http.post("/predict", content=(b"x" * 100 for _ in range(50)), headers={"Content-Type": "image/png"})
        assert answer.status_code == 413 and "more than 1,000 bytes" in answer.json()["error"]["message"]
        assert http.get("/predict").status_code == 405 and http.get("/nowhere").status_code == 404


def test_a_fault_of_the_model_is_a_500_and_the_next_request_is_answered(
    films: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("out of memory")

    with client(films) as http:
        with monkeypatch.context() as patch:
            patch.setattr("dotexp.export.predictor.Predictor.outputs", broken)
            answer = http.post("/predict", json={"user": "u1", "item": "i1"})
            assert answer.status_code == 500 and answer.json()["error"]["message"] == "RuntimeError: out of memory"
        assert http.post("/predict", json={"user": "u1", "item": "i1"}).status_code == 200


def test_a_full_queue_answers_503_and_a_late_answer_is_a_504(films: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, go = Event(), Event()
    plain = Service._run

    def slow(self: Service, jobs: Sequence[Any]) -> Any:
        busy.set()
        assert go.wait(60)
        return plain(self, jobs)

    monkeypatch.setattr(Service, "_run", slow)
    question = {"user": "u1", "item": "i1"}
    with client(films, queue=2, seconds=60) as http, ThreadPoolExecutor(3) as pool:
        first = pool.submit(http.post, "/predict", json=question)
        assert busy.wait(60)
        waiting = [pool.submit(http.post, "/predict", json=question) for _ in range(2)]
        while "dotexp_queue_requests 2" not in http.get("/metrics").text:
            pass
        full = http.post("/predict", json=question)
        assert full.status_code == 503 and full.headers["Retry-After"] == "1"
        assert "too many requests wait for the model" in full.json()["error"]["message"]
        go.set()
        assert [each.result().status_code for each in (first, *waiting)] == [200, 200, 200]
    go.clear()
    with client(films, seconds=0.05) as http:
        late = http.post("/predict", json=question)
        go.set()
        assert late.status_code == 504 and "no answer within 0.05 seconds" in late.json()["error"]["message"]
        assert http.get("/health").status_code == 200


# batching


def test_what_arrives_while_the_model_is_busy_is_its_next_batch() -> None:
    batches: list[list[int]] = []
    go = Event()

    def run(jobs: Sequence[int]) -> list[int | Exception]:
        batches.append(list(jobs))
        assert go.wait(60)
        return [ValueError("seven") if job == 7 else job * 10 for job in jobs]

    async def main() -> list[int | BaseException]:
        batcher: Batcher[int, int] = Batcher(run, 4, 20)
        tasks = [asyncio.create_task(batcher.submit(job)) for job in range(10)]
        while batcher.waiting < 9:
            await asyncio.sleep(0)
        tasks[3].cancel()
        go.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.close()
        return found

    found = asyncio.run(main())
    assert sorted(job for batch in batches for job in batch) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert max(map(len, batches)) <= 4
    assert isinstance(found[3], asyncio.CancelledError) and isinstance(found[7], ValueError)
    assert [value for place, value in enumerate(found) if place not in (3, 7)] == [0, 10, 20, 40, 50, 60, 80, 90]


def test_a_job_larger_than_a_batch_goes_alone_and_a_deep_queue_is_refused() -> None:
    batches: list[list[int]] = []

    def run(jobs: Sequence[int]) -> list[int | Exception]:
        batches.append(list(jobs))
        return list(jobs)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(run, 5, 3, lambda job: job)
        tasks = [asyncio.create_task(batcher.submit(job)) for job in (9, 2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(FullError):
            await batcher.submit(1)
        assert await asyncio.gather(*tasks) == [9, 2, 3]
        await batcher.close()

    asyncio.run(main())
    assert batches == [[9], [2, 3]]


# the other paths


def test_metrics_are_what_prometheus_reads(films: RunFolder) -> None:
    with client(films) as http:
        http.post("/predict", json={"pairs": [{"user": "u1", "item": "i1"}] * 3})
        http.post("/predict", content=b"{")
        http.get("/health")
        text = http.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['dotexp_requests_total{path="/predict",status="200"}'] == "1"
    assert lines['dotexp_requests_total{path="/predict",status="400"}'] == "1"
    assert lines['dotexp_batch_examples_bucket{le="2"}'] == "0" and lines["dotexp_batch_examples_sum"] == "3"
    assert lines['dotexp_model_info{model="films-1"}'] == "1" and lines["dotexp_predict_seconds_count"] == "2"
    for name in {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}:
        assert f"# TYPE {name} " in text and f"\n{name}" in text


def test_histograms_count_up_to_each_bound() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 3):
        histogram.add(value)
    assert list(histogram.lines("h", "x"))[2:] == [
        'h_bucket{le="1"} 2', 'h_bucket{le="2"} 3', 'h_bucket{le="+Inf"} 4', "h_sum 6", "h_count 4",
    ]  # fmt: skip
    assert 'model="a\\"b\\\\"' in Metrics().text(0, 'a"b\\')


def test_the_openapi_document_names_every_path_and_the_pages_load_nothing(films: RunFolder, digits: RunFolder) -> None:
    for folder in (films, digits):
        with client(folder) as http:
            document = http.get("/openapi.json").json()
            assert document["openapi"].startswith("3.1") and set(document["paths"]) == {
                "/predict",
                "/health",
                "/metrics",
            }
            content = document["paths"]["/predict"]["post"]["requestBody"]["content"]
            assert ("application/json" in content) == (folder is films)
            for path in ("/", "/docs"):
                page = http.get(path)
                assert "default-src 'none'" in page.headers["Content-Security-Policy"]
                assert "http://" not in page.text and "https://" not in page.text and folder.name in page.text
    with client(films) as http:
        examples = document_examples(http.get("/openapi.json").json())
        for question in examples:
            assert http.post("/predict", json=question).status_code in (200, 422)


def document_examples(document: dict[str, Any]) -> list[Any]:
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    return [example["value"] for example in content["application/json"]["examples"].values()]


def test_names_in_a_spec_are_text_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "d.exp").write_text(DIGITS.replace("Five digits | <b>bold</b>", "<script>alert(1)</script>"))
    run = dotexp.run(tmp_path / "d.exp", runs=tmp_path / "runs", report=False)
    with client(run) as http:
        assert "&lt;script&gt;alert(1)" in http.get("/").text


# as a process


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_once_requests_under_way_are_answered(films: RunFolder, number: signal.Signals) -> None:
    pairs = b'{"pairs": [' + b",".join([b'{"user": "u1", "item": "i2"}'] * 1000) + b"]}"
    with started(films.path.parent.parent, "films") as (process, port), ThreadPoolExecutor(8) as pool:
        assert ask(port, b'{"user": "u1", "item": "i2"}')[0] == 200
        sent = Event()

        def post(_: int) -> tuple[int, Any]:
            import socket

            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(pairs)}\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode() + pairs[:100])
                if sent.wait(60):
                    connection.sendall(pairs[100:])
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
                return int(answer.split()[1]), answer.count(b'"value"')

        answers = [pool.submit(post, n) for n in range(8)]
        ask(port, b'{"user": "u1", "item": "i2"}')  # those before it have been accepted
        process.send_signal(number)
        sent.set()
        assert [each.result() for each in answers] == [(200, 1000)] * 8
        assert process.wait(60) == 0


def test_an_address_that_cannot_be_taken_and_a_missing_extra(
    films: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = runner("serve", str(films.path), "--port", port, folder=tmp_path)
        assert done.returncode == 2 and f"127.0.0.1:{port} cannot be listened on: " in done.stderr
    from dotexp.export import requirements

    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name == "uvicorn" else object())
    done = runner("serve", str(films.path), folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: serve needs uvicorn, which is not installed\n  to install what it needs: pip install 'dotexp[serve]'\n"
    )


def test_images_by_their_header_alone(digits: RunFolder, tmp_path: Path) -> None:
    """A file of a few kilobytes that would be decoded to a hundred megabytes."""
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.png")
    content = (tmp_path / "large.png").read_bytes()
    assert len(content) < 50_000
    with client(digits) as http:
        answer = http.post("/predict", content=content)
        assert answer.status_code == 413 and "10,000 by 10,000 pixels" in answer.json()["error"]["message"]
