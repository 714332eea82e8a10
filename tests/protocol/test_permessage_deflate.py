"""permessage-deflate: the parameters, and how two sides agree on them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyio_websocket._protocol._permessage_deflate import (
    BadDeflate,
    PerMessageDeflate,
    accept_response,
    make_offer,
    respond,
)

from ..support.compression import any_parameters, negotiated
from ..support.costs import grows_linearly


@pytest.mark.parametrize(
    ("name", "allowed", "values"),
    [
        ("server_max_window_bits", "9 to 15", (8, 16, -12, 0)),
        ("client_max_window_bits", "9 to 15", (8, 16, -12, 0)),
        ("level", "1 to 9", (0, 10, -1)),
        ("mem_level", "1 to 9", (0, 10)),
        ("threshold", "0 or more", (-1,)),
    ],
)
def test_numbers_must_be_in_range(
    name: str, allowed: str, values: tuple[int, ...]
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"{name} must be {allowed}, not {value}"):
            PerMessageDeflate(**{name: value})  # type: ignore[arg-type]
    for wrong in (True, 12.0, "12"):
        with pytest.raises(TypeError, match=f"{name} must be an int"):
            PerMessageDeflate(**{name: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["server_no_context_takeover", "client_no_context_takeover"]
)
def test_flags_must_be_bools(name: str) -> None:
    for wrong in (0, None, "yes"):
        with pytest.raises(TypeError, match=f"{name} must be a bool"):
            PerMessageDeflate(**{name: wrong})  # type: ignore[arg-type]


def test_parameters_are_immutable() -> None:
    settings = PerMessageDeflate()
    with pytest.raises(FrozenInstanceError):
        settings.level = 9  # type: ignore[misc]
    assert settings == PerMessageDeflate(False, False, 12, 12, 6, 5, None)
    assert hash(settings) == hash(PerMessageDeflate())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            PerMessageDeflate(),
            (
                "permessage-deflate; client_max_window_bits=12; "
                "server_max_window_bits=12, "
                "permessage-deflate; server_no_context_takeover; "
                "client_max_window_bits=12"
            ),
        ),
        (
            PerMessageDeflate(True, False, 9, 15),
            (
                "permessage-deflate; server_no_context_takeover; "
                "client_max_window_bits; server_max_window_bits=9, "
                "permessage-deflate; server_no_context_takeover; "
                "client_max_window_bits"
            ),
        ),
        (
            PerMessageDeflate(True, True, 15, 15),
            (
                "permessage-deflate; server_no_context_takeover; "
                "client_no_context_takeover; client_max_window_bits"
            ),
        ),
    ],
)
def test_offers(settings: PerMessageDeflate, text: str) -> None:
    assert make_offer(settings) == text


DEFAULTS = "permessage-deflate; server_max_window_bits=12"


# offered by a client that cannot limit its window
UNLIMITED = "permessage-deflate; client_no_context_takeover; server_max_window_bits=12"


@pytest.mark.parametrize(
    ("offers", "text"),
    [
        (["permessage-deflate"], UNLIMITED),
        (
            ["permessage-deflate; client_max_window_bits"],
            f"{DEFAULTS}; client_max_window_bits=12",
        ),
        (
            [
                (
                    "permessage-deflate;client_max_window_bits=10 ;\t"
                    "server_max_window_bits = 9"
                )
            ],
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
        (
            [
                (
                    "permessage-deflate; client_max_window_bits=15; "
                    "server_max_window_bits=15"
                )
            ],
            f"{DEFAULTS}; client_max_window_bits=12",
        ),
        (
            [
                (
                    "permessage-deflate; server_no_context_takeover; "
                    "client_no_context_takeover"
                )
            ],
            (
                "permessage-deflate; server_no_context_takeover; "
                "client_no_context_takeover; server_max_window_bits=12"
            ),
        ),
        (["x-webkit-deflate-frame", "permessage-deflate"], UNLIMITED),
        (
            ["permessage-deflate; server_max_window_bits=8", "permessage-deflate"],
            UNLIMITED,
        ),
        (["permessage-deflate"] * 500, UNLIMITED),
        ([], None),
        (["permessage-bzip2"], None),
        (["Permessage-Deflate"], None),
    ],
)
def test_A10_acceptable_offers_are_accepted(
    offers: list[str], text: str | None
) -> None:
    found = respond(PerMessageDeflate(), offers)
    assert (found and found[0]) == text


BAD_PARAMETERS = (
    *("", "x", "x=1", "=", "=12", "Server_max_window_bits=12"),
    *("server_max_window_bits", "server_max_window_bits="),
    *(
        f"{side}_max_window_bits={value}"
        for side in ("server", "client")
        for value in (
            *("7", "16", "99", "abc", "-9", "+9", "9.0", "0", "012", "1 2", "²"),
            *('"12"', '"', "12=12", "", "9" * 5000),
        )
    ),
    *("client_max_window_bits; client_max_window_bits=12",),
    *("server_max_window_bits=9; server_max_window_bits=9",),
    *("server_no_context_takeover; server_no_context_takeover",),
    *("server_no_context_takeover=", "client_no_context_takeover=true"),
    "; ".join(["client_no_context_takeover"] * 500),
    ";" * 15_000,
)


@pytest.mark.parametrize("bad", [p[:60] for p in BAD_PARAMETERS])
def test_A10_unacceptable_offers_are_declined(bad: str) -> None:
    (parameters,) = {p for p in BAD_PARAMETERS if p[:60] == bad}
    wrong = f"permessage-deflate; {parameters}"
    assert respond(PerMessageDeflate(), [wrong]) is None
    found = respond(PerMessageDeflate(), [wrong] * 50 + ["permessage-deflate"])
    assert found is not None
    assert found[0] == UNLIMITED


def test_A10_the_response_has_a_limit_that_was_offered() -> None:
    # RFC 7692 section 7.1.2.1, even if the limit is the largest one
    settings = PerMessageDeflate(server_max_window_bits=15, client_max_window_bits=15)
    for offer in (
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=15",
    ):
        response = respond(settings, [offer])
        assert response is not None
        assert response[0] == offer


def test_D9_a_client_that_cannot_limit_its_window_drops_it() -> None:
    wide = PerMessageDeflate(client_max_window_bits=15)
    for settings, forgets in ((PerMessageDeflate(), True), (wide, False)):
        found = respond(settings, ["permessage-deflate"])
        assert found is not None
        assert found[1].client_max_window_bits == 15
        assert found[1].client_no_context_takeover is forgets


@pytest.mark.parametrize("side", ["server", "client"])
def test_A10_a_window_of_8_bits_is_declined(side: str) -> None:
    text = f"permessage-deflate; {side}_max_window_bits=8"
    assert respond(PerMessageDeflate(), [text]) is None


@given(st.lists(st.text(alphabet='permessage-deflate; =,"0189\x00é\t', max_size=60)))
def test_A10_any_text_as_an_offer_raises_nothing(offers: list[str]) -> None:
    respond(PerMessageDeflate(), offers)
    respond(PerMessageDeflate(), [f"permessage-deflate;{text}" for text in offers])


@pytest.mark.measured
def test_A10_many_offers_take_linear_time() -> None:
    def offers(count: int) -> None:
        respond(PerMessageDeflate(), ["permessage-deflate; a; b"] * count)
        respond(PerMessageDeflate(), ["permessage-deflate" + "; a" * count])

    assert grows_linearly(offers, 20_000)


@pytest.mark.parametrize(
    ("settings", "text", "agreed"),
    [
        (
            PerMessageDeflate(),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            PerMessageDeflate(),
        ),
        # from a server that cannot limit its window, and drops it instead
        (
            PerMessageDeflate(),
            "permessage-deflate; server_no_context_takeover",
            PerMessageDeflate(True, False, 15, 12),
        ),
        (
            PerMessageDeflate(server_max_window_bits=15),
            "permessage-deflate",
            PerMessageDeflate(server_max_window_bits=15),
        ),
        (
            PerMessageDeflate(),
            (
                "permessage-deflate;server_no_context_takeover ; "
                "client_no_context_takeover; client_max_window_bits=9"
            ),
            PerMessageDeflate(True, True, 15, 9),
        ),
        # RFC 7692 section 7.1.2.2: the server may allow more than the client offered
        (
            PerMessageDeflate(),
            "permessage-deflate; client_max_window_bits=15; server_max_window_bits=9",
            PerMessageDeflate(server_max_window_bits=9),
        ),
        # a window of 9 bits decompresses what was compressed with 8
        (
            PerMessageDeflate(level=1, mem_level=9, threshold=7),
            "permessage-deflate; server_max_window_bits=8",
            PerMessageDeflate(False, False, 9, 12, 1, 9, 7),
        ),
        (
            PerMessageDeflate(client_no_context_takeover=True),
            "permessage-deflate; server_max_window_bits=10",
            PerMessageDeflate(False, True, 10, 12),
        ),
    ],
)
def test_valid_responses_are_accepted(
    settings: PerMessageDeflate, text: str, agreed: PerMessageDeflate
) -> None:
    assert accept_response(settings, [text]) == agreed


def test_a_server_may_decline() -> None:
    assert accept_response(PerMessageDeflate(), []) is None


@pytest.mark.parametrize(
    "answers",
    [
        *([f"permessage-deflate; {p}"] for p in BAD_PARAMETERS if len(p) < 60),
        ["permessage-deflate", "permessage-deflate"],
        ["permessage-deflate", "x"],
        ["x-webkit-deflate-frame"],
        ["permessage-deflat\u00e9"],
        [""],
        ["permessage-deflate; client_max_window_bits"],
        ["permessage-deflate; client_max_window_bits=8"],
    ],
)
def test_B6_wrong_responses_fail(answers: list[str]) -> None:
    with pytest.raises(BadDeflate) as caught:
        accept_response(PerMessageDeflate(server_max_window_bits=15), answers)
    assert "99" not in str(caught.value)  # no words of the peer


@pytest.mark.parametrize("bits", ["", "; server_max_window_bits=13"])
def test_B6_a_server_must_limit_its_window_or_drop_it(bits: str) -> None:
    with pytest.raises(BadDeflate, match="server_max_window_bits is missing"):
        accept_response(PerMessageDeflate(), [f"permessage-deflate{bits}"])
    forgotten = f"permessage-deflate; server_no_context_takeover{bits}"
    agreed = accept_response(PerMessageDeflate(), [forgotten])
    assert agreed is not None
    assert agreed.server_max_window_bits == int(bits[-2:] or 15)


def test_B6_a_required_parameter_is_missing() -> None:
    settings = PerMessageDeflate(server_no_context_takeover=True)
    with pytest.raises(BadDeflate, match="server_no_context_takeover is missing"):
        accept_response(settings, ["permessage-deflate"])


@given(any_parameters, any_parameters)
def test_D8_both_sides_agree(
    client: PerMessageDeflate, server: PerMessageDeflate
) -> None:
    by_client, by_server = negotiated(client, server)
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        asked = getattr(client, name) or getattr(server, name)
        assert getattr(by_client, name) == getattr(by_server, name) == asked
    for name in ("server_max_window_bits", "client_max_window_bits"):
        most = min(getattr(client, name), getattr(server, name))
        assert getattr(by_client, name) == getattr(by_server, name) == most
    assert by_client.level == client.level
    assert by_server.level == server.level


settings = st.builds(
    PerMessageDeflate,
    st.booleans(),
    st.booleans(),
    st.integers(9, 15),
    st.integers(9, 15),
    st.sampled_from([1, 6, 9]),
    st.integers(1, 9),
    st.sampled_from([None, 0, 100]),
)
