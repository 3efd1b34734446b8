"""A real ``hub serve`` as a child process, driven as any user would: settings, CLI, REST.

Its log goes to a file. It can be killed without farewell and started again on the same data.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from hub.kernel import HubError, encode, new_secret

_DEFAULT_PORTS = (8000, 9000)


class ChildFailed(HubError):
    """The server ended or did not get ready; ``log`` says where to read why."""

    code = "child_failed"
    status = 500

    def __init__(self, what: str, log: Path) -> None:
        super().__init__(what, log)
        self.what = what
        self.log = log

    def __str__(self) -> str:
        tail = self.log.read_text(errors="replace")[-1500:] if self.log.exists() else ""
        return f"{self.what}; its log is {self.log}\n{tail}".rstrip()


class CommandFailed(HubError):
    """A command beside the server ended without its answer; ``said`` is its last line."""

    code = "command_failed"
    status = 500

    def __init__(self, words: Sequence[str], stderr: str) -> None:
        said = (stderr.strip().splitlines() or ["nothing was said"])[-1].removeprefix("hub: ")
        super().__init__(" ".join(words), said)
        self.words = words
        self.said = said

    def __str__(self) -> str:
        return f"hub {' '.join(self.words)}: {self.said}"


class ApiError(HubError):
    """Our own REST API answered with an error."""

    code = "api_error"
    status = 502

    def __init__(self, call: str, http: int, body: str) -> None:
        super().__init__(call, http, body)
        self.call = call
        self.http = http
        self.body = body

    def __str__(self) -> str:
        return f"{self.call}: HTTP {self.http} {self.body[:300]}"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_or_default(default: int) -> int:
    """The default port if nobody has it, else any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", default))
        except OSError:
            return free_port()
        return default


class HubChild:
    """The server's process, its settings, and calls to it. ``async with`` starts and stops it.

    A ``scratch`` server ends by itself when we are gone, however we ended, and is quick to stop;
    its data would not survive a power cut.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        default_ports: bool = False,
        scratch: bool = False,
    ) -> None:
        self.scratch = scratch
        self.folder = folder
        self.log = folder / "hub.log"
        self.admin_token = new_secret(24)
        http, ocpp = (
            (free_or_default(port) if default_ports else free_port()) for port in _DEFAULT_PORTS
        )
        self.settings = {
            "HUB_DATA_DIR": str(folder),
            "HUB_HTTP_PORT": str(http),
            "HUB_OCPP_PORT": str(ocpp),
            "HUB_ADMIN_TOKEN": self.admin_token,
            **(settings or {}),
        }
        self.base = f"http://127.0.0.1:{self.settings['HUB_HTTP_PORT']}"
        self.process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        await self.stop()
        if self._http:
            await self._http.close()

    @property
    def environment(self) -> dict[str, str]:
        """The child's environment: ours without other ``HUB_*`` settings."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("HUB_")}
        return kept | self.settings

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self.process
        return self.process.pid

    def station_url(self, identity: str) -> str:
        """Where a station connects."""
        return f"ws://127.0.0.1:{self.settings['HUB_OCPP_PORT']}/ocpp/{identity}"

    async def start(self, within: float = 60) -> None:
        """Start the server and return once it is ready; ``ChildFailed`` otherwise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hub",
                "serve",
                *(["--scratch"] if self.scratch else []),
                env=self.environment,
                # The pipe's other end closes when this process ends, even by SIGKILL.
                stdin=asyncio.subprocess.PIPE if self.scratch else None,
                stdout=log,
                stderr=log,
                # Ctrl-C is for us; the server is told to stop once the stations have left.
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(within):
                while not await self._ready():
                    if self.process.returncode is not None:
                        raise ChildFailed(
                            f"hub serve ended with {self.process.returncode}", self.log
                        )
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise ChildFailed(f"hub serve was not ready after {within} s", self.log) from error

    async def kill(self) -> None:
        """SIGKILL: no farewell, nothing flushed."""
        assert self.process
        self.process.kill()
        await self.process.wait()

    async def stop(self, within: float = 20) -> None:
        """SIGTERM, and SIGKILL if it does not end in time."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), within)
        except TimeoutError:
            await self.kill()

    async def _ready(self) -> bool:
        try:
            async with self._session().get(f"{self.base}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40))
        return self._http

    async def api(self, method: str, path: str, body: object = None) -> Any:
        """A call to ``/api/v1`` with the admin token; the decoded answer. ``ApiError`` from 400."""
        headers = {
            "Authorization": f"Bearer {self.admin_token}",
            "Content-Type": "application/json",
        }
        content = None if body is None else encode(body)
        url = f"{self.base}/api/v1{path}"
        async with self._session().request(method, url, data=content, headers=headers) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise ApiError(f"{method} {path}", answer.status, text.decode(errors="replace"))
            return msgspec.json.decode(text) if text else None

    async def import_locations(self, locations: Sequence[object]) -> Any:
        """``hub locations import`` of OCPI locations; the command's report."""
        file = self.folder / "locations.json"
        file.write_bytes(encode(locations))
        return await self.command("locations", "import", str(file))

    async def bind_evse(self, station_id: str, number: int, evse_uid: str) -> None:
        """Let a station's EVSE number speak for an EVSE of a location."""
        path = f"/stations/{station_id}/evses/{number}"
        await self.api("PUT", path, {"evse_uid": evse_uid})

    async def every(self, path: str) -> list[Any]:
        """All items of one of our lists, page by page."""
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            joint = "&" if "?" in path else "?"
            page = await self.api("GET", f"{path}{joint}cursor={cursor}" if cursor else path)
            found += page["items"]
            cursor = page["next"]
        return found

    async def command(self, *words: str) -> Any:
        """``hub WORDS --json`` beside the server; its one JSON object."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hub",
            *words,
            "--json",
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        try:
            return msgspec.json.decode(out)
        except msgspec.DecodeError as error:
            raise CommandFailed(words, err.decode(errors="replace")) from error
