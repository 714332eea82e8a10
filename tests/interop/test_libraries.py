"""Other libraries as servers and as clients, on every backend of ours."""

from __future__ import annotations

import importlib

import pytest

from .ours import Way, receive_their_client, visit_their_server
from .peer import Peer

#: the modules beside this one that are named peer_..., and what each needs
NEEDS = {
    "websockets": ["websockets"],
    "websockets_trio": ["trio", "websockets.trio.server"],
    "aiohttp": ["aiohttp"],
    "picows": ["picows"],
    "trio_websocket": ["trio", "trio_websocket"],
    "ws": [],
}


@pytest.fixture(params=NEEDS)
def peer(request: pytest.FixtureRequest) -> Peer:
    for needed in NEEDS[request.param]:
        pytest.importorskip(needed)
    module = importlib.import_module(f".peer_{request.param}", __package__)
    peer: Peer = module.Peer()
    return peer


async def test_our_client_and_their_server(peer: Peer, way: Way) -> None:
    await visit_their_server(peer, way)


async def test_our_server_and_their_client(peer: Peer, way: Way) -> None:
    await receive_their_client(
        peer.visit, way, compresses=peer.compresses, answers=peer.answers
    )
