"""What the documentation says is held against the program, so that it cannot grow old unseen."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from hub.cli.main import parser
from hub.runtime import Settings

from . import tables
from .tables import ROOT, TABLES, parsers, written

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
COMPOSE = ROOT / "compose.yaml"
KNOWN = {f"HUB_{name.upper()}" for name in Settings.__struct_fields__}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def prose(page: Path) -> str:
    """A page without its code, its comments and the targets of its links."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)


def code(page: Path) -> Iterator[str]:
    """Every code span of a page and every line of its code blocks."""
    text = page.read_text()
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [page.parent / unquote(link.partition("#")[0]) for link in links(page)]
    assert [str(target) for target in targets if not target.exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in reached:
                waiting.append(target)
    assert [name_of(page) for page in PAGES if page not in reached] == []


@each_page
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = [
        path for span in code(page) for path in re.findall(r"(?<![\w/.-])[\w./-]+\.py\b", span)
    ]
    missing = [
        path
        for path in named
        if not any((place / path).is_file() for place in (ROOT, ROOT / "src" / "hub"))
    ]
    assert missing == []


@each_page
def test_every_module_that_a_page_runs_exists(page: Path) -> None:
    modules = [m for span in code(page) for m in re.findall(r"python3? -m ([\w.]+)", span)]
    assert [m for m in modules if importlib.util.find_spec(m) is None] == []


@pytest.mark.parametrize("page", [*PAGES, COMPOSE], ids=name_of)
def test_every_setting_that_is_named_is_known(page: Path) -> None:
    named = set(re.findall(r"\bHUB_[A-Z][A-Z_]*[A-Z]\b", page.read_text()))
    others = {name for name in named if name.startswith("HUB_TEST_") or name == "HUB_CONFIG"}
    assert named - others - KNOWN == set()


def routes() -> list[re.Pattern[str]]:
    shown = re.findall(r"`(/[^`]*)`", written("addresses.md", "addresses"))
    return [re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in shown]


@each_page
def test_every_address_of_our_api_that_a_page_names_exists(page: Path) -> None:
    named = [
        path.rstrip("/.")
        for span in code(page)
        for path in re.findall(r"/api/v1/[\w/{}.-]+", span)
        if path != "/api/v1/..."
    ]
    known = routes()
    assert known
    assert [path for path in named if not any(route.fullmatch(path) for route in known)] == []


def commands_in(line: str) -> Iterator[list[str]]:
    """The words of every ``hub`` command in a line of code."""
    for found in re.finditer(r"(?:^|[\s;&]|bin/)hub +([a-z-][^;&|`\"#>]*)", line):
        yield found[1].split()


def complaint(words: list[str]) -> str | None:
    """What the program would say against a command, as far as its words tell."""
    at: argparse.ArgumentParser = parser()
    rest = list(words)
    while groups := [a for a in at._actions if isinstance(a, argparse._SubParsersAction)]:
        if not rest:
            return "incomplete"
        if rest[0] in at._option_string_actions:
            return None
        if rest[0] not in groups[0].choices:
            return f"no command {rest[0]!r}"
        at = groups[0].choices[rest.pop(0)]
    unknown = [
        w for w in rest if w.startswith("--") and w.split("=")[0] not in at._option_string_actions
    ]
    return f"no option {unknown}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    wrong = [
        (" ".join(words), problem)
        for line in code(page)
        for words in commands_in(line)
        if (problem := complaint(words))
    ]
    assert wrong == []


def test_a_command_that_does_not_exist_is_found() -> None:
    assert complaint(["station", "remove"]) == "no command 'remove'"
    assert complaint(["station"]) == "incomplete"
    assert complaint(["serve", "--rolls", "api"]) == "no option ['--rolls']"
    assert complaint(["serve", "--roles", "api"]) is None
    assert list(commands_in(".venv/bin/hub demo --once && hub ledger verify")) == [
        ["demo", "--once"], ["ledger", "verify"],
    ]  # fmt: skip


