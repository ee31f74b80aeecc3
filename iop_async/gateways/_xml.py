"""TOP's XML as the values that its JSON would hold, and nothing that XML can do besides."""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

from .._json import MAX_VALUES

MAX_DEPTH: Final = 100
"""Elements within elements; TOP's own answers stay below a dozen."""


class XmlRefused(ValueError):
    """No XML, or XML that no answer is: with a document type (so entities), too deep or long."""


def read_xml(content: bytes, *, max_values: int = MAX_VALUES) -> tuple[str, Any]:
    """The name of the root element, and its value.

    An element with children is a ``dict``, a name that occurs several times in it a ``list``; an
    element marked ``list="true"`` holds only lists, and without children is ``{}``. Any other
    element is its text. Text between children and all other attributes are dropped.

    XML has no types: a number, ``true`` and an empty object arrive as ``"1"``, ``"true"`` and
    ``""``; an unmarked list of one is no list; ``null`` is missing; control characters but tab and
    line ends cannot be written at all.

    Raises:
        XmlRefused: see there.
    """
    # An element begins with "<", an attribute has a "=": both become objects, 30 bytes for each.
    if len(content) > max_values and content.count(b"<") + content.count(b"=") > max_values:
        msg = f"more than {max_values} values, the limit max_answer_values"
        raise XmlRefused(msg)
    reader = _Reader()
    parser = expat.ParserCreate(encoding=None)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(content, True)  # noqa: FBT003 -- expat takes no keywords
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise XmlRefused(str(error)) from None
    return reader.root


class _Reader:
    """Builds values bottom up: one open element a level, its children by name."""

    def __init__(self) -> None:
        self.root: tuple[str, Any] = ("", "")
        self._open: list[tuple[dict[str, list[Any]], bool, list[str]]] = []

    def doctype(self, *_: object) -> None:
        msg = "a document type"
        raise XmlRefused(msg)

    def start(self, _name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            msg = f"elements nested more than {MAX_DEPTH} deep"
            raise XmlRefused(msg)
        # assumed: TOP marks its lists so.
        self._open.append(({}, attributes.get("list") == "true", []))

    def text(self, text: str) -> None:
        self._open[-1][2].append(text)

    def end(self, name: str) -> None:
        children, only_lists, texts = self._open.pop()
        value: Any = "".join(texts)
        if children:
            value = {
                child: values if only_lists or len(values) > 1 else values[0]
                for child, values in children.items()
            }
        elif only_lists:
            value = {}
        if self._open:
            self._open[-1][0].setdefault(name, []).append(value)
        else:
            self.root = (name, value)
