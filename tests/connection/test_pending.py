"""What goes out with the next write: in which order, and how often."""

from __future__ import annotations

from anyio_websocket._connection._pending import Pending

from ..support.sockets import pair


async def test_the_order_of_what_is_pending() -> None:
    async with pair() as (transport, theirs):
        pending = Pending(transport)
        assert not pending._has_pending()
        pongs = [pending.has_pong]
        pending._close = b"close"
        pending._pong = b"pong, "
        pending._ping = b"ping, "
        pending._batch = [b"one, ", b"two, "]
        pongs.append(pending.has_pong)
        assert pending._write(b"message, ", b"payload, ")
        pongs.append(pending.has_pong)
        assert pongs == [False, True, False]
        assert pending._has_pending()  # the Close
        assert pending._write_with_close()
        assert not pending._has_pending()
        expected = b"one, two, ping, pong, message, payload, close"
        assert theirs.recv(100) == expected


async def test_a_batch_that_is_dropped_does_not_go_out() -> None:
    async with pair() as (transport, theirs):
        pending = Pending(transport)
        pending._batch = [b"one, ", b"two, "]
        pending._batch_size = 10
        pending._drop_batch()
        assert (pending._batch, pending._batch_size) == ([], 0)
        assert pending._write(b"message")
        assert theirs.recv(100) == b"message"
