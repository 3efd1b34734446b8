"""A station's end of the socket, and the ``ocpp`` package wrapped once for typed use.

The wire loses answers on demand: the frame has reached the other side and its answer is
thrown away together with the connection, as when a modem drops at the wrong moment.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections import deque
from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Any, TypeVar, cast

import msgspec
from ocpp.exceptions import OCPPError
from ocpp.routing import on
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from hub.kernel import HubError

Handler = TypeVar("Handler", bound=Callable[..., Any])
logging.getLogger("ocpp").setLevel(logging.CRITICAL)
Refusal: type[Exception] = OCPPError
"""A CALLERROR from the other side."""
BROKEN = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, asyncio.TimeoutError)


class LinkLost(HubError):
    """The socket went while an answer was still owed."""

    code = "link_lost"
    status = 503

    def __str__(self) -> str:
        return "the connection to the hub was lost before the answer came"


def answers(action: str) -> Callable[[Handler], Handler]:
    """Marks the method that answers an action of the hub."""
    return cast("Callable[[Handler], Handler]", on(action))


class Wire:
    """One connection as the ``ocpp`` package wants it (``recv`` and ``send`` of text)."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.lost: asyncio.Event = asyncio.Event()
        self.frames: deque[tuple[str, str]] = deque(maxlen=400)
        self._forget: set[str] = set()

    async def recv(self) -> str:
        """The next frame; answers that were marked as lost end the connection instead."""
        text = str(await self.socket.recv())
        if self._forget and _answers_one_of(text, self._forget):
            self.socket.transport.abort()
            raise LinkLost
        self.frames.append(("in", text))
        return text

    async def send(self, text: str) -> None:
        """Put one frame on the socket."""
        self.frames.append(("out", text))
        await self.socket.send(text)

    def forget_answer(self, message_id: str) -> None:
        """From now on the answer to this message is lost, and the connection with it."""
        self._forget.add(message_id)


def _answers_one_of(text: str, ids: set[str]) -> bool:
    frame = msgspec.json.decode(text)
    return isinstance(frame, list) and len(frame) > 1 and frame[0] in {3, 4} and frame[1] in ids


async def dial(
    url: str,
    protocol: str,
    *,
    credentials: tuple[str, str] | None = None,
    tls: SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
) -> Wire:
    """An open connection that speaks ``protocol``; HTTP Basic when ``credentials`` are given."""
    extra = dict(headers or {})
    if credentials:
        raw = base64.b64encode(":".join(credentials).encode()).decode()
        extra["Authorization"] = f"Basic {raw}"
    socket = await connect(
        url,
        subprotocols=[Subprotocol(protocol)],
        additional_headers=extra,
        compression=None,
        ping_interval=None,
        open_timeout=10,
        close_timeout=1,
        max_size=2**20,
        ssl=tls,
    )
    return Wire(socket)
