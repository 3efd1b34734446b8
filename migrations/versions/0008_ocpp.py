"""Frames of stations as received and answered, and which of them still wait to be folded.

``ocpp.frame`` and ``ocpp.pending`` have no row-level security, because Postgres refuses COPY
where it applies; only the ingest role writes them, everyone else goes through the functions
below, which take the tenant of the transaction.
"""

from alembic import op

from hub.runtime.schema import room

revision = "0008"
down_revision = "0007"

TABLES = """
CREATE TABLE ocpp.frame (
  station_id text NOT NULL,
  id bigint NOT NULL,
  tenant_id uuid NOT NULL,
  at timestamptz NOT NULL,
  direction text NOT NULL CHECK (direction IN ('i', 'o')),
  protocol text NOT NULL,
  action text NOT NULL,
  message_id text NOT NULL,
  call bytea NOT NULL,
  reply bytea,
  trace text NOT NULL,
  folds boolean NOT NULL DEFAULT false,
  PRIMARY KEY (station_id, id)
);
CREATE INDEX frame_at ON ocpp.frame USING brin (at);
CREATE INDEX frame_trace ON ocpp.frame (trace);

CREATE TABLE ocpp.pending (
  station_id text NOT NULL,
  id bigint NOT NULL,
  tenant_id uuid NOT NULL,
  PRIMARY KEY (station_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE ocpp.quarantine (
  station_id text NOT NULL,
  id bigint NOT NULL,
  tenant_id uuid NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (station_id, id)
);
GRANT USAGE ON SCHEMA ocpp TO hub_ingest;
GRANT INSERT ON ocpp.frame, ocpp.pending TO hub_ingest;

-- One COPY, which commits by itself, is a single round trip for a whole batch of frames.
CREATE FUNCTION ocpp.await_fold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ocpp.pending SELECT station_id, id, tenant_id FROM added WHERE folds;
  RETURN NULL;
END $$;
-- Other roles add frames whose effects are in the same commit.
CREATE TRIGGER await_fold AFTER INSERT ON ocpp.frame REFERENCING NEW TABLE AS added
FOR EACH STATEMENT WHEN (current_user = 'hub_ingest') EXECUTE FUNCTION ocpp.await_fold();
"""

OURS = "nullif(current_setting('hub.tenant', true), '')::uuid"

FUNCTIONS = f"""
-- In plpgsql, because its plans are kept: these two run for every decided message.
CREATE FUNCTION ocpp.take_pending(station text, most bigint) RETURNS SETOF ocpp.frame
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY WITH taken AS (
    DELETE FROM ocpp.pending p WHERE p.station_id = station AND p.tenant_id = {OURS}
      AND p.id IN (SELECT o.id FROM ocpp.pending o WHERE o.station_id = station
                   ORDER BY o.id LIMIT most)
    RETURNING p.station_id, p.id)
  SELECT f.* FROM taken t JOIN ocpp.frame f ON f.station_id = t.station_id AND f.id = t.id
  ORDER BY f.id;
END $$;

CREATE FUNCTION ocpp.note_frame(
  station text, number bigint, at timestamptz, direction text, protocol text, action text,
  message_id text, call bytea, reply bytea, trace text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO ocpp.frame VALUES
    (station, number, {OURS}, at, direction, protocol, action, message_id, call, reply, trace);
END $$;

CREATE FUNCTION ocpp.frames_of(station text, before bigint, most integer)
RETURNS SETOF ocpp.frame
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT * FROM ocpp.frame f
  WHERE f.station_id = station AND f.tenant_id = {OURS} AND f.id < before
  ORDER BY f.id DESC LIMIT most
$$;

CREATE FUNCTION ocpp.quarantine_frame(station text, number bigint, reason text, at timestamptz)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH gone AS (
    DELETE FROM ocpp.pending p
    WHERE p.station_id = station AND p.id = number AND p.tenant_id = {OURS})
  INSERT INTO ocpp.quarantine VALUES (station, number, {OURS}, reason, at)
  ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION ocpp.quarantined(most integer)
RETURNS TABLE (station_id text, id bigint, reason text, at timestamptz, action text, call bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT q.station_id, q.id, q.reason, q.at, f.action, f.call
  FROM ocpp.quarantine q JOIN ocpp.frame f USING (station_id, id)
  WHERE q.tenant_id = {OURS} ORDER BY q.id DESC LIMIT most
$$;

CREATE FUNCTION ocpp.replay_quarantined(station text, number bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH freed AS (
    DELETE FROM ocpp.quarantine q
    WHERE q.station_id = station AND q.id = number AND q.tenant_id = {OURS}
    RETURNING q.station_id, q.id, q.tenant_id), back AS (
    INSERT INTO ocpp.pending SELECT * FROM freed RETURNING 1)
  SELECT EXISTS (SELECT 1 FROM back)
$$;

CREATE FUNCTION ocpp.stations_pending() RETURNS TABLE (station_id text, tenant_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT DISTINCT p.station_id, p.tenant_id FROM ocpp.pending p
$$;

CREATE FUNCTION ocpp.prune_frames(before timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH gone AS (
    DELETE FROM ocpp.frame f WHERE f.at < before
      AND NOT EXISTS (SELECT 1 FROM ocpp.pending p
                      WHERE p.station_id = f.station_id AND p.id = f.id)
      AND NOT EXISTS (SELECT 1 FROM ocpp.quarantine q
                      WHERE q.station_id = f.station_id AND q.id = f.id)
    RETURNING 1)
  SELECT count(*) FROM gone
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ocpp FROM public;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ocpp TO hub_app, hub_system;
REVOKE EXECUTE ON FUNCTION ocpp.stations_pending(), ocpp.prune_frames(timestamptz) FROM hub_app;
"""


def upgrade() -> None:
    op.execute(room("ocpp"))
    op.execute(TABLES)
    op.execute(FUNCTIONS)
