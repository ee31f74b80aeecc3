#!/usr/bin/env bash
# python-multipart 0.0.34 (the reader of Starlette and FastAPI), Python 3.11, 2026-11-27
#
# A form field whose name holds two backslashes, written as the HTML standard has browsers write it:
# quotes and line ends become percent codes, everything else stays as it is.
# Expected: the reader sees the name that the browser was given.
# Seen: it sees one backslash. Names that differ become one field, and a signature over the names of
# an upload fails; httpx 0.28 doubles the backslashes that it sends, so between those two it fits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet python-multipart==0.0.34
"$folder/env/bin/python" - <<'PY'
import io

from python_multipart import parse_form


def received(name):
    body = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n1\r\n--x--\r\n'.encode()
    fields = []
    headers = {
        "Content-Type": b"multipart/form-data; boundary=x",
        "Content-Length": str(len(body)).encode(),
    }
    parse_form(headers, io.BytesIO(body), fields.append, lambda file: None)
    return fields[0].field_name.decode()


for sent in ("plain", r"one\more", r"two\\more"):
    print("sent", sent, "received", received(sent))
assert received(r"one\more") == r"one\more"
assert received(r"two\\more") == r"two\more"
PY
