#!/usr/bin/env bash
# uvicorn 0.54.0 with asyncio, starlette 1.10.0, httpx 0.28.1, Python 3.11, Linux, 2026-11-28
#
# A route that answers two bytes, asked over one connection that is kept, by `uvicorn app:app` and by
# `uvicorn app:app --workers 2`.
# Expected: each answer within a millisecond or two, as head and body come at once.
# Seen: with workers each answer takes 40 ms and more. asyncio sets TCP_NODELAY where a socket's
# protocol is IPPROTO_TCP; uvicorn makes the socket that workers share with protocol 0, which those
# that are accepted from it inherit, and writes head and body apart: the second waits for the
# client's delayed acknowledgement. An answer without a body is as fast as ever.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet uvicorn==0.54.0 starlette==1.10.0 httpx==0.28.1
cat > "$folder/app.py" <<'PY'
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def two_bytes(request):
    await request.body()
    return PlainTextResponse("ok")


async def empty(request):
    await request.body()
    return Response()


app = Starlette(
    routes=[Route("/ok", two_bytes, methods=["POST"]), Route("/", empty, methods=["POST"])]
)
PY
cat > "$folder/ask.py" <<'PY'
import statistics
import sys
import time

import httpx


def median(path):
    seconds = []
    for _ in range(60):
        began = time.perf_counter()
        client.post(f"http://127.0.0.1:{sys.argv[1]}{path}", content=b"x" * 100)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1000


with httpx.Client() as client:
    for _ in range(100):
        try:
            client.post(f"http://127.0.0.1:{sys.argv[1]}/")
            break
        except httpx.ConnectError:
            time.sleep(0.1)
    ok, empty = median("/ok"), median("/")
print(f"{sys.argv[2]}: two bytes {ok:.1f} ms, empty {empty:.1f} ms")
assert (ok > 30, empty > 30) == (sys.argv[2] == "--workers 2", False)
PY
cd "$folder"
for options in "" "--workers 2"; do
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    # shellcheck disable=SC2086
    env/bin/uvicorn app:app --port "$port" --log-level warning $options &
    env/bin/python ask.py "$port" "${options:-one process}"
    kill %%
    wait
done
