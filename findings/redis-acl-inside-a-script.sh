#!/usr/bin/env bash
# Redis server 7.0.15, redis-py 6.4.0, 2026-11-27 (needs redis-server on the path)
#
# A user may run scripts, but not one command that the script calls.
# Expected: the error code of every refusal by access control, NOPERM, which clients turn into their
# exception for missing rights (redis-py: NoPermissionError).
# Seen: the command alone is refused with NOPERM; inside the script the same refusal comes as an
# error without that code, so redis-py raises a bare ResponseError and only the English text tells of rights.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$server" 2> /dev/null || true; rm -rf "$folder"' EXIT
redis-server --version
redis-server --port 0 --unixsocket "$folder/redis.sock" --save "" --dir "$folder" > /dev/null &
server=$!
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet redis==6.4.0
"$folder/env/bin/python" - "$folder/redis.sock" <<'PY'
import sys

import redis

admin = redis.Redis(unix_socket_path=sys.argv[1])
admin.ping()
admin.acl_setuser("app", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-append"])
app = redis.Redis(unix_socket_path=sys.argv[1], username="app", password="any")


def refusal(ask):
    try:
        ask()
    except redis.ResponseError as error:
        return type(error).__name__, str(error)


alone = refusal(lambda: app.append("n", "1"))
inside = refusal(lambda: app.eval("return redis.call('APPEND', KEYS[1], ARGV[1])", 1, "n", "1"))
print("alone:          ", *alone)
print("inside a script:", *inside)
assert alone[0] == "NoPermissionError"
assert inside[0] == "ResponseError"
PY
