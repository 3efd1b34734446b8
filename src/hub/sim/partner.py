"""An eMSP's platform as a program: OCPI 2.2.1 or 2.3.0 over HTTP, both ways, from outside.

It joins by the credentials handshake from either side, answers real-time authorisations, keeps
everything that it receives with the time, and fails in the ways that partners fail. What it
receives it checks against the standard's required members and never recomputes.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Literal, Self
from uuid import uuid4

import aiohttp
import msgspec
from aiohttp import web

from hub.kernel import Clock, HubError, encode, format_instant, new_secret
from hub.runtime import SystemClock
from hub.sim.partner_rules import missing_members

Fault = Literal["", "500", "html", "slow", "unauthorized", "refuse"]
Json = dict[str, Any]
_JSON: Final = msgspec.json.Decoder(float_hook=Decimal)
_ONLY_JSON: Final = {"Content-Type": "application/json"}


class PartnerError(HubError):
    """The hub answered the partner with something other than success."""

    code = "partner_call_failed"
    status = 502

    def __init__(self, call: str, http: int, status_code: int, message: str) -> None:
        super().__init__(call, http, status_code, message)
        self.call = call
        self.http = http
        self.status_code = status_code
        self.message = message

    def __str__(self) -> str:
        return f"{self.call}: HTTP {self.http}, OCPI {self.status_code}: {self.message}"


class Driver(msgspec.Struct, kw_only=True):
    """A customer with a card, and the answer that a real-time question about it gets."""

    uid: str
    contract_id: str
    type: str = "RFID"
    whitelist: str = "NEVER"
    valid: bool = True
    allowed: str = "ALLOWED"
    unknown: bool = False
    """Answered with HTTP 404 and 2004, though it is in the list."""
    after: float = 0
    """Seconds until the answer."""
    group_id: str | None = None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the hub, as it came, and how it was answered."""

    at: datetime
    method: str
    module: str
    path: str
    headers: dict[str, str]
    body: bytes
    status_code: int


