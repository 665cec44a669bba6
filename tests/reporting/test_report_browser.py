"""The report in a real browser: a Chromium, where one is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dotexp
import pytest
from browser import Browser, chromium, find_chromium
from dotexp.runs.folder import RunFolder
from pages import read_page

pytestmark = [pytest.mark.run, pytest.mark.process]

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
PAGE = """
experiment digits "<script>document.title = 'taken over'</script> six photographs_of_handwritten_digits_enlarged_a_lot"
data digits(classes = 0..5, valid = 700, size = 40, batch_size = 64)
model { body squeezenet1_1(weights = none)  head linear }
loss cross_entropy
metrics accuracy, f1
stage head_with_a_name_that_is_long { freeze body  fit one_cycle(epochs = 1, lr = 1e-2) }
stage everything { fit one_cycle(epochs = 1, lr = slice(1e-5, 1e-3)) }
report confusion_matrix, most_confused, top_losses(6), per_class, calibration, tta
runtime(threads = 1)
"""

OVERFLOWING = """
[...document.querySelectorAll("body *")]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, pre"))
  .map(e => `${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium is installed")
    with chromium(program) as found:
        yield found


@pytest.fixture(scope="module")
def run(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with every section."""
    folder = tmp_path_factory.mktemp("digits")
    (folder / "digits.exp").write_text(PAGE)
    return dotexp.run(folder / "digits.exp", runs=folder)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_shown_whole_and_without_faults(browser: Browser, run: RunFolder, size: str, theme: str) -> None:
    browser.open(run.report, *SIZES[size], theme)
    assert browser.faults() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [run.report.resolve().as_uri()]
    titles = read_page(run.report).titles()
    assert len(titles) == 11
    shown = "[...document.querySelectorAll('h2')].filter(e => e.offsetHeight > 0).map(e => e.textContent)"
    assert browser.value(shown) == titles
    assert browser.value("document.documentElement.scrollWidth") == SIZES[size][0]
    assert browser.value(OVERFLOWING) == []
    assert browser.value("document.title").startswith("digits-1 - <script>")
    assert browser.value("[...document.querySelectorAll('svg.plot')].every(e => e.clientWidth > 200)")
    assert browser.value("[...document.images].every(e => e.complete && e.naturalWidth > 0)")


def test_the_themes_differ_and_text_can_be_read_in_both(browser: Browser, run: RunFolder) -> None:
    colours = {}
    for theme in ("light", "dark"):
        browser.open(run.report, *SIZES["desk"], theme)
        assert browser.value(f"matchMedia('(prefers-color-scheme: {theme})').matches")
        page = browser.value("getComputedStyle(document.body).backgroundColor")
        text = browser.value("getComputedStyle(document.querySelector('svg.plot text')).fill")
        line = browser.value("getComputedStyle(document.querySelector('svg.plot [id*=line2d] path')).stroke")
        colours[theme] = page, text, line
        assert len({page, text, line}) == 3
    assert all(one != other for one, other in zip(*colours.values(), strict=True))


def test_type_in_plots_can_be_read_on_a_phone(browser: Browser, run: RunFolder) -> None:
    browser.open(run.report, *SIZES["phone"], "light")
    heights = browser.value(
        "[...document.querySelectorAll('figure.narrow svg.plot text')].map(e => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 8
    columns = browser.value("getComputedStyle(document.querySelector('.pictures')).gridTemplateColumns")
    assert len(columns.split(" ")) == 2


def test_folded_parts_open(browser: Browser, run: RunFolder) -> None:
    browser.open(run.report, *SIZES["phone"], "light")
    assert browser.value("[...document.querySelectorAll('details')].every(e => !e.open)")
    browser.value("document.querySelectorAll('summary').forEach(e => e.click())")
    assert browser.value("[...document.querySelectorAll('details')].every(e => e.open)")
    assert browser.value("document.documentElement.scrollWidth") == SIZES["phone"][0]
    assert browser.value(OVERFLOWING) == []


@pytest.mark.slow
def test_a_run_on_photographs(browser: Browser, real_data: Path, tmp_path: Path) -> None:
    weights = real_data / "squeezenet1_1-imagenet" / "squeezenet1_1-features-rgb-norm.pth"
    (tmp_path / "ants.exp").write_text(f"""
        experiment ants
        data image_folder("{real_data / "hymenoptera"}", valid = "val", size = 96, batch_size = 32, augment = standard)
        model {{ body squeezenet1_1(weights = "{weights}")  head mlp([64]) }}
        loss cross_entropy
        metrics accuracy
        stage head {{ freeze body  fit one_cycle(epochs = 2, lr = 3e-3) }}
        report confusion_matrix, most_confused, top_losses(9), per_class, calibration, tta(2)
    """)
    run = dotexp.run(tmp_path / "ants.exp", runs=tmp_path)
    assert not [e for e in read_page(run.report).all("section") if e.attributes.get("class") == "failed"]
    browser.open(run.report, *SIZES["phone"], "dark")
    assert browser.faults() == [] and browser.value("document.documentElement.scrollWidth") == SIZES["phone"][0]
    assert browser.value("document.images.length") == 9
