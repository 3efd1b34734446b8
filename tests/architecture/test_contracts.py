"""The house rules that a machine can check: layers, sizes, exactness, who may write where."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .source import ROOMS, ROOT, SOURCE, functions, generated, modules, named, strings, tree

MONEY_ROOMS = ("kernel", "tariffs", "ledger", "charging", "settlement", "parties", "ocpi", "api")
SCHEMAS = (
    "runtime",
    "parties",
    "tariffs",
    "ledger",
    "stations",
    "charging",
    "settlement",
    "ocpp",
    "ocpi",
)
WRITES = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|COPY|TRUNCATE)\s+([a-z]+)\.([a-z_]+)", re.IGNORECASE
)
READS = re.compile(r"\b(?:FROM|JOIN)\s+([a-z]+)\.([a-z_]+)\b(?!\s*\()", re.IGNORECASE)


def test_imports_keep_the_layers() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is_for(room: str) -> None:
    doc = ast.get_docstring(tree(SOURCE / room / "__init__.py"))
    assert doc
    assert len(doc) > 40


def test_every_module_opens_with_its_purpose() -> None:
    assert [named(p) for p in modules() if not ast.get_docstring(tree(p))] == []


def test_files_stay_small_enough_to_read() -> None:
    long = {
        named(p): lines
        for p in modules()
        if not generated(p) and (lines := len(p.read_text().splitlines())) > 600
    }
    assert long == {}


def test_functions_stay_small_enough_to_read() -> None:
    long = [
        f"{named(path)}:{f.name} {size}"
        for path in modules()
        if not generated(path)
        for f in functions(path)
        if (size := (f.end_lineno or 0) - f.lineno + 1) > 50
    ]
    assert long == []


def test_functions_take_at_most_five_positional_arguments() -> None:
    many = [
        f"{named(path)}:{f.name}"
        for path in modules()
        if not generated(path)
        for f in functions(path)
        if len([a for a in f.args.posonlyargs + f.args.args if a.arg not in {"self", "cls"}]) > 5
    ]
    assert many == []


def _floats(path: Path) -> list[str]:
    found = []
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.expr):
            continue
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        cast = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "float"
        )
        if literal or cast:
            found.append(f"{named(path)}:{node.lineno}")
    return found


@pytest.mark.parametrize(
    "room", [r for r in ("tariffs", "ledger", "charging", "settlement") if r in ROOMS]
)
def test_no_float_comes_near_money(room: str) -> None:
    seconds = {"timeout", "within"}
    found = []
    for path in modules(room):
        for where in _floats(path):
            line = path.read_text().splitlines()[int(where.rsplit(":", 1)[1]) - 1]
            if not any(word in line.lower() for word in seconds):
                found.append(where)
    assert found == []


def test_money_is_never_built_from_a_float() -> None:
    assert _floats(SOURCE / "kernel" / "money.py") == []


def test_only_the_runtime_commits() -> None:
    found = []
    for path in modules():
        if path.is_relative_to(SOURCE / "runtime") or path.is_relative_to(SOURCE / "sim"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback"}:
                found.append(f"{named(path)}:{node.lineno}")
        found += [
            f"{named(path)}:{line}"
            for line, text in strings(path)
            if re.match(r"\s*(COMMIT|ROLLBACK|BEGIN)\b(?!\s+TO)", text)
        ]
    assert found == []


def test_a_room_writes_only_to_its_own_tables_and_reads_others_through_views() -> None:
    wrong = []
    for room in ROOMS:
        if room == "sim":
            continue
        for path in modules(room):
            for line, text in strings(path):
                for schema, table in WRITES.findall(text):
                    if schema in SCHEMAS and schema != room:
                        wrong.append(f"{named(path)}:{line} writes {schema}.{table}")
                for schema, table in READS.findall(text):
                    own = schema == room or schema not in SCHEMAS
                    shared = table.startswith("v_") or (schema, table) == ("runtime", "tenant")
                    if not own and not shared:
                        wrong.append(f"{named(path)}:{line} reads {schema}.{table}")
    assert wrong == []


def test_no_test_replaces_the_other_side_by_a_mock() -> None:
    mocking = [
        named(p)
        for p in [*modules(), *(ROOT / "tests").rglob("*.py")]
        if re.search(
            r"^\s*(?:from|import)\s+(?:unittest\.mock|mock)\b", p.read_text(), re.MULTILINE
        )
    ]
    assert mocking == []


def test_nothing_is_left_to_do_later() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
    assert [named(p) for p in modules() if not generated(p) and words.search(p.read_text())] == []


def test_no_one_catches_everything_but_the_three_loops() -> None:
    loops = {
        line.strip()
        for path in modules()
        for line in path.read_text().splitlines()
        if re.search(r"except (Base)?Exception\b", line)
        and "noqa: BLE001" not in line
        and "except BaseException:" not in line
    }
    assert loops == set()
