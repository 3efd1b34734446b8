"""Every table, view and function of the migrated catalogue keeps tenants apart, new ones too.

The first half reads the catalogue; the second puts one row of one tenant into every table, with
constraints and triggers dropped, and looks at all of them as another tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege

from hub.kernel import new_id

OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%%'"
POLICY = "(tenant_id = (NULLIF(current_setting('hub.tenant'::text, true), ''::text))::uuid)"
SHARED = {
    "ledger.chart": {"SELECT"},
    "public.alembic_version": {"SELECT"},
    # Names of tenants are no secret between them, and the replay makes scratch tenants.
    "runtime.tenant": {"SELECT", "INSERT", "UPDATE"},
}
APPEND_ONLY = (
    "ledger.leg", "ledger.txn", "settlement.cdr", "settlement.statement",
    "settlement.statement_line", "tariffs.version",
)  # fmt: skip
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ROLES = ("hub_app", "hub_ingest", "hub_system")

Rows = list[tuple[object, ...]]


@pytest.fixture
def owner(database_url: str) -> Iterator[Connection]:
    """The owner's connection, which may take every role."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def relations(owner: Connection, kinds: str) -> list[str]:
    """Relations of ours of some kinds ("rp" tables, "vm" views)."""
    found = owner.execute(
        f"""SELECT n.nspname || '.' || c.relname FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE {OURS} AND c.relkind = ANY(%s) ORDER BY 1""",
        (list(kinds),),
    )
    return [row[0] for row in found]


def tenant_tables(owner: Connection) -> list[str]:
    """Tables of ours that have a column ``tenant_id``."""
    found = owner.execute(
        f"""SELECT n.nspname || '.' || c.relname FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
            WHERE {OURS} AND c.relkind IN ('r', 'p') ORDER BY 1"""
    )
    return [row[0] for row in found]


def granted(owner: Connection, role: str, table: str) -> set[str]:
    """What a role may do with a table, or with a column of it."""
    found = owner.execute(
        """SELECT p FROM unnest(%s::text[]) p WHERE has_table_privilege(%s, %s, p) OR (
             p = ANY('{SELECT,INSERT,UPDATE,REFERENCES}')
             AND has_any_column_privilege(%s, %s::regclass, p))""",
        (list(PRIVILEGES), role, table, role, table),
    )
    return {row[0] for row in found}


def functions(owner: Connection) -> Rows:
    """Name, whether definer's rights, settings, source and result type of our functions."""
    return owner.execute(
        f"""SELECT p.oid::regprocedure::text, p.prosecdef, coalesce(p.proconfig, '{{}}'), p.prosrc,
                   p.prorettype = 'trigger'::regtype
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {OURS}"""
    ).fetchall()


def test_our_roles_have_no_way_around_policies(owner: Connection) -> None:
    found = owner.execute(
        """SELECT r.rolname FROM pg_roles r WHERE r.rolname = ANY(%s) AND (
             r.rolsuper OR r.rolbypassrls OR r.rolcanlogin OR r.rolcreaterole OR r.rolcreatedb
             OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid)
             OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid))""",
        (list(ROLES),),
    ).fetchall()
    assert found == []
    assert len(owner.execute("SELECT FROM pg_roles WHERE rolname = ANY(%s)", (list(ROLES),)).fetchall()) == 3  # fmt: skip


def test_every_table_with_a_tenant_forces_its_policy_or_is_out_of_reach(owner: Connection) -> None:
    tables = tenant_tables(owner)
    assert len(tables) > 30
    for table in tables:
        rows = owner.execute(
            """SELECT polcmd, polpermissive, pg_get_expr(polqual, polrelid),
                      pg_get_expr(polwithcheck, polrelid)
               FROM pg_policy WHERE polrelid = %s::regclass
                 AND ('hub_app'::regrole = ANY(polroles) OR 0 = ANY(polroles))""",
            (table,),
        ).fetchall()
        enabled, forced = owner.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass",
            (table,),
        ).fetchone() or (False, False)
        guarded = enabled and forced and rows == [("*", True, POLICY, POLICY)]
        assert guarded or not granted(owner, "hub_app", table), table


def test_tables_without_a_tenant_are_the_few_that_all_may_know(owner: Connection) -> None:
    others = set(relations(owner, "rpfm")) - set(tenant_tables(owner))
    assert {table: granted(owner, "hub_app", table) for table in others} == SHARED


def test_nobody_truncates_or_hangs_triggers_on_tables(owner: Connection) -> None:
    for table in relations(owner, "rp"):
        for role in ROLES:
            assert not granted(owner, role, table) & {"TRUNCATE", "TRIGGER", "REFERENCES"}, table


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_what_was_booked_stays(owner: Connection, table: str) -> None:
    for role in ROLES:
        assert not granted(owner, role, table) & {"UPDATE", "DELETE", "TRUNCATE"}, role


def test_every_view_looks_with_the_eyes_of_its_reader(owner: Connection) -> None:
    for view in relations(owner, "v"):
        options = owner.execute(
            "SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = %s::regclass", (view,)
        ).fetchone()
        assert options is not None
        assert "security_invoker=true" in options[0], view
        assert granted(owner, "hub_app", view) <= {"SELECT"}, view


