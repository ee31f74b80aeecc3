"""Business parameters of every kind, and the text they become, by rules of the tests' own."""

import json
from decimal import Decimal

from hypothesis import strategies as st

SYSTEM = {
    "access_token", "app_key", "debug", "format", "method", "partner_id", "session", "sign",
    "sign_method", "simplify", "target_app_key", "timestamp", "v",
}  # fmt: skip
# TOP's echo reads JSON there.
NOT_ECHOED = {"value"}

text = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: bool(name.strip()) and name not in SYSTEM | NOT_ECHOED
)
plain_names = st.from_regex(r"[A-Za-z][\w.\[\]-]{0,20}", fullmatch=True).filter(
    lambda name: name not in SYSTEM | NOT_ECHOED
)
scalars = (
    text
    | st.integers()
    | st.booleans()
    | st.decimals(allow_nan=False, allow_infinity=False).filter(
        lambda number: abs(number.adjusted()) < 100
    )
)
nested = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
values = scalars | nested | text.map(lambda value: value * 400)
params_of = st.dictionaries(names, values, max_size=8)
plain_params_of = st.dictionaries(plain_names, values, max_size=6)


def expected(params):
    """What a gateway is to hear."""
    texts = {name: written(value) for name, value in params.items() if value is not None}
    return {name: value for name, value in texts.items() if value.strip()}


def written(value):
    """A value as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (list, dict)):
        return _compact(value)
    return str(value)


def _compact(value):
    if isinstance(value, list):
        return f"[{','.join(map(_compact, value))}]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k, ensure_ascii=False)}:{_compact(v)}" for k, v in value.items())
        return f"{{{','.join(pairs)}}}"
    if value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return written(value)