def test_the_reference_lists_every_command() -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    assert [words for words, _ in parsers(parser()) if f"`{words}" not in page] == []


def test_the_reference_lists_every_setting_with_its_default() -> None:
    rows = re.findall(
        r"^\| `(HUB_\w+)` \| (\S+) \|",
        (DOCS / "reference" / "settings.md").read_text(),
        re.MULTILINE,
    )
    shown = {name: "" if cell == "(empty)" else cell.strip("`") for name, cell in rows}
    defaults = Settings()
    expected = {
        f"HUB_{name.upper()}": str(getattr(defaults, name)).replace("False", "false")
        for name in Settings.__struct_fields__
    }
    assert shown == expected


@pytest.mark.parametrize("name", TABLES)
def test_the_reference_tables_follow_the_code(name: str) -> None:
    tables.import_everything()
    page, make = TABLES[name]
    assert written(page, name) == make(), "run: python -m tests.docs.tables"


def test_the_readme_carries_the_test_command_for_the_ci() -> None:
    sed = re.search(r"sed -n '([^']+)' README.md", (ROOT / ".ci" / "run").read_text())
    assert sed
    ran = subprocess.run(
        ["/usr/bin/env", "sed", "-n", sed[1], "README.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout == (
        "python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && .venv/bin/pytest\n"
    )


def compose() -> dict[str, dict[str, object]]:
    services: dict[str, dict[str, object]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def test_the_compose_file_uses_only_known_settings() -> None:
    services = compose()
    assert {"postgres", "hub"} <= services.keys()
    ours = [service for service in services.values() if "hub" in str(service.get("command"))]
    assert ours
    for service in ours:
        environment = service["environment"]
        assert isinstance(environment, dict)
        assert environment.keys() - KNOWN == set()


def test_the_compose_file_runs_commands_that_exist() -> None:
    lines = [str(s["command"]).replace("'", " ") for s in compose().values() if "command" in s]
    found = [words for line in lines for words in commands_in(line.replace("]", ""))]
    assert len(found) >= 2
    assert [words for words in found if complaint(words)] == []


def test_the_compose_file_publishes_nothing_to_the_network() -> None:
    ports = [str(port) for service in compose().values() for port in service.get("ports", ())]  # type: ignore[attr-defined]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_compose_file_copies_all_that_the_package_is_built_from() -> None:
    build = compose()["hub"]["build"]
    assert isinstance(build, dict)
    copied = " ".join(re.findall(r"COPY (.+) \S+", build["dockerfile_inline"])).split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {path.split("/")[0] for path in [*wheel["packages"], *wheel["force-include"]]}
    assert needed == set(copied)


FORBIDDEN = re.compile(
    r"/work/|\bissue \d|#\d+\b|\bpypi\.org|pythonhosted|npmjs|\bTODO\b|TO BE TRIED", re.IGNORECASE
)
AMERICAN = re.compile(
    r"\b\w*(?:authoriz|organiz|normaliz|recogniz|behavior|color|cancel(?:ed|ing)\b|license)\w*"
)


@pytest.mark.parametrize("page", [*PAGES, COMPOSE], ids=name_of)
def test_the_project_speaks_of_itself_alone(page: Path) -> None:
    assert FORBIDDEN.findall(page.read_text()) == []


@each_page
def test_every_page_keeps_one_spelling(page: Path) -> None:
    assert AMERICAN.findall(prose(page)) == []


@each_page
def test_every_page_has_one_title(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("0*.md")), ids=name_of)
def test_every_decision_is_short_and_says_why_and_what_follows(page: Path) -> None:
    text = page.read_text()
    places = [text.find(f"**{part}.**") for part in ("Context", "Decision", "Consequences")]
    assert -1 < places[0] < places[1] < places[2]
    assert len(text.splitlines()) <= 40
    assert text.startswith(f"# {page.name[:4]} ")
