"""A gateway in a process of its own, which is down for its first seconds: ``python … SECONDS``.

The outage begins with the first request. ``/stats`` says how many were refused.
"""

import asyncio
import json
import sys
import time


class Gateway(asyncio.Protocol):
    """Answers as soon as a request is there; parses no more than it must."""

    ends = None
    refused = 0

    def connection_made(self, transport):
        self.transport = transport
        self.unread = b""

    def data_received(self, data):
        self.unread += data
        while (end := self.unread.find(b"\r\n\r\n")) >= 0:
            head = self.unread[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(self.unread) < end + 4 + length:
                return
            self.unread = self.unread[end + 4 + length :]
            self.transport.write(self.reply(head))

    def reply(self, head):
        cls = type(self)
        now = time.monotonic()
        if b"/stats" in head:
            body = json.dumps({"code": "0", "data": {"refused": cls.refused, "ends": cls.ends}})
            return said("200 OK", body.encode())
        cls.ends = cls.ends or now + float(sys.argv[1])
        if now < cls.ends:
            cls.refused += 1
            return said("503 Service Unavailable", b"")
        return said("200 OK", b'{"code":"0","data":{}}')


def said(status, body):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Gateway, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
