"""The floor of P1 and P5: ``python -m tests.bench.echo PORT [CERT KEY]`` answers each frame with a constant.

``websockets`` on uvloop, no decoding, no state, no database; the answer is as long as ours.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import suppress

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

_START = '"transactionId":1000001,"idTagInfo":{"status":"Accepted"}'


def answer_to(frame: str) -> str:
    """A CALLRESULT of the size that the hub gives, found without decoding."""
    name = frame[4 : frame.index('"', 4)]
    if "StartTransaction" in frame[:80]:
        return f'[3,"{name}",{{{_START}}}]'
    if "BootNotification" in frame[:80]:
        stamp = '"currentTime":"2026-01-01T00:00:00.000Z"'
        return f'[3,"{name}",{{"status":"Accepted",{stamp},"interval":300}}]'
    return f'[3,"{name}",{{}}]'


async def _answer(socket: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for frame in socket:
            await socket.send(answer_to(str(frame)))


async def main(port: int, tls: ssl.SSLContext | None) -> None:
    """Serve until killed."""
    kinds = [Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")]
    options = {"compression": None, "backlog": 4096, "subprotocols": kinds, "ssl": tls}
    async with serve(_answer, "127.0.0.1", port, **options):  # type: ignore[arg-type]
        await asyncio.Future()


if __name__ == "__main__":
    context = None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    uvloop.run(main(int(sys.argv[1]), context))