def test_functions_with_the_owners_rights_pin_their_path_and_name_the_tenant(
    owner: Connection,
) -> None:
    for name, definer, settings, source, trigger in functions(owner):
        if not definer:
            continue
        path = [one for one in settings if str(one).startswith("search_path=")]  # type: ignore[attr-defined]
        assert path == ["search_path=pg_catalog, pg_temp"], name
        mine = owner.execute(
            "SELECT has_function_privilege('hub_app', %s, 'EXECUTE')", (name,)
        ).fetchone()
        if mine == (True,) and not trigger:
            called = "ledger.unmirrored(false)"
            told = ("hub.tenant", "ledger.here()", called)
            assert any(one in str(source) for one in told), name


def test_functions_with_the_owners_rights_are_not_for_everyone(owner: Connection) -> None:
    found = owner.execute(
        f"""SELECT p.oid::regprocedure::text FROM pg_proc p
            JOIN pg_namespace n ON n.oid = p.pronamespace
            CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
            WHERE {OURS} AND p.prosecdef AND a.grantee = 0
              AND p.prorettype <> 'trigger'::regtype"""
    ).fetchall()
    assert found == []


def test_the_ingest_role_only_inserts_frames(owner: Connection) -> None:
    reach = {
        one: granted(owner, "hub_ingest", one)
        for one in relations(owner, "rpvm")
        if granted(owner, "hub_ingest", one)
    }
    assert reach == {"ocpp.frame": {"INSERT"}, "ocpp.pending": {"INSERT"}}
    for name, definer, *_ in functions(owner):
        can = owner.execute("SELECT has_function_privilege('hub_ingest', %s, 'EXECUTE')", (name,))
        assert not (definer and can.fetchone() == (True,)), name


_VALUES = {
    "uuid": "gen_random_uuid()", "text": "'x'", "ledger.code": "'x'", "ledger.currency": "'EUR'",
    "character varying": "'x'", "character": "'EUR'",
    "bigint": "1", "integer": "1", "smallint": "1", "numeric": "1", "boolean": "false",
    "timestamp with time zone": "now()", "date": "current_date", "bytea": "'\\x00'",
    "json": "'{}'", "jsonb": "'{}'", "xid8": "pg_current_xact_id()", "inet": "'::1'",
    '"char"': "'f'",
}  # fmt: skip


def loosened(owner: Connection) -> None:
    """Drop what would refuse a made-up row: foreign keys, checks, triggers (not policies)."""
    found = owner.execute(
        f"""SELECT c.conrelid::regclass::text, c.conname FROM pg_constraint c
            JOIN pg_namespace n ON n.oid = c.connamespace
            WHERE {OURS} AND c.contype IN ('f', 'c') AND c.conrelid <> 0"""
    ).fetchall()
    for table, name in found:
        owner.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.SQL(table), sql.Identifier(name)))  # fmt: skip
    for table in tenant_tables(owner):
        owner.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.SQL(table)))


def insertion(owner: Connection, table: str, tenant: UUID) -> sql.Composed:
    """An INSERT of one made-up row of a tenant."""
    columns = owner.execute(
        """SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
           WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
             AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attname <> 'tenant_id'""",
        (table,),
    ).fetchall()
    values = [sql.SQL("'{}'" if kind.endswith("[]") else _VALUES[kind]) for _, kind in columns]
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.SQL(table),
        sql.SQL(", ").join(map(sql.Identifier, ["tenant_id", *(name for name, _ in columns)])),
        sql.SQL(", ").join([sql.Literal(tenant), *values]),
    )


def as_tenant(owner: Connection, tenant: UUID | None) -> None:
    """Look through ``hub_app`` as a tenant, or as none."""
    owner.execute("SET ROLE hub_app")
    owner.execute("SELECT set_config('hub.tenant', %s, false)", (str(tenant or ""),))


def affected(owner: Connection, statement: str) -> int:
    """How many rows a statement touched; none when it is not permitted at all."""
    try:
        return owner.execute(sql.SQL(statement)).rowcount
    except InsufficientPrivilege:
        return 0


def test_no_tenant_sees_changes_or_makes_rows_of_another(owner: Connection) -> None:
    mine, theirs = new_id(), new_id()
    loosened(owner)
    reached = [t for t in tenant_tables(owner) if granted(owner, "hub_app", t)]
    foreign = {table: insertion(owner, table, mine) for table in reached}
    for table in reached:
        owner.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        owner.execute(foreign[table])
        owner.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for stranger in (theirs, None):
        as_tenant(owner, stranger)
        for table in reached:
            assert affected(owner, f"SELECT FROM {table}") == 0, table
            assert affected(owner, f"UPDATE {table} SET tenant_id = tenant_id") == 0, table
            assert affected(owner, f"DELETE FROM {table}") == 0, table
            with pytest.raises(InsufficientPrivilege):
                owner.execute(foreign[table])
        owner.execute("RESET ROLE")
    as_tenant(owner, mine)
    for table in reached:
        assert affected(owner, f"SELECT FROM {table}") == 1, table
        with pytest.raises(InsufficientPrivilege):
            owner.execute(sql.SQL(f"UPDATE {table} SET tenant_id = gen_random_uuid()"))
