"""A process that serves: it listens, and stops without losing what it accepted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from headrank.serve import log
from headrank.serve.gate import Gate

_TICK = 0.05  # seconds between looks at what is left
_LAST = 1  # seconds for last words; who has not even sent a body by then is cut off
_SPARE = 256  # connections beside those of the queue: health, metrics, and who is refused


class _Server(uvicorn.Server):
    """A server whose signals are handled by ``run``."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Patient(H11Protocol):
    """A connection that is closed if it sends no request: it would take the room of one that does.

    Attributes:
        seconds: that a request's head may take to arrive: the first from the connection on, a later
            one from its first byte on. Between requests uvicorn closes silent connections.
    """

    seconds: float
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()
        else:
            self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.seconds, self.transport.close)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def run(gate: Gate, bound: socket.socket) -> bool:
    """Serve until SIGTERM or SIGINT; return whether all that was accepted was answered.

    From the signal on new requests get 503, those inside are answered. After ``grace`` seconds,
    or at a second signal, those that still wait get 503, and one that runs is given up.
    """
    return asyncio.run(_serve(gate, bound))


def config(gate: Gate) -> uvicorn.Config:
    """Return how uvicorn serves an application: its log is ours, its connections are bounded."""
    return uvicorn.Config(
        gate,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http=type("_Patient", (_Patient,), {"seconds": gate.limits.timeout}),
        server_header=False,
        limit_concurrency=2 * gate.limits.queue + _SPARE,
        timeout_graceful_shutdown=_LAST,
    )


async def _serve(gate: Gate, bound: socket.socket) -> bool:
    server = _Server(config(gate))
    stop, now = asyncio.Event(), asyncio.Event()

    def told(number: int) -> None:
        log.event("stopping", signal=signal.Signals(number).name, inside=gate.inside)
        (now if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    serving = asyncio.ensure_future(server.serve(sockets=[bound]))
    while not server.started and not serving.done():
        await asyncio.sleep(_TICK)
    host, port = bound.getsockname()[:2]
    log.event("listening", host=host, port=port)
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    gate.draining = True
    end = time.monotonic() + gate.limits.grace
    while gate.inside and not now.is_set() and time.monotonic() < end:
        await asyncio.sleep(_TICK)
    left = gate.inside
    gate.closing.set()
    end = time.monotonic() + _LAST
    while gate.inside and time.monotonic() < end:
        await asyncio.sleep(_TICK)  # those that are given up are told so
    server.should_exit = True
    await serving
    log.event("stopped", unanswered=left)
    return not left
