"""A typed endpoint: an API's name and the type of its data, called with any caller."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from attrs import evolve, field, frozen

from ._exceptions import InvalidAnswer
from ._inputs import api_name, mapping
from ._models import Call, Reply
from ._scrub import scrubs_construction, scrubs_frames
from ._wire import File, FileContent, HttpMethod
from .protocols import Caller

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")

# msgspec's own words: the place is appended, a missing field is named in them.
_PLACE: Final = re.compile(r"(?P<words>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_FIELD: Final = re.compile(
    r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`"
)


@scrubs_construction
@frozen
class Endpoint(Generic[T]):
    """One API whose data has a type: ``orders = await get_orders(seller, limit=10)``.

    Called with a client, a seller, or a fake, it makes the call and reads ``reply.data`` as the
    type says. Needs the extra ``typed`` (msgspec).

    Args:
        api: a path or a dotted name, as for :meth:`Caller.call`.
        data_type: an attrs class, a dataclass, a ``TypedDict``, or a ``list`` or ``dict`` of them.
            Numbers and truth values may come as text, as the platforms send both: ``int`` reads
            ``"42"`` too. ``str`` is text alone; an id that comes either way is an ``int``. Of an
            attrs class converters do not run, and fields are found by name, not by alias.
        http_method, files, idempotent, simplify, timeout: as for :meth:`Caller.call`, for each
            call; :meth:`with_options` gives an endpoint with others.
        unknown_fields: ``ignore`` those that the type does not name, as platforms add fields
            without a word, or ``refuse`` them: for tests of a type against answers kept.

    Calling it raises what :meth:`Caller.call` does, and further:

    - ``BusinessFailure``: the business reports a failure of the whole call.
    - ``InvalidAnswer``: the data is not of the type; its ``path`` says where.

    Example::

        class Orders(TypedDict):
            orders: list[dict[str, object]]

        get_orders = iop.Endpoint("/orders/get", Orders, idempotent=True)
        orders = await get_orders(seller, limit=10)
    """

    api: str = field(converter=api_name)
    data_type: type[T]
    http_method: HttpMethod = field(default="POST", kw_only=True)
    files: Mapping[str, File | FileContent] | None = field(default=None, kw_only=True, repr=False)
    idempotent: bool | None = field(default=None, kw_only=True)
    simplify: bool | None = field(default=None, kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)
    unknown_fields: Literal["ignore", "refuse"] = field(default="ignore", kw_only=True)

    def __attrs_post_init__(self) -> None:
        Call(self.api, **self._options())  # its checks of the options
        if self.unknown_fields not in ("ignore", "refuse"):
            msg = f"unknown_fields is {self.unknown_fields!r}; say 'ignore' or 'refuse'"
            raise ValueError(msg)
        try:
            _msgspec().json.Decoder(self.data_type)
        except TypeError as error:
            msg = f"an endpoint cannot read {self.data_type!r}: {error}"
            raise TypeError(msg) from None

    def with_options(self, **options: Any) -> Endpoint[T]:
        """The same endpoint with other options: ``get_orders.with_options(timeout=2.0)``.

        Apart from the parameters, so that an API may have a parameter called ``timeout``.
        """
        return evolve(self, **options)

    @scrubs_frames
    async def __call__(
        self, caller: Caller, params: Mapping[str, object] | None = None, /, **named: object
    ) -> T:
        """Call the API for ``caller``; every keyword is a parameter of it.

        Args:
            caller: a client, a seller, a fake.
            params: parameters whose names are no Python names.
        """
        given = mapping("params", params)
        if twice := given.keys() & named.keys():
            msg = f"given as a keyword and in params: {', '.join(sorted(twice))}"
            raise TypeError(msg)
        return self.read(await self.call(caller, {**given, **named}))

    async def call(self, caller: Caller, params: Mapping[str, object] | None = None) -> Reply:
        """The reply to a call with the endpoint's options, its data not read yet."""
        return await caller.call(self.api, params, **self._options())

    @scrubs_frames
    def read(self, reply: Reply) -> T:
        """The data of a reply as the type; pure.

        Raises:
            BusinessFailure, InvalidAnswer: see the class.
        """
        reply.raise_for_failure()
        msgspec = _msgspec()
        try:
            data: T = msgspec.convert(reply.data, self.data_type, strict=False)
        except msgspec.ValidationError as error:
            refused = self._invalid(reply, *_explained(error))
        else:
            if self.unknown_fields == "ignore":
                return data
            unknown = next(_unknown(reply.data, msgspec.to_builtins(data)), None)
            if unknown is None:
                return data
            refused = self._invalid(reply, unknown, "a field that the type does not name")
        raise refused

    def _options(self) -> dict[str, Any]:
        return {
            "http_method": self.http_method,
            "files": self.files,
            "idempotent": self.idempotent,
            "simplify": self.simplify,
            "timeout": self.timeout,
        }

    def _invalid(self, reply: Reply, path: str, words: str) -> InvalidAnswer:
        name = getattr(self.data_type, "__name__", repr(self.data_type))
        request = f" (request_id {reply.request_id})" if reply.request_id else ""
        error = InvalidAnswer(
            f"the data of {self.api} is no {name}: {f'{path}: ' if path else ''}{words}{request}",
            path=path,
            status=reply.response.status if reply.response else 200,
            content=reply.response.content if reply.response else b"",
        )
        error.sent_at = reply.sent_at
        return error


def _explained(error: Exception) -> tuple[str, str]:
    """The path and the words of msgspec's error, without any value of the data."""
    found = _PLACE.fullmatch(str(error))
    words, place = (found["words"], found["place"] or "") if found else ("", "")
    if error.__cause__ is not None:
        # Of a check that the type does itself, an attrs validator say: its words quote the value.
        return place, f"refused by the type itself ({type(error.__cause__).__name__})"
    if member := _FIELD.fullmatch(words):
        place = f"{place}.{member['name']}" if place else member["name"]
        is_missing = member["what"].startswith("missing")
        return place, "missing" if is_missing else "a field that the type does not name"
    if words.startswith("Invalid enum value"):
        return place, "none of the values that the type allows"
    return place, words[:1].lower() + words[1:]


def _unknown(data: Any, known: Any, path: str = "") -> Iterator[str]:
    """Where ``data`` has fields that did not make it into ``known``."""
    if isinstance(data, Mapping) and isinstance(known, dict):
        for name, value in data.items():
            place = f"{path}.{name}" if path else str(name)
            if name not in known:
                yield place
            else:
                yield from _unknown(value, known[name], place)
    elif isinstance(data, list) and isinstance(known, list):
        for index, (value, counterpart) in enumerate(zip(data, known, strict=False)):
            yield from _unknown(value, counterpart, f"{path}[{index}]")


def _msgspec() -> ModuleType:
    try:
        import msgspec
    except ImportError as error:
        msg = "Endpoint needs msgspec: pip install 'iop-async[typed]'"
        raise ImportError(msg, name="msgspec") from error
    return msgspec
