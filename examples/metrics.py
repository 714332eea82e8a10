"""The numbers of a server as metrics of OpenTelemetry."""

import sys
from functools import partial

import anyio
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from anyio_websocket import (
    WebSocketEvent,
    WebSocketRequest,
    WebSocketServer,
    open_websocket_url,
    serve_websocket,
)


def measure(server: WebSocketServer, meter: Meter) -> None:
    def open_now(options: CallbackOptions) -> list[Observation]:
        return [Observation(server.statistics().connections)]

    def io(options: CallbackOptions) -> list[Observation]:
        numbers, key = server.statistics(), "network.io.direction"
        sent = Observation(numbers.bytes_sent, {key: "transmit"})
        return [sent, Observation(numbers.bytes_received, {key: "receive"})]

    meter.create_observable_up_down_counter("websocket.server.connections", [open_now])
    meter.create_observable_counter("websocket.server.io", [io], unit="By")


async def echo(request: WebSocketRequest) -> None:
    async for message in (ws := await request.accept()):
        await ws.send_message(message)


async def main() -> None:
    reader = InMemoryMetricReader()  # a program has one that exports them
    meter = MeterProvider([reader]).get_meter("chat")
    seconds = meter.create_histogram("websocket.server.connection.duration", unit="s")

    def on_event(event: WebSocketEvent) -> None:
        if event.duration is not None and event.closed is not None:  # a "close"
            seconds.record(event.duration, {"websocket.close.code": event.closed.code})

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, on_event=on_event)
        server = await tasks.start(serve, echo, "127.0.0.1", 0, None)
        measure(server, meter)
        async with open_websocket_url(f"ws://127.0.0.1:{server.port}/") as ws:
            await ws.send_message("hello")
            await ws.get_message()
        await server.aclose()
    print(reader.get_metrics_data().to_json())  # type: ignore[union-attr]


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
