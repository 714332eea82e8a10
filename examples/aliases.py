"""Run libraries that import trio_websocket on anyio_websocket, without changing them.

Do this before anything imports trio_websocket.
"""

import sys

import anyio_websocket

sys.modules["trio_websocket"] = anyio_websocket
# Some libraries import exceptions from the private module, where they are defined.
sys.modules["trio_websocket._impl"] = anyio_websocket
