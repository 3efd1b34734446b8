"""Serving HTTP inside our own event loop: uvicorn without its signals, logs and life cycle."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from litestar.types import ASGIApp

from hub.kernel import HubError
from hub.runtime import Settings

_LEAVE_WITHIN = 3


class PortBusy(HubError):
    """An address that another program listens on, or that we may not bind."""

    code = "port_busy"
    status = 503

    def __init__(self, setting: str, host: str, port: int, reason: str) -> None:
        super().__init__(setting, host, port, reason)
        self.setting = setting
        self.host = host
        self.port = port
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"cannot listen on {self.host}:{self.port} ({self.reason}); stop the program that "
            f"does, or set {self.setting} to another port (0: any free one)"
        )


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket; ``PortBusy`` names the setting to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise PortBusy(setting, host, port, reason) from error
    return sock


def free_port(host: str, port: int, setting: str) -> int:
    """``port``, or any free one for 0, for somebody who binds it next; ``PortBusy`` if taken."""
    with listen(host, port, setting) as probe:
        found: int = probe.getsockname()[1]
    return found


class _Quiet(uvicorn.Server):
    """A server that leaves the signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves one ASGI application on a socket that listens already."""

    def __init__(self, app: ASGIApp, settings: Settings, sock: socket.socket) -> None:
        self._sock = sock
        self._server = _Quiet(
            uvicorn.Config(
                app, loop="none", http="httptools", ws="none", lifespan="off", log_config=None,
                access_log=False, server_header=False, proxy_headers=False,
                timeout_graceful_shutdown=_LEAVE_WITHIN,
                ssl_certfile=settings.http_tls_cert or None,
                ssl_keyfile=settings.http_tls_key or None,
            )
        )  # fmt: skip

    async def serve(self) -> None:
        """Answer until ``stop``; requests in hand get a few seconds to end."""
        await self._server.serve(sockets=[self._sock])

    def stop(self) -> None:
        """Take no more connections and end soon."""
        self._server.should_exit = True
