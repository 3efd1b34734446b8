"""Arguments to commands, and errors to one clear line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from hub import __version__
from hub.kernel import HubError
from hub.runtime import load_settings
from hub.runtime.telemetry import configure_logging

FAILED: Final = 2
_INTERRUPTED: Final = 130

if TYPE_CHECKING:
    Sub = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its only name


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        arguments.settings = load_settings(os.environ)
        configure_logging(level="warning", style="console")
        code: int = arguments.run(arguments)
    except HubError as error:
        print(f"hub: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; that is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def lazily(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A command's function, imported when it runs: ``hub --help`` answers at once."""

    def run(arguments: argparse.Namespace) -> int:
        code: int = getattr(importlib.import_module(module), function)(arguments)
        return code

    return run


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="hub", description="Roaming and payments hub for EV charging.",
        epilog="Settings are HUB_* environment variables or a TOML file named by HUB_CONFIG.",
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"charging-hub {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _serving(commands)
    _registering(commands)
    _checking(commands)
    return top


def _command(commands: Sub, name: str, help_text: str, run: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=help_text, description=help_text[0].upper() + help_text[1:] + "."
    )
    module, function = run.split(":")
    made.set_defaults(run=lazily(module, function))
    return made


def _group(commands: Sub, name: str, help_text: str) -> Sub:
    group: argparse.ArgumentParser = commands.add_parser(name, help=help_text)
    return group.add_subparsers(metavar="COMMAND", required=True)


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _serving(commands: Sub) -> None:
    serve = _command(commands, "serve", "run the hub", "hub.cli.serve:serve")
    serve.add_argument(
        "--roles", default="api,ocpp,worker", metavar="LIST",
        help="comma-separated subset of api, ocpp, worker (default: all)",
    )  # fmt: skip
    serve.add_argument(
        "--scratch", action="store_true",
        help="for trials: end when standard input closes, and let the embedded database skip "
        "what makes it survive a power cut",
    )  # fmt: skip
    _command(commands, "migrate", "bring the database to this release's schema",
             "hub.cli.serve:migrate_only")  # fmt: skip
    demo = _command(commands, "demo", "show the hub at work with simulated stations and partners",
                    "hub.sim.demo:demo")  # fmt: skip
    demo.add_argument("--once", action="store_true", help="run the journeys once and end")
    demo.add_argument("--locations", metavar="FILE", help="also import a network of locations")
    _json(demo)
    openapi = _command(commands, "openapi", "write the OpenAPI documents",
                       "hub.cli.openapi:write_documents")  # fmt: skip
    openapi.add_argument("--folder", default="openapi", help="where to write (default: openapi)")


def _registering(commands: Sub) -> None:
    station = _group(commands, "station", "stations")
    add = _command(station, "add", "register a station", "hub.cli.register:station_add")
    add.add_argument("id", metavar="ID", help="its identity, the last part of its URL")
    add.add_argument("--profile", type=int, choices=range(4), default=0,
                     help="OCPP security profile (default: 0)")  # fmt: skip
    _json(add)
    locations = _group(commands, "locations", "sites, EVSEs and connectors")
    feed = _command(locations, "import", "read a network of OCPI locations from a file",
                    "hub.cli.feed:import_locations")  # fmt: skip
    feed.add_argument("file", metavar="FILE", help="JSON, OCPI 2.x or a dialect of it")
    _json(feed)
    partner = _group(commands, "partner", "roaming partners")
    invite = _command(partner, "invite", "make credentials token A for a partner",
                      "hub.cli.register:partner_invite")  # fmt: skip
    invite.add_argument("--country", required=True, help="ISO 3166 alpha-2 country of the party")
    invite.add_argument("--party", required=True, help="party id of the partner")
    invite.add_argument("--role", required=True, choices=("CPO", "EMSP"))
    invite.add_argument("--name", default="", help="name of the partner")
    _json(invite)
    connect = _command(partner, "connect", "start the handshake with a platform that invited us",
                       "hub.cli.register:partner_connect")  # fmt: skip
    connect.add_argument("--url", required=True, help="the platform's versions URL")
    connect.add_argument("--token", required=True, help="the credentials token A it gave us")
    _json(connect)
    token = _group(commands, "token", "tokens of our own API")
    create = _command(token, "create", "make an API token", "hub.cli.register:token_create")
    create.add_argument("--role", required=True, choices=("admin", "operator", "finance", "viewer"))
    create.add_argument("--name", default="", help="what the token is for")
    _json(create)


def _checking(commands: Sub) -> None:
    doctor = _command(commands, "doctor", "check settings, database, ports, clock and disk",
                      "hub.cli.doctor:doctor")  # fmt: skip
    _json(doctor)
    ledger = _group(commands, "ledger", "the books")
    verify = _command(ledger, "verify", "run every proof of the ledger",
                      "hub.cli.books:ledger_verify")  # fmt: skip
    _json(verify)
    replay = _group(commands, "replay", "the past again")
    sessions = _command(replay, "sessions", "bill past sessions of a CSV in a scratch tenant",
                        "hub.cli.replay:sessions")  # fmt: skip
    sessions.add_argument("file", metavar="FILE", help="a CSV of past sessions")
    sessions.add_argument("--tariff", metavar="FILE", help="an OCPI tariff object as JSON")
    _json(sessions)
