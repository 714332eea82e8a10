"""Parameters of permessage-deflate, and what two sides agree on."""

from __future__ import annotations

from hypothesis import strategies as st

from anyio_websocket._protocol._permessage_deflate import (
    PerMessageDeflate,
    accept_response,
    make_offer,
    respond,
)

any_parameters = st.builds(
    PerMessageDeflate,
    st.booleans(),
    st.booleans(),
    st.integers(9, 15),
    st.integers(9, 15),
    st.sampled_from([1, 6, 9]),
    st.integers(1, 9),
    st.sampled_from([None, 0, 100]),
)


def negotiated(
    client: PerMessageDeflate, server: PerMessageDeflate
) -> tuple[PerMessageDeflate, PerMessageDeflate]:
    """Negotiate; return the agreed parameters of the client and of the server."""
    response = respond(server, make_offer(client).split(", "))
    assert response is not None
    element, by_server = response
    by_client = accept_response(client, [element])
    assert by_client is not None
    return by_client, by_server
