"""The page of a service in a real browser: an image chosen or dropped, a user asked about, faults shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dotexp
import pytest
from browser import PATIENCE, Browser, chromium, find_chromium
from dotexp.runs.folder import RunFolder
from exported import DIGITS, train_films
from serving import picture, started

pytestmark = [
    pytest.mark.run,
    pytest.mark.process,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    assert program is not None
    with chromium(program) as made:
        yield made


def show(browser: Browser, address: str, width: int, theme: str) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    browser.events.clear()
    browser.call("Page.navigate", url=address)
    wait(browser, "document.readyState == 'complete' && !!document.getElementById('answer')")


def wait(browser: Browser, condition: str) -> None:
    """Wait, in the page, until a condition holds."""
    script = f"""new Promise((done, fail) => {{
        const look = () => ({condition}) ? done(true) : requestAnimationFrame(look);
        setTimeout(() => fail(new Error({condition!r})), {1000 * PATIENCE / 2});
        look();
    }})"""
    assert browser.value(script) is True


def faults(browser: Browser) -> list[Any]:
    """What the console told of, but for the answers of 4xx that were asked for."""
    return [fault for fault in browser.faults() if "status of 422" not in str(fault)]


def test_an_image_is_chosen_dropped_and_refused(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "d.exp").write_text(DIGITS)
    run = dotexp.run(tmp_path / "d.exp", runs=tmp_path / "runs", report=False)
    (tmp_path / "grey.png").write_bytes(picture())
    (tmp_path / "words.png").write_bytes(b"no image")
    (expected,) = dotexp.predict(run, tmp_path / "grey.png")
    with started(tmp_path, "digits") as (_, port):
        address = f"http://127.0.0.1:{port}/"
        show(browser, address, 1000, "light")
        document = browser.call("DOM.getDocument")["root"]["nodeId"]
        field = browser.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
        browser.call("DOM.setFileInputFiles", nodeId=field, files=[str(tmp_path / "grey.png")])
        wait(browser, "!!document.getElementById('value')")
        assert browser.value("document.getElementById('value').textContent") == expected.value
        rows = browser.value("[...document.querySelectorAll('#answer tr')].map(row => row.cells[2].textContent)")
        assert expected.probabilities is not None
        assert rows == [f"{share:.4f}" for share in sorted(expected.probabilities.values(), reverse=True)]
        drop = """(bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], 'dropped.png'));
            document.getElementById('drop').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true}));
        })"""
        browser.value("document.getElementById('answer').replaceChildren()")
        browser.value(f"{drop}({list(picture())})")
        wait(browser, "!!document.getElementById('value')")
        assert browser.value("document.getElementById('hint').textContent") == "dropped.png"
        assert browser.value("document.querySelector('#drop img').naturalWidth") == 24
        browser.call("DOM.setFileInputFiles", nodeId=field, files=[str(tmp_path / "words.png")])
        wait(browser, "!!document.querySelector('#answer .bad')")
        told = browser.value("document.querySelector('#answer .bad').textContent")
        assert told.startswith("the image cannot be read: it is no image")
        assert faults(browser) == []
        assert all(url.startswith((address, "blob:", "data:")) for url in browser.requests())


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_films(tmp_path_factory.mktemp("films"), without=((1, 2), (1, 4), (1, 5)))


@pytest.mark.parametrize(("width", "theme"), [(1000, "dark"), (360, "light")])
def test_a_users_best_items_are_a_table(browser: Browser, films: RunFolder, width: int, theme: str) -> None:
    with started(films.path.parent.parent, "films") as (_, port):
        show(browser, f"http://127.0.0.1:{port}/", width, theme)
        assert browser.value("document.getElementById('user').value") == "u0"
        browser.value("document.getElementById('user').value = 'u1'; document.querySelector('button').click()")
        wait(browser, "!!document.querySelector('#answer table')")
        cells = browser.value(
            "[...document.querySelectorAll('#answer tr')].map(row => [...row.cells].map(cell => cell.textContent))"
        )
        best = dotexp.recommend(films, "u1")
        assert len(best) == 3
        assert cells == [["Rank", "Item", "Rating"], *([str(r["rank"]), r["item"], f"{r['value']:.4f}"] for r in best)]
        assert browser.value("document.documentElement.scrollWidth <= innerWidth")
        browser.value("document.getElementById('user').value = 'u0'; document.querySelector('button').click()")
        wait(browser, "document.querySelector('#answer').textContent == 'For user u0: nothing is left to name'")
        browser.value("document.getElementById('user').value = 'nobody'; document.querySelector('button').click()")
        wait(browser, "!!document.querySelector('#answer .bad')")
        assert "has no user `nobody`" in browser.value("document.querySelector('#answer .bad').textContent")
        assert faults(browser) == []
        browser.call("Page.navigate", url=f"http://127.0.0.1:{port}/docs")
        wait(browser, "!!document.querySelector('h2 code')")
        assert browser.value("document.querySelector('h2 code').textContent") == "POST /predict"
        assert browser.value("document.documentElement.scrollWidth <= innerWidth")
