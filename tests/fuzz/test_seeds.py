"""Every seed of the fuzzing goes through its target, as far as its pieces."""

from __future__ import annotations

import pytest

from anyio_websocket._protocol._frames import FrameCodec

from ..support.sweeps import swept
from .seeds import SEEDS
from .targets import TARGETS, OutOfMemory, Steps


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        for end in range(0, len(seed), 1 + len(seed) // 50):
            TARGETS[name](seed[:end])
            TARGETS[name](seed[:end] + b"\xff" + seed[end + 1 :])


@pytest.mark.parametrize("name", TARGETS)
def test_steps(name: str) -> None:
    for seed in SEEDS[name]:
        with Steps(len(seed)):
            TARGETS[name](seed)


@pytest.mark.sweep
@pytest.mark.parametrize("name", [name for name in TARGETS if "memory" in name])
def test_G10_out_of_memory_at_each_step(name: str) -> None:
    for seed in {seed[2:] for seed in SEEDS[name]}:
        for step in swept(range(300)):
            TARGETS[name](step.to_bytes(2, "little") + seed)


def test_a_call_of_the_protocol_fails() -> None:
    codec = FrameCodec(is_client=False, max_message_size=10, max_fragments=1)
    with OutOfMemory(0):
        [1].copy()  # not this one, which is a test's
        with pytest.raises(MemoryError):
            codec.feed(b"")
        codec.feed(b"")  # and no other one


def test_too_many_steps_are_noticed() -> None:
    with pytest.raises(AssertionError, match="steps"), Steps(0):
        for _ in range(10_000):
            Steps(1)
