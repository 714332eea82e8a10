"""One of many processes that serve the same rooms; Redis passes on what is said.

``python room.py LOOP HOST PORT REDIS``, once for each core, on any number of machines.
A client connects to ``/rooms/NAME?after=NUMBER``. It is sent ``[NUMBER, {"key": ...,
"text": ...}]`` for all that was said after that number, and for all that follows. To
say something, it sends ``{"key": ..., "text": ...}``, each time with another key.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from platform import node
from typing import Any, Final

import anyio
from coredis import Redis
from coredis.exceptions import ConnectionError
from coredis.patterns.pubsub import PubSub
from coredis.retry import ConstantRetryPolicy

from anyio_websocket import (
    WebSocketConnection,
    WebSocketRequest,
    broadcast,
    healthz,
    serve_websocket,
)

PATH: Final = re.compile(r"/rooms/(\w{1,64})\?after=(\d{1,18})", re.ASCII)
KEPT: Final = 10_000  # messages of a room, for clients that come back
DRAIN: Final = 10.0  # seconds in which clients may leave when this stops
SPREAD: Final = 30.0  # seconds over which the others are closed
BATCH: Final = 500  # messages that are read from Redis at once
NAME: Final = f"{node()}:{os.getpid()}"
# While Redis restarts, everybody waits, and nobody is disconnected.
PATIENT: Final = ConstantRetryPolicy(
    (ConnectionError, TimeoutError), retries=None, delay=0.5
)

# Redis runs this as one step. XADD numbers the messages of a room: 1, 2, 3, ... What a
# client says again, since it does not know whether it was heard, is there already.
SAY: Final = """
    local id = redis.call('GET', KEYS[2])
    if not id then
        id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '0-*', 'said', ARGV[1])
        redis.call('SET', KEYS[2], id, 'EX', 3600)
        redis.call('PUBLISH', KEYS[1], id .. ' ' .. ARGV[1])
    end
    return id
"""


class Room:
    """The members of a room in this process, and what they were told last.

    :param key: of its messages in Redis, and of its channel

    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.members: set[WebSocketConnection] = set()
        self.users = 0  # members, and who is about to become one
        self.is_subscribed = False
        self.latest = 0

    def tell(self, number: int, said: str) -> None:
        """Send a message to the members, unless they have it."""
        if number > self.latest:
            self.latest = number
            # Who does not keep up comes back, and is sent what it has missed.
            broadcast(self.members, f"[{number}, {said}]", slow="disconnect")


class Rooms:
    """The rooms that have members in this process.

    :param redis: what has all that was said
    :param pubsub: what tells this process of it

    """

    def __init__(self, redis: Redis[str], pubsub: PubSub[str]) -> None:
        self._redis = redis
        self._pubsub = pubsub
        self._say = redis.register_script(SAY)
        self._rooms: dict[str, Room] = {}
        self._subscribing = anyio.Lock()

    async def listen(self) -> None:
        """Tell the members what is said in their rooms."""
        while True:
            event = await self._pubsub.get_message()
            room = self._rooms.get(str(event["channel"])) if event else None
            if event is None or room is None:
                continue
            if event["type"] == "message":
                number, said = numbered(*str(event["data"]).split(" ", 1))
                if number <= room.latest + 1 or not room.members:
                    room.tell(number, said)
                    continue
            # A number was left out, or the subscription was lost and is there again.
            # What was published meanwhile is still in the stream.
            while room.members and (missed := await self._read(room, room.latest)):
                for number, said in missed:
                    room.tell(number, said)

    async def visit(self, request: WebSocketRequest) -> None:
        """Let a client into a room until it leaves."""
        found = PATH.fullmatch(request.path)
        if found is None:
            await request.reject(404)
            return
        async with self._subscribed(f"room:{{{found[1]}}}") as room:
            ws = await request.accept(extra_headers=[("X-Served-By", NAME)])
            await self._enter(room, ws, int(found[2]))
            try:
                async for message in ws:
                    await self._hear(room, ws, message)
            finally:
                room.members.remove(ws)

    @asynccontextmanager
    async def _subscribed(self, key: str) -> AsyncGenerator[Room]:
        """Be told what is said in a room while the block lasts."""
        room = self._rooms.setdefault(key, Room(key))
        room.users += 1
        try:
            async with self._subscribing:
                if not room.is_subscribed:
                    await self._pubsub.subscribe(key)
                    for entry in await self._redis.xrevrange(key, count=1):
                        room.latest = max(room.latest, numbered(entry.identifier)[0])
                    room.is_subscribed = True
            yield room
        finally:
            room.users -= 1
            with anyio.CancelScope(shield=True):
                async with self._subscribing:
                    if not room.users and self._rooms.get(key) is room:
                        del self._rooms[key]
                        with suppress(ConnectionError):
                            await self._pubsub.unsubscribe(key)

    async def _enter(self, room: Room, ws: WebSocketConnection, last: int) -> None:
        """Send a client what came after the last message it has, and let it in."""
        while True:
            told = room.latest
            missed = await self._read(room, last)
            await ws.send_messages(f"[{number}, {said}]" for number, said in missed)
            if missed:
                last = missed[-1][0]
            elif told == room.latest:  # else something was said after the look-up
                room.members.add(ws)
                return

    async def _read(self, room: Room, last: int) -> list[tuple[int, str]]:
        """Return what came after a message, or the first part of that."""
        entries = await self._redis.xrange(room.key, f"(0-{last}", "+", BATCH)
        return [numbered(it.identifier, it.field_values["said"]) for it in entries]

    async def _hear(self, room: Room, ws: WebSocketConnection, message: Any) -> None:
        """Have Redis keep what a client says, and tell all processes."""
        try:
            said = json.loads(message)
        except (ValueError, RecursionError):
            said = None
        match said:
            case {"key": str(key), "text": str(text)} if len(key) <= 64:
                kept = json.dumps({"key": key, "text": text})
                await self._say([room.key, f"{room.key}:{key}"], [kept, KEPT])
            case _:
                await ws.aclose(1008, "say a text, with a key")


def numbered(identifier: object, said: object = "") -> tuple[int, str]:
    """Turn ``0-7``, as Redis calls a message, into 7."""
    return int(str(identifier).removeprefix("0-")), str(said)


async def main(host: str, port: str, url: str) -> None:
    """Serve until SIGTERM."""
    redis = Redis.from_url(url, decode_responses=True, retry_policy=PATIENT)
    async with (
        redis,
        redis.pubsub(retry_policy=PATIENT) as pubsub,
        anyio.create_task_group() as tasks,
    ):
        rooms = Rooms(redis, pubsub)
        tasks.start_soon(rooms.listen)
        serve = partial(
            serve_websocket,
            reuse_port=True,
            http_handler=healthz,  # load balancers ask for /healthz
            max_message_size=4000,
        )
        server = await tasks.start(serve, rooms.visit, host, int(port), None)
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            print("serving", flush=True)
            async for _ in signals:
                break
        await server.aclose(1012, "restart", drain=DRAIN, spread=SPREAD)
        print(server.statistics())
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(partial(main, *sys.argv[2:]), backend=sys.argv[1])
