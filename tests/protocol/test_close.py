"""Close frames: which codes and reasons may be sent."""

from __future__ import annotations

import pytest

from anyio_websocket._protocol import close_code_to_send, close_reason_to_send


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
def test_E10_codes_that_may_be_sent(code: int) -> None:
    assert close_code_to_send(code) == code


@pytest.mark.parametrize("code", [1005, 1006, 1015])
def test_E10_codes_that_are_never_sent_become_1000(code: int) -> None:
    assert close_code_to_send(code) == 1000


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1016, 2999, 5000, 70000])
def test_E10_codes_that_may_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        close_code_to_send(code)


@pytest.mark.parametrize("code", ["1000", None, True, 1000.0])
def test_E10_codes_of_the_wrong_type(code: object) -> None:
    with pytest.raises(TypeError):
        close_code_to_send(code)


def test_E10_a_reason_is_cut_to_fit() -> None:
    assert close_reason_to_send(None) == ""
    assert close_reason_to_send("x" * 123) == "x" * 123
    assert close_reason_to_send("x" * 124) == "x" * 123
    assert close_reason_to_send("é" * 62) == "é" * 61  # 124 bytes, cut between two
    with pytest.raises(ValueError, match="surrogates"):
        close_reason_to_send("\ud800")
    with pytest.raises(TypeError):
        close_reason_to_send(b"bye")
