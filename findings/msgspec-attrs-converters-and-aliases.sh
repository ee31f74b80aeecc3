#!/usr/bin/env bash
# msgspec 0.22.0, attrs 26.1.0, Python 3.11, 2026-11-27
#
# JSON is decoded into an attrs class, which msgspec supports. The class has a field with a converter
# and a private field, whose argument attrs names without the underscore.
# Expected: the class is made as attrs makes it: the converter runs, the alias is the key.
# Seen: the converter does not run, so the field holds what attrs itself would never let in; the key
# is the attribute's name with its underscore, and the alias counts as an unknown, ignored field.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet msgspec==0.22.0 attrs==26.1.0
"$folder/env/bin/python" - <<'PY'
import attrs
import msgspec


@attrs.define
class Order:
    number: str = attrs.field(converter=str.strip)
    _buyer: str = "nobody"


made = Order(number=" 42 ", buyer="Wang")
decoded = msgspec.json.decode(b'{"number": " 42 ", "buyer": "Wang"}', type=Order)
print("attrs:  ", made)
print("msgspec:", decoded)
assert (made.number, made._buyer) == ("42", "Wang")
assert (decoded.number, decoded._buyer) == (" 42 ", "nobody")
PY
