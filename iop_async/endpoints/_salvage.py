"""The pair in an answer that no strict reading takes: wrapped, mis-encoded, broken in a field.

Whoever was answered so has paid: the code or refresh token is spent, and these bytes hold the only
copy of what it bought. A pair is taken where it is unambiguous and complete. The time is linear in
the answer, and so is the memory.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from attrs import define, field

from ._encodings import texts_in

Fields = dict[str, Any]

_ACCESS: Final = "access_token"
_REFRESH: Final = "refresh_token"
_PLAUSIBLE = re.compile(r"(?!.*\*\*\*)[!#-&(-;=?-\[\]-~]{1,4096}")
"""Text that a token may be: no space, quote or bracket, and no mask."""

_LONGEST_JSON = 2**18
_LONGEST_XML = 2**16
_STARTS = 8
_MAX_CONTAINERS = 1_000
_MAX_NESTING = 6
_MAX_KEPT_NESTING = 20
_LONGEST_NUMBER = 40
_NEAR = 2**15

# A quote in a text that is itself in a text is escaped once more for each.
_QUOTE = r"""\\{0,7}+["']"""
_TEXT = r"""(?:[^"'\\<>\s]|\\{1,7}+(?:/|u[0-9a-fA-F]{4})){1,4096}+"""
_END = r"\s{0,9}+[,}]"
_TOKEN_FIELDS = {
    name: re.compile(rf"{name}{_QUOTE}\s{{0,9}}+:\s{{0,9}}+{_QUOTE}({_TEXT}){_QUOTE}{_END}")
    for name in (_ACCESS, _REFRESH)
}
_OTHER_FIELD = re.compile(
    r"(expires_in|refresh_expires_in|re_expires_in|expire_time|refresh_token_valid_time"
    r"|seller_id|user_id|short_code|country|account|account_id|account_platform"
    rf"|taobao_user_id|havana_id){_QUOTE}\s{{0,9}}+:\s{{0,9}}+"
    rf"(?:{_QUOTE}({_TEXT}){_QUOTE}|(-?[0-9]{{1,20}}+)){_END}"
)
_INNERMOST = re.compile(r"\{[^{}]{1,2000}+\}")
_ERROR = re.compile(
    rf"(?:error_response|sub_code|error){_QUOTE}\s{{0,9}}+:"
    rf"|code{_QUOTE}\s{{0,9}}+:\s{{0,9}}+(?!{_QUOTE}0?\\{{0,7}}[\"']|0[,}}\s]|null)"
)
_ELEMENT = re.compile(
    r"<(\w{1,40})(?:\s[^<>]{0,200}+)?>\s{0,9}+"
    r"(?:<!\[CDATA\[([^<>\]]{1,4096}+)\]\]>|([^<>]{1,4096}+))\s{0,9}+</\1>"
)


def find_pair(content: bytes | str, *, presented: str | None = None) -> Fields | None:
    """The fields of the one token in an answer, or ``None``.

    Args:
        content: the answer as received, compressed or not; or as text.
        presented: the refresh token that was sent: an error that repeats it is no token.
    """
    for text in texts_in(content):
        if _ACCESS not in text:
            continue
        for find in (_in_json, _in_xml, _in_fragments):
            if (found := find(text)).objects:
                return found.only(presented) if _is_all(found, text, presented) else None
    return None


@define
class _Found:
    """Objects that hold an access token, and whether an error stands beside them."""

    objects: list[Fields] = field(factory=list)
    is_error: bool = False

    def only(self, presented: str | None) -> Fields | None:
        """The object that alone holds a new pair; ``None`` where none does, or several do."""
        pairs = {
            (fields[_ACCESS], fields.get(_REFRESH) or None): fields
            for fields in self.objects
            if self._is_new(fields, presented)
        }
        if len(pairs) > 1:  # what was sent may stand beside what came
            pairs = {pair: fields for pair, fields in pairs.items() if pair[1] != presented}
        return next(iter(pairs.values())) if len(pairs) == 1 else None

    def _is_new(self, fields: Fields, presented: str | None) -> bool:
        access, refresh = fields[_ACCESS], fields.get(_REFRESH) or None
        if not _is_token(access) or not (refresh is None or _is_token(refresh)):
            return False
        # An error may repeat what was sent, but has no access token to repeat with it.
        return not self.is_error or refresh not in (None, presented)


def _is_all(found: _Found, text: str, presented: str | None) -> bool:
    """No other token stands elsewhere in the answer, which would make it a matter of opinion."""
    for name, pattern in _TOKEN_FIELDS.items():
        named = [presented, *(fields.get(name) for fields in found.objects)]
        if any(value not in named for value in _values(pattern, text)):
            return False
    return True


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _PLAUSIBLE.fullmatch(value) is not None


def _in_json(text: str, levels: int = 3) -> _Found:
    """Objects of a JSON value with anything before and after it, or within its texts."""
    found = _Found()
    for start in _starts(text):
        try:
            value, _ = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        _walk(value, found, levels)
        if found.objects:
            break
    return found


def _starts(text: str) -> Iterator[int]:
    if len(text) > _LONGEST_JSON:
        return
    if text.lstrip()[:1] == '"':
        yield len(text) - len(text.lstrip())
    starts = re.finditer(r"\{", text)
    for start, _ in zip(starts, range(_STARTS), strict=False):
        yield start.start()


def _bounded_int(digits: str) -> int | None:
    return int(digits) if len(digits) < _LONGEST_NUMBER else None


_DECODER = json.JSONDecoder(strict=False, parse_int=_bounded_int)


def _walk(root: Any, found: _Found, levels: int) -> None:
    waiting = [(root, 0)]
    for value, depth in waiting:  # grows meanwhile
        if isinstance(value, str):
            if levels and _ACCESS in value:
                within = _in_json(value, levels - 1)
                found.objects += within.objects
                found.is_error |= within.is_error
            continue
        if isinstance(value, dict):
            _look_at({str(name).lower(): member for name, member in value.items()}, found)
        members = value.values() if isinstance(value, dict) else value
        if depth < _MAX_NESTING and len(waiting) < _MAX_CONTAINERS:
            inner = ((m, depth + 1) for m in members if isinstance(m, (dict, list, str)))
            waiting += islice(inner, _MAX_CONTAINERS - len(waiting))


def _look_at(fields: Fields, found: _Found) -> None:
    code = fields.get("code")
    is_error = code is not None and str(code).strip() not in ("", "0")
    if is_error or any(fields.get(name) for name in ("error_response", "sub_code", "error")):
        found.is_error = True
    if _ACCESS in fields:
        found.objects.append({n: v for n, v in fields.items() if _is_shallow(v)})


def _is_shallow(value: Any) -> bool:
    """A value that others can recurse on: ``repr``, ``json.dumps``, a store."""
    level = [value]
    for _ in range(_MAX_KEPT_NESTING):
        containers = [member for member in level if isinstance(member, (dict, list))]
        level = [m for c in containers for m in (c.values() if isinstance(c, dict) else c)]
    return not level


def _in_xml(text: str) -> _Found:
    """Elements of a document that ends as it began."""
    root = re.match(r"\s{0,99}+(?:<\?xml[^<>]{0,200}\?>\s{0,99}+)?<(\w{1,80})[\s>]", text)
    if root is None or len(text) > _LONGEST_XML or not text.rstrip().endswith(f"</{root[1]}>"):
        return _Found()
    found = _Found(is_error=root[1] == "error_response")
    fields: Fields = {}
    for name, quoted, plain in _ELEMENT.findall(text):
        value = (quoted or html.unescape(plain)).strip()
        if fields.setdefault(name.lower(), value) != value:
            fields[name.lower()] = None  # of several, so of none
    _look_at(fields, found)
    return found


def _in_fragments(text: str) -> _Found:
    """Fields by their names, where a part of the answer keeps the rest from being read.

    The answer must not end in the middle: the field that is missing then may be the other token.
    """
    tokens = {name: _values(pattern, text) for name, pattern in _TOKEN_FIELDS.items()}
    near = text.index(_ACCESS)
    ends = "}" in text[near:] and text.count("{") <= text.count("}")
    if len(tokens[_ACCESS]) != 1 or not ends:
        return _Found()
    part = text
    if len(text) > 4 * _NEAR:
        part = text[:_NEAR] + text[max(near - _NEAR, _NEAR) : near + _NEAR] + text[-_NEAR:]
    found = _Found(is_error=_ERROR.search(part) is not None)
    others: dict[str, set[str]] = {}
    for name, value, number in _OTHER_FIELD.findall(part):
        others.setdefault(name, set()).add(_unescaped(value or number))
    fields: Fields = {name: values.pop() for name, values in others.items() if len(values) == 1}
    if len(others.get("seller_id", ())) > 1:
        fields["country_user_info"] = list(_sellers(part))
    (access,) = tokens[_ACCESS]
    for refresh in tokens[_REFRESH] or {""}:
        found.objects.append(fields | {_ACCESS: access, _REFRESH: refresh})
    return found


def _values(pattern: re.Pattern[str], text: str) -> set[str]:
    return set(map(_unescaped, set(pattern.findall(text))))


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    text = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), text)
    return re.sub(r"\\+/", "/", text)


def _sellers(part: str) -> Iterator[Mapping[str, Any]]:
    for innermost in _INNERMOST.findall(part):
        if "seller_id" in innermost and _ACCESS not in innermost:
            try:
                yield _DECODER.decode(re.sub(r'\\+"', '"', innermost))
            except ValueError:
                continue
