#!/usr/bin/env bash
# redis-py 8.1.0 and valkey-py 6.1.1, asyncio, Python 3.11, 2026-11-27 (needs redis-server on the path)
#
# A pool that asks Sentinels learns of a new master while one of its connections is in use.
# Expected: when that connection has come back, the next command goes to the new master; the pool
# closes those that were idle for the same reason.
# Seen: it comes back as it is, and the next command goes to the old master, which after a planned
# failover takes writes for some ten seconds more. They are lost without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; rm -rf "$folder"' EXIT
ports=$(python3 -c '
import socket
pair = [socket.socket() for _ in range(2)]
for one in pair: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in pair))')
for port in $ports; do
    redis-server --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" > /dev/null &
done
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet redis==8.1.0 valkey==6.1.1
"$folder/env/bin/python" - $ports <<'PY'
import asyncio
import sys

import redis.asyncio.sentinel
import valkey.asyncio.sentinel

OLD, NEW = (("127.0.0.1", int(port)) for port in sys.argv[1:])


async def port_of_the_next_command(library, *name):
    sentinel = library.Sentinel([])
    master = [OLD]

    async def discover_master(_):
        return master[0]

    sentinel.discover_master = discover_master
    client = sentinel.master_for("mine")
    pool = client.connection_pool
    in_use = await pool.get_connection(*name)
    master[0] = NEW
    assert await pool.get_master_address() == NEW
    await pool.release(in_use)
    port = (await client.config_get("port"))["port"]
    await client.aclose()
    return int(port)


async def main():
    for library, name in ((redis, ()), (valkey, ("PING",))):
        port = await port_of_the_next_command(library.asyncio.sentinel, *name)
        print(library.__name__, library.__version__, "old master" if port == OLD[1] else "new master")
        assert port == OLD[1]


asyncio.run(main())
PY