class SimPartner:
    """``async with`` starts its server on a free port of 127.0.0.1."""

    def __init__(
        self,
        *,
        country: str = "NL",
        party: str = "EXM",
        name: str = "Example Mobility",
        version: str = "2.2.1",
        clock: Clock | None = None,
    ) -> None:
        self.country = country
        self.party = party
        self.name = name
        self.version = version
        self.clock: Clock = clock or SystemClock()
        self.drivers: dict[str, Driver] = {}
        self.received: list[Received] = []
        self.stored: dict[str, dict[str, Json]] = {
            module: {} for module in ("locations", "sessions", "cdrs", "tariffs")
        }
        self.results: dict[str, Json] = {}
        self.asked: list[tuple[str, Json]] = []
        self.fault: Fault = ""
        self.slowness = 5.0
        self.our_token = new_secret()
        self.hub_token = ""
        self.hub_party = ("", "")
        self.hub_endpoints: dict[tuple[str, str], str] = {}
        self.port = 0
        self._hub_versions = ""
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    # -- life ------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        await self.come_up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.go_down()
        if self._http:
            await self._http.close()

    async def come_up(self) -> None:
        """Listen (again, on the same port)."""
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def go_down(self) -> None:
        """Stop listening: the hub's connections are refused from now on."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    @property
    def base(self) -> str:
        """Base URL of this platform."""
        return f"http://127.0.0.1:{self.port}/ocpi"

    @property
    def versions_url(self) -> str:
        """Where a handshake with this partner begins."""
        return f"{self.base}/versions"

    async def until(
        self, holds: Callable[[], bool], what: str = "the condition", within: float = 20
    ) -> None:
        """Return once ``holds()``, checked at every request; ``TimeoutError`` after ``within``."""
        try:
            async with asyncio.timeout(within):
                while not holds():
                    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.add(waiting)
                    await waiting
        except TimeoutError:
            if not holds():
                raise TimeoutError(f"{self.name}: {what} did not happen in {within} s") from None

    # -- the handshake ---------------------------------------------------------------------

    def invite(self) -> str:
        """A token A for the hub, which then registers here; valid until it did."""
        self.our_token = new_secret()
        return self.our_token

    async def join(self, versions_url: str, token_a: str) -> None:
        """Register at the hub that invited us: versions, details, POST credentials."""
        self.hub_token, self._hub_versions = token_a, versions_url
        await self._discover()
        self.our_token = new_secret()
        answer = await self.call("POST", self._at("credentials"), self._credentials())
        self._registered(answer)
        await self._discover()

    async def rotate(self) -> None:
        """Exchange both tokens (PUT credentials)."""
        self.our_token = new_secret()
        self._registered(await self.call("PUT", self._at("credentials"), self._credentials()))

    async def leave(self) -> None:
        """Unregister (DELETE credentials)."""
        await self.call("DELETE", self._at("credentials"))
        self.hub_token = ""

    async def _discover(self) -> None:
        versions = await self.call("GET", self._hub_versions)
        known = {entry["version"]: entry["url"] for entry in versions}
        if self.version not in known:
            raise PartnerError("GET versions", 200, 3002, f"no {self.version} among {list(known)}")
        details = await self.call("GET", known[self.version])
        self.hub_endpoints = {
            (entry["identifier"], entry.get("role", "")): entry["url"].rstrip("/")
            for entry in details["endpoints"]
        }

    def _registered(self, credentials: Json) -> None:
        self.hub_token = credentials["token"]
        self._hub_versions = credentials["url"]
        role = next((r for r in credentials["roles"] if r["role"] in {"CPO", "HUB"}), None)
        if role:
            self.hub_party = (role["country_code"], role["party_id"])

    def _credentials(self) -> Json:
        role = {
            "role": "EMSP",
            "business_details": {"name": self.name},
            "party_id": self.party,
            "country_code": self.country,
        }
        return {"token": self.our_token, "url": self.versions_url, "roles": [role]}

    def _at(self, module: str, role: str = "") -> str:
        for (name, side), url in self.hub_endpoints.items():
            if name == module and (not role or side == role):
                return url
        raise PartnerError(f"{module} {role}", 0, 3003, "the hub does not offer this endpoint")

    # -- asking the hub --------------------------------------------------------------------

    async def call(self, method: str, url: str, body: object = None) -> Any:
        """One request to the hub; the ``data`` of its answer. ``PartnerError`` unless 1xxx."""
        http, envelope, _ = await self.send(method, url, body)
        status = int(envelope.get("status_code", 0))
        if http >= 300 or not 1000 <= status < 2000:
            raise PartnerError(f"{method} {url}", http, status, str(envelope.get("status_message")))
        return envelope.get("data")

    async def send(
        self, method: str, url: str, body: object = None
    ) -> tuple[int, Json, Mapping[str, str]]:
        """One request to the hub: HTTP status, envelope (empty if none), headers."""
        assert self._http
        raw = base64.b64encode(self.hub_token.encode()).decode()
        headers = {
            "Authorization": f"Token {raw}",
            "X-Request-ID": str(uuid4()),
            "X-Correlation-ID": str(uuid4()),
        }
        if not any(part in url for part in ("/versions", "/credentials")) and self.hub_party[0]:
            headers |= {
                "OCPI-from-country-code": self.country,
                "OCPI-from-party-id": self.party,
                "OCPI-to-country-code": self.hub_party[0],
                "OCPI-to-party-id": self.hub_party[1],
            }
        content = None if body is None else encode(body)
        if content is not None:
            headers |= _ONLY_JSON
        async with self._http.request(method, url, data=content, headers=headers) as answer:
            text = await answer.read()
            try:
                envelope = _JSON.decode(text)
            except msgspec.DecodeError:
                envelope = {}
            return answer.status, envelope if isinstance(envelope, dict) else {}, answer.headers

    async def pull(self, module: str, **query: str) -> list[Json]:
        """Every object of one of the hub's lists, page by page through ``Link``."""
        words = "&".join(f"{name}={value}" for name, value in query.items())
        url: str | None = self._at(module, "SENDER") + (f"?{words}" if words else "")
        found: list[Json] = []
        while url:
            _, envelope, headers = await self.send("GET", url)
            found += envelope.get("data") or []
            link = headers.get("Link", "")
            url = link.split("<")[1].split(">")[0] if 'rel="next"' in link else None
        return found

    async def push_token(self, driver: Driver) -> None:
        """Tell the hub a driver's card (PUT on its tokens receiver) and remember it."""
        self.drivers[driver.uid] = driver
        url = f"{self._at('tokens', 'RECEIVER')}/{self.country}/{self.party}/{driver.uid}"
        await self.call("PUT", f"{url}?type={driver.type}", self.token(driver))

    async def command(self, kind: str, body: Json, within: float = 30) -> tuple[Json, Json | None]:
        """A command to the hub: its answer at once, then the result at our response URL.

        The result is ``None`` when the command was not accepted.
        """
        mark = uuid4().hex
        url = f"{self.base}/emsp/{self.version}/commands/{kind}/{mark}"
        answer = await self.call(
            "POST", f"{self._at('commands', 'RECEIVER')}/{kind}", {"response_url": url, **body}
        )
        if answer["result"] != "ACCEPTED":
            return answer, None
        await self.until(lambda: mark in self.results, f"the result of {kind}", within)
        return answer, self.results[mark]

    def token(self, driver: Driver) -> Json:
        """A driver's card as an OCPI Token."""
        token = {
            "country_code": self.country,
            "party_id": self.party,
            "uid": driver.uid,
            "type": driver.type,
            "contract_id": driver.contract_id,
            "issuer": self.name,
            "valid": driver.valid,
            "whitelist": driver.whitelist,
            "last_updated": format_instant(self.clock.now()),
        }
        return token | ({"group_id": driver.group_id} if driver.group_id else {})

    # -- answering the hub -----------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.fault == "slow":
            await asyncio.sleep(self.slowness)
        parts = request.path.removeprefix("/ocpi").strip("/").split("/")
        if broken := self._broken(request):
            status_code, answer = 0, broken
        else:
            status_code, answer = await self._answer(request, parts, body)
        module = parts[2] if len(parts) > 2 else parts[0]
        self.received.append(
            Received(
                at=self.clock.now(),
                method=request.method,
                module=module,
                path=request.path_qs,
                headers=dict(request.headers),
                body=body,
                status_code=status_code,
            )
        )
        self._wake()
        for name in ("X-Request-ID", "X-Correlation-ID"):
            if name in request.headers:
                answer.headers[name] = request.headers[name]
        return answer

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    def _broken(self, request: web.Request) -> web.Response | None:
        if self.fault == "500":
            return web.Response(status=500, text="internal error")
        if self.fault == "html":
            page = "<html><body>Please log in</body></html>"
            return web.Response(text=page, content_type="text/html")
        sent = request.headers.get("Authorization", "")
        wanted = base64.b64encode(self.our_token.encode()).decode()
        if self.fault == "unauthorized" or sent != f"Token {wanted}":
            return web.Response(status=401, text="{}", content_type="application/json")
        return None

    def _envelope(
        self, data: object = None, code: int = 1000, *, http: int = 200, message: str = ""
    ) -> tuple[int, web.Response]:
        said: Json = {"status_code": code, "timestamp": format_instant(self.clock.now())}
        if data is not None:
            said["data"] = data
        if message:
            said["status_message"] = message
        return code, web.Response(status=http, body=encode(said), content_type="application/json")

    async def _answer(  # noqa: PLR0911 - one line per address
        self, request: web.Request, parts: list[str], body: bytes
    ) -> tuple[int, web.Response]:
        if parts[:3] == ["emsp", self.version, "cdrs"]:
            return self._cdr(request.method, parts[3:], body)
        match parts:
            case ["versions"]:
                url = f"{self.base}/{self.version}"
                return self._envelope([{"version": self.version, "url": url}])
            case [self.version]:
                return self._envelope({"version": self.version, "endpoints": self._endpoints()})
            case [self.version, "credentials"]:
                return self._handshake(request.method, body)
            case ["emsp", self.version, "tokens"]:
                return self._token_list()
            case ["emsp", self.version, "tokens", uid, "authorize"]:
                return await self._authorize(uid, body)
            case ["emsp", self.version, "commands", _, mark]:
                self.results[mark] = _unwrapped(body)
                return self._envelope()
            case ["emsp", self.version, "sessions" | "locations" | "tariffs" as module, _, _, *ids]:
                return self._object(request.method, module, ids, body)
        return self._envelope(code=2000, http=404, message="no such address")

    def _endpoints(self) -> list[Json]:
        base, sides = f"{self.base}/emsp/{self.version}", {"tokens": "SENDER", "commands": "SENDER"}
        functional = [
            {"identifier": m, "role": sides.get(m, "RECEIVER"), "url": f"{base}/{m}"}
            for m in ("tokens", "commands", "locations", "sessions", "cdrs", "tariffs")
        ]
        credentials = f"{self.base}/{self.version}/credentials"
        return [
            {"identifier": "credentials", "role": "SENDER", "url": credentials},
            *functional,
        ]

    def _handshake(self, method: str, body: bytes) -> tuple[int, web.Response]:
        if method == "DELETE":
            self.hub_token = ""
            return self._envelope()
        if method in {"POST", "PUT"}:
            self._registered(_JSON.decode(body))
            self.our_token = new_secret()
            self._wake()
        return self._envelope(self._credentials())

    def _token_list(self) -> tuple[int, web.Response]:
        code, answer = self._envelope([self.token(driver) for driver in self.drivers.values()])
        answer.headers["X-Total-Count"] = answer.headers["X-Limit"] = str(len(self.drivers))
        return code, answer

    async def _authorize(self, uid: str, body: bytes) -> tuple[int, web.Response]:
        self.asked.append((uid, _JSON.decode(body) if body else {}))
        driver = self.drivers.get(uid)
        if driver is None or driver.unknown:
            return self._envelope(code=2004, http=404, message="unknown token")
        await asyncio.sleep(driver.after)
        reference = f"AUTH-{uuid4().hex[:20]}"
        answer = {"allowed": driver.allowed, "token": self.token(driver)}
        if driver.allowed == "ALLOWED":
            answer["authorization_reference"] = reference
        return self._envelope(answer)

    def _cdr(self, method: str, rest: list[str], body: bytes) -> tuple[int, web.Response]:
        known = self.stored["cdrs"]
        if method == "GET" and rest:
            found = known.get(rest[-1])
            return self._envelope(found) if found else self._envelope(code=2000, http=404)
        if method != "POST":
            return self._envelope(code=2000, http=405, message="a CDR is only posted")
        cdr = _JSON.decode(body)
        lacking = missing_members("cdrs", cdr)
        name = str(cdr.get("id", ""))
        if lacking or self.fault == "refuse":
            return self._envelope(code=2001, message=f"missing: {', '.join(lacking)}")
        if name in known and known[name] != cdr:
            return self._envelope(code=2001, message="another CDR has this id")
        created = name not in known
        known[name] = cdr
        code, answer = self._envelope(http=201 if created else 200)
        answer.headers["Location"] = f"{self.base}/emsp/{self.version}/cdrs/{name}"
        return code, answer

    def _object(
        self, method: str, module: str, ids: list[str], body: bytes
    ) -> tuple[int, web.Response]:
        known, key = self.stored[module], "/".join(ids)
        if method == "GET":
            found = known.get(key)
            return self._envelope(found) if found else self._envelope(code=2000, http=404)
        if method == "DELETE" and module == "tariffs":
            return self._envelope(http=200 if known.pop(key, None) else 404)
        said = _JSON.decode(body)
        if method == "PUT":
            kind = module if len(ids) == 1 else {2: "evses", 3: "connectors"}[len(ids)]
            if lacking := missing_members(kind, said):
                return self._envelope(code=2001, message=f"missing: {', '.join(lacking)}")
            known[key] = said
            return self._envelope()
        if method == "PATCH":
            return self._patch(module, ids, said)
        return self._envelope(code=2000, http=405)

    def _patch(self, module: str, ids: list[str], said: Json) -> tuple[int, web.Response]:
        known, key = self.stored[module], "/".join(ids)
        target = known.get(key)
        if target is None and module == "locations" and len(ids) > 1:
            evses = known.get(ids[0], {}).get("evses", [])
            target = next((evse for evse in evses if evse["uid"] == ids[1]), None)
        if target is None:
            return self._envelope(code=2000, http=404, message="unknown object")
        if "last_updated" not in said:
            return self._envelope(code=2001, message="missing: last_updated")
        periods = target.get("charging_periods", []) + said.get("charging_periods", [])
        target.update(said)
        if module == "sessions" and periods:
            target["charging_periods"] = periods
        return self._envelope()


def _unwrapped(body: bytes) -> Json:
    said = _JSON.decode(body)
    inner = said.get("data", said)
    return dict(inner) if isinstance(inner, dict) else {}
