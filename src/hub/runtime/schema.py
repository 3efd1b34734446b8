"""SQL that every migration needs: a room's schema, row-level security by tenant, grants."""

from __future__ import annotations

TENANT_POLICY = "tenant_id = nullif(current_setting('hub.tenant', true), '')::uuid"


def room(schema: str) -> str:
    """Create the Postgres schema of a room and let our roles look into it."""
    return f"""
    CREATE SCHEMA {schema};
    GRANT USAGE ON SCHEMA {schema} TO hub_app, hub_system;
    ALTER DEFAULT PRIVILEGES IN SCHEMA {schema}
      GRANT USAGE, SELECT ON SEQUENCES TO hub_app, hub_system;
    """


def tenant_table(table: str, grants: str = "SELECT, INSERT, UPDATE, DELETE") -> str:
    """Force row-level security by ``tenant_id`` on ``table`` and grant it to our roles.

    The system role (routing, job claims, proofs) has a permissive policy of its own rather than
    BYPASSRLS, which managed Postgres does not grant.
    """
    return f"""
    ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
    ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON {table} TO hub_app
      USING ({TENANT_POLICY}) WITH CHECK ({TENANT_POLICY});
    CREATE POLICY system ON {table} TO hub_system USING (true) WITH CHECK (true);
    GRANT {grants} ON {table} TO hub_app, hub_system;
    """


def shared_table(table: str, grants: str = "SELECT") -> str:
    """Grant a table without a tenant (reference data) to our roles."""
    return f"GRANT {grants} ON {table} TO hub_app, hub_system;"
