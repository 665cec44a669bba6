"""HTML pages parsed strictly, and the resources that they would load."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

EMPTY = {"meta", "link", "img", "br", "path", "use", "rect", "circle", "line", "image"}
LOADING = {"src", "srcset", "href", "data", "poster", "action", "background", "xlink:href"}


@dataclass
class Element:
    """A tag with its attributes and the text below it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """Elements of a page in order; asserts that tags are closed in order."""

    content: str
    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.content)
        self.close()
        assert not self._open, self._open[-1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in EMPTY:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add an element without content."""
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Close an element, which must be the last opened."""
        if tag in EMPTY:
            return
        assert self._open and self._open[-1].tag == tag, (tag, self._open[-1:])
        self._open.pop()

    def handle_data(self, data: str) -> None:
        """Add text to all open elements."""
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of this tag with these attributes (`class_` for `class`)."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [e for e in self.elements if e.tag == tag and wanted.items() <= e.attributes.items()]

    def titles(self) -> list[str]:
        """Return the titles of the sections."""
        return [element.text for element in self.all("h2")]

    def loads(self) -> list[str]:
        """Return all link and resource targets except anchors and data URLs."""
        named = [value for e in self.elements for name, value in e.attributes.items() if name in LOADING]
        return [value for value in named if not value.startswith(("#", "data:"))]


def read_page(path: Path) -> Page:
    """Read a page."""
    return Page(path.read_text(encoding="utf-8"))
