"""The client of one event loop: its connections, their master, and who must have a write too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, Final

from attrs import Factory, define

from ._clients import Client, close, is_cluster, is_of_valkey, most_connections, pool_of
from ._clients import sentinel_pool as sentinel_pool_of
from ._errors import AstrayError
from ._pipeline import BATCH_MAX, LANES, Pipeline
from ._sentinels import newest_answer

_MAX_IN_FLIGHT: Final = 16
"""Connections in use at once: a server does one after the other, and more are only sockets."""

_MASTER_MAX_AGE: Final = 0.5
"""Seconds after which Sentinels are asked again which server is the master."""


@define(eq=False)
class LoopClient:
    """The client of one event loop, and the commands that are under way there.

    Attributes:
        slots: turns of commands. The first command is alone: it has a client for clusters find the
            nodes, which goes wrong where several tasks make it do so at once.
        seats: turns of commands that travel together, where any do: on a client of ours, to one
            server, whose replicas nobody waits for.
        replicas: how many must have a write before it counts as made.
    """

    client: Client
    is_own: bool
    timeout: float
    slots: asyncio.Semaphore = Factory(lambda: asyncio.Semaphore(1))
    seats: asyncio.Semaphore | None = None
    begun: bool = False
    replicas: int = 0
    _master: tuple[str, int] | None = None
    _master_valid_until: float = 0.0
    _asking: asyncio.Lock = Factory(asyncio.Lock)
    _guard: AsyncGenerator[None, None] | None = None
    _pipeline: Pipeline = Factory(lambda self: Pipeline(self.client, self.timeout), takes_self=True)

    async def watch_loop(self) -> None:
        """Have connections closed where the event loop ends before anybody closes the store."""
        if self.is_own and self._guard is None:
            self._guard = self._close_with_the_loop()
            await anext(self._guard)

    async def _close_with_the_loop(self) -> AsyncGenerator[None, None]:
        # An event loop closes the asynchronous generators that were begun in it, and has no other
        # way to tell of its end.
        try:
            yield
        finally:
            await close(self.client)

    async def aclose(self) -> None:
        """Close the client, if it is ours and was used."""
        if self._guard is not None:
            await self._guard.aclose()

    def let_more_in(self) -> None:
        """Allow as many commands at once as there may be connections."""
        self.begun = True
        connections = most_connections(self.client, _MAX_IN_FLIGHT)
        is_one = self.is_own and not (is_cluster(self.client) or self.is_guarded or self.replicas)
        if is_one and connections > LANES:
            connections -= LANES
            self.seats = asyncio.Semaphore(LANES * BATCH_MAX)
        for _ in range(1, connections):
            self.slots.release()

    @property
    def is_guarded(self) -> bool:
        """Whether Sentinels tell which server is the master."""
        return sentinel_pool_of(self.client) is not None

    async def follow_master(self) -> None:
        """Leave a master that is none any more, by the word of the Sentinels.

        Raises:
            MasterNotFoundError: none of them answers.
        """
        pool = sentinel_pool_of(self.client)
        if pool is None:
            return
        async with self._asking:
            if monotonic() < self._master_valid_until:
                return
            answer = await newest_answer(pool.sentinel_manager.sentinels, pool.service_name)
            before, self._master = self._master, (answer.host, answer.port)
            self.replicas = answer.replicas
            if before not in (None, self._master):
                await self.renew_connections()
            self._master_valid_until = monotonic() + _MASTER_MAX_AGE

    async def renew_connections(self) -> None:
        """Drop all idle connections: the fault of one, or where it leads, is that of the others."""
        self._master_valid_until = 0.0
        if is_cluster(self.client):
            return
        pool = pool_of(self.client)
        with suppress(Exception):
            # Taken out at one stroke: pool.disconnect() would close what others take meanwhile.
            idle, pool._available_connections = pool._available_connections, []
            if hasattr(pool, "update_active_connections_for_reconnect"):  # not in every release
                await pool.update_active_connections_for_reconnect()
            await asyncio.gather(*(one.disconnect() for one in idle), return_exceptions=True)

    def turns(self, *, joins: bool) -> asyncio.Semaphore:
        """Of commands that may travel with others, or of those that may not."""
        return self.seats if joins and self.seats is not None else self.slots

    async def send(self, command: Sequence[Any], options: dict[str, Any], *, joins: bool) -> Any:
        """What a server answers to a command whose effect need not outlive it.

        Args:
            joins: it may travel with others.
        """
        if joins and self.seats is not None:
            return await self._pipeline.send(command, options)
        return await self.client.execute_command(*command, **options)

    async def send_kept(
        self,
        command: Sequence[Any],
        options: dict[str, Any],
        *,
        joins: bool,
        patience: float,
    ) -> tuple[Any, bool]:
        """The same for one whose effect must, and whether the replicas have it too.

        Args:
            patience: seconds that they are given.

        Raises:
            AstrayError: the connections lead to another server than the master.
        """
        if not (self.replicas or self.is_guarded):
            return await self.send(command, options, joins=joins), True
        client: Any = self.client
        async with self._connection() as connection:
            replicas = self.replicas
            # on one connection: a server waits for the replicas to have what came by the same one
            wait = ("WAIT", replicas, round(patience * 1_000))
            await connection.send_packed_command(connection.pack_commands([command, wait]))
            answer = await client.parse_response(connection, command[0], **options)
            reached = await client.parse_response(connection, "WAIT")
        return answer, reached >= replicas

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        pool = pool_of(self.client)
        connection = await pool.get_connection(*(("EVALSHA",) if is_of_valkey(pool) else ()))
        try:
            # one that was in use while the master changed comes back to the pool as it is
            await self._bring_to_master(connection)
            yield connection
        except BaseException:
            await connection.disconnect(nowait=True)  # there may be an answer in it
            raise
        finally:
            await pool.release(connection)

    async def _bring_to_master(self, connection: Any) -> None:
        if self._leads_astray(connection):
            await connection.disconnect()
            await connection.connect()
        if self._leads_astray(connection):
            raise AstrayError

    def _leads_astray(self, connection: Any) -> bool:
        return self.is_guarded and (connection.host, connection.port) != self._master
