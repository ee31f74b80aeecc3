"""One answer as JSON or as XML: nested values in, TOP's two ways to write them out.

A list stands in an element of its own, whose members are all called the same::

    {"items": [{"id": 1}], "tags": ["a", "b"], "none": []}

    {"items":{"item":[{"id":1}]},"tags":{"string":["a","b"]},"none":{}}

    <items list="true"><item><id>1</id></item></items>
    <tags list="true"><string>a</string><string>b</string></tags>
    <none list="true"></none>

``None`` is left out of both. XML has no types, no names but ASCII identifiers, and no control
characters: these are dropped, other characters in a name become ``_``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .._answers import to_json

XML: Final = b"text/xml;charset=UTF-8"

_HEAD = '<?xml version="1.0" encoding="utf-8" ?>'
# TOP signs its XML with the name of a host; a reader has to expect something after the root.
_TAIL = "<!--sandbox-->"

_not_in_xml = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").sub
_not_in_a_name = re.compile(r"[^\w.-]", re.ASCII).sub
_begins_a_name = re.compile(r"[A-Za-z_]").match
# A bare carriage return would be read as a line feed.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


def json_body(name: str, fields: Mapping[str, Any], *, simplify: bool = False) -> bytes:
    """An answer in JSON; simplified, it has no wrapper, and lists stand for themselves."""
    value = _json(name, fields, simplify=simplify)
    return to_json(value if simplify else {name: value})


def xml_body(name: str, fields: Mapping[str, Any]) -> bytes:
    """An answer in XML."""
    return f"{_HEAD}{_xml(name, fields)}{_TAIL}".encode()


def _json(name: str, value: Any, *, simplify: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _json(key, member, simplify=simplify)
            for key, member in value.items()
            if member is not None
        }
    if not isinstance(value, list):
        return value
    member_name = _member_name(name, value)
    members = [_json(member_name, each, simplify=simplify) for each in value if each is not None]
    if simplify:
        return members
    return {member_name: members} if members else {}


def _xml(name: str, value: Any) -> str:
    tag = _tag(name)
    if isinstance(value, Mapping):
        inner = [_xml(key, member) for key, member in value.items() if member is not None]
        return f"<{tag}>{''.join(inner)}</{tag}>"
    if isinstance(value, list):
        member_name = _member_name(name, value)
        inner = [_xml(member_name, member) for member in value if member is not None]
        return f'<{tag} list="true">{"".join(inner)}</{tag}>'
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{tag}>{_not_in_xml('', text).translate(_ENTITIES)}</{tag}>"


def _member_name(name: str, members: list[Any]) -> str:
    """TOP's name for the members of a list: by their type, for objects by the list's name."""
    types = {type(member) for member in members if member is not None}
    # observed: `{"string": [...]}`, of AliExpress's; assumed: the other names.
    if types == {str}:
        return "string"
    if types and types <= {int, float}:
        return "number"
    return name[:-1] if name.endswith("s") and len(name) > 1 else "item"


def _tag(name: str) -> str:
    name = _not_in_a_name("_", name)
    return name if _begins_a_name(name) else f"_{name}"
