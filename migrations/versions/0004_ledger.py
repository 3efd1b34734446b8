"""The journal: accounts, transactions, legs, periods, and the only functions that may write them.

The application has EXECUTE and SELECT. Every function runs as the owner with a pinned search path
and takes its book from ``hub.tenant``. Those that write reach every row by key, so they forbid
the planner the scans that it would choose for tables without statistics yet. Neither
transactions nor legs carry foreign keys: key-share locks on a book's or a hot account's row
would serialise all postings; the guards below and the proofs stand in for them.
"""

from alembic import op

from hub.runtime.schema import room, tenant_table

revision = "0004"
down_revision = "0003"

TABLES = """
CREATE TABLE ledger.chart (
  pattern text PRIMARY KEY,
  type text NOT NULL CHECK (type IN ('A', 'L', 'E', 'R', 'X', 'M')),
  normal smallint NOT NULL CHECK (normal IN (1, -1)),
  mode text NOT NULL CHECK (mode IN ('s', 'f')),
  floor bigint,
  note text NOT NULL
);

CREATE TABLE ledger.account (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  code text NOT NULL CHECK (length(code) <= 200),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  type text NOT NULL,
  normal smallint NOT NULL,
  mode text NOT NULL,
  floor bigint,
  ceiling bigint,
  balance bigint NOT NULL DEFAULT 0,
  pending_dr bigint NOT NULL DEFAULT 0 CHECK (pending_dr >= 0),
  pending_cr bigint NOT NULL DEFAULT 0 CHECK (pending_cr >= 0),
  version bigint NOT NULL DEFAULT 0,
  fold_xid xid8 NOT NULL DEFAULT '0'::xid8,
  UNIQUE (code, currency, tenant_id),
  CONSTRAINT account_limits_are_sync
    CHECK (mode = 's' OR (floor IS NULL AND ceiling IS NULL)),
  CONSTRAINT account_floor CHECK (
    normal * balance - CASE normal WHEN 1 THEN pending_cr ELSE pending_dr END >= floor),
  CONSTRAINT account_ceiling CHECK (
    normal * balance + CASE normal WHEN 1 THEN pending_dr ELSE pending_cr END <= ceiling)
) WITH (fillfactor = 50);

CREATE TABLE ledger.txn (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  idem text NOT NULL CHECK (length(idem) BETWEEN 1 AND 255),
  request_hash bytea NOT NULL,
  kind text NOT NULL,
  phase text NOT NULL CHECK (phase IN ('post', 'pending', 'void', 'expire')),
  currency text NOT NULL,
  resolves_txn_id uuid,
  reverses_txn_id uuid,
  effective_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  period date NOT NULL,
  ref_type text NOT NULL,
  ref_id text NOT NULL,
  event_ref text,
  memo text NOT NULL,
  expires_at timestamptz,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (id),
  CONSTRAINT txn_idem UNIQUE (idem, tenant_id),
  CHECK (phase = 'post' OR reverses_txn_id IS NULL),
  CHECK (phase IN ('post', 'pending') OR resolves_txn_id IS NOT NULL)
);
CREATE UNIQUE INDEX txn_resolved_once ON ledger.txn (resolves_txn_id)
  WHERE resolves_txn_id IS NOT NULL;
CREATE UNIQUE INDEX txn_reversed_once ON ledger.txn (reverses_txn_id)
  WHERE reverses_txn_id IS NOT NULL;
CREATE INDEX txn_page ON ledger.txn (tenant_id, id DESC);
CREATE INDEX txn_event ON ledger.txn (event_ref) WHERE event_ref IS NOT NULL;

CREATE TABLE ledger.leg (
  tenant_id uuid NOT NULL,
  txn_id uuid NOT NULL,
  account_id bigint NOT NULL,
  amount bigint NOT NULL CHECK (amount <> 0),
  balance_after bigint,
  account_version bigint,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq smallint NOT NULL,
  pending boolean NOT NULL,
  PRIMARY KEY (txn_id, seq)
);
CREATE INDEX leg_account ON ledger.leg (account_id, xid);

CREATE TABLE ledger.open_pending (
  tenant_id uuid NOT NULL,
  txn_id uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (txn_id)
);
CREATE INDEX open_pending_due ON ledger.open_pending (tenant_id, expires_at);

CREATE TABLE ledger.closing (
  tenant_id uuid PRIMARY KEY REFERENCES runtime.tenant,
  closed_through date,
  soft_through date,
  CHECK (soft_through >= closed_through)
);
"""

# Segments after a prefix are free text (party and contract ids); type M is off-balance.
CHART = r"""
INSERT INTO ledger.chart (pattern, type, normal, mode, floor, note) VALUES
('^psp\.(clearing\.\S+|reserve|disputed)$', 'A', 1, 'f', NULL, 'money at the card processor'),
('^bank\.\S+$', 'A', 1, 'f', NULL, 'bank accounts, and money in flight'),
('^ar\.(driver|fleet|emsp|cpo_recovery)\.\S+$', 'A', 1, 's', NULL, 'receivables'),
('^ar\.subscription$', 'A', 1, 's', NULL, 'receivable subscriptions'),
('^ap\.(cpo|emsp_credit|reimburse)\.\S+$', 'L', -1, 's', NULL, 'payables'),
('^wallet\.\S+$', 'L', -1, 's', 0, 'prepaid balances: never below zero'),
('^(refunds\.payable|unapplied\.cash|suspense)$', 'L', -1, 'f', NULL, 'must trend to zero'),
('^tax\.output\.[A-Z]{2}\.[0-9]+(\.[0-9]+)?$', 'L', -1, 'f', NULL, 'VAT owed, by rate'),
('^tax\.input\.[A-Z]{2}\.[0-9]+(\.[0-9]+)?$', 'A', 1, 'f', NULL, 'VAT reclaimable, by rate'),
('^tax\.reverse_charge\.[A-Z]{2}$', 'L', -1, 'f', NULL, 'VAT the customer accounts for'),
('^deferred\.(subscription|voucher)$', 'L', -1, 'f', NULL, 'income received early'),
('^revenue\.(energy|time|parking|start|reservation|subscription|hub_fee|roaming_margin|waived)$',
 'R', -1, 'f', NULL, 'income, without VAT'),
('^cogs\.(energy\.cpo|roaming)$', 'E', 1, 'f', NULL, 'what sold energy cost us'),
('^expense\.(psp_fee|dispute_fee|writeoff|goodwill)$', 'E', 1, 'f', NULL, 'other costs'),
('^(rounding|fx\.gain_loss|fee\.stripe_fx)$', 'X', 1, 'f', NULL, 'residues and exchange'),
('^fx\.position\.[A-Z]{3}$', 'X', 1, 'f', NULL, 'exchange positions'),
('^ic\.[0-9a-f-]{36}$', 'A', 1, 'f', NULL, 'owed by (or to) another book of this platform'),
('^memo\.(hold|hold_contra|cdr_expected|cdr_expected_contra)$', 'M', 1, 'f', NULL, 'off-balance');
"""

GUARDS = """
CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'ledger.% is append-only', TG_TABLE_NAME
    USING ERRCODE = 'HL006', HINT = 'post a reversal instead';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.txn
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.leg
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

CREATE FUNCTION ledger.check_legs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off AS $$
BEGIN
  IF EXISTS (
    SELECT FROM added l LEFT JOIN ledger.txn t ON t.tenant_id = l.tenant_id AND t.id = l.txn_id
    WHERE t.xid IS DISTINCT FROM pg_current_xact_id() OR l.xid <> t.xid
      OR l.pending <> (t.phase = 'pending')) THEN
    RAISE EXCEPTION 'a leg belongs to the commit of its transaction' USING ERRCODE = 'HL006';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER with_its_txn AFTER INSERT ON ledger.leg REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_legs();

CREATE FUNCTION ledger.check_balanced() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off AS $$
DECLARE total numeric; n bigint; strange bigint;
BEGIN
  SELECT coalesce(sum(l.amount), 0), count(*),
         count(*) FILTER (WHERE a.currency IS DISTINCT FROM NEW.currency
                             OR a.tenant_id <> NEW.tenant_id)
  INTO total, n, strange
  FROM ledger.leg l LEFT JOIN ledger.account a ON a.id = l.account_id
  WHERE l.tenant_id = NEW.tenant_id AND l.txn_id = NEW.id;
  IF total <> 0 OR strange > 0 OR (n >= 2) <> (NEW.phase IN ('post', 'pending'))
     OR (n > 0 AND NEW.phase IN ('void', 'expire')) THEN
    RAISE EXCEPTION 'transaction % does not balance in %: sum %, % legs, % of them foreign',
      NEW.id, NEW.currency, total, n, strange USING ERRCODE = 'HL002';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON ledger.txn
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.check_balanced();
"""

WRITE = """
CREATE FUNCTION ledger.here() RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE book uuid := nullif(current_setting('hub.tenant', true), '')::uuid;
BEGIN
  IF book IS NULL THEN
    RAISE EXCEPTION 'hub.tenant is not set' USING ERRCODE = 'HL007';
  END IF;
  RETURN book;
END $$;

CREATE FUNCTION ledger.open_account(book uuid, wanted text, money text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE found_rule ledger.chart;
BEGIN
  SELECT * INTO found_rule FROM ledger.chart WHERE wanted ~ pattern LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no rule of the chart of accounts matches %', wanted
      USING ERRCODE = 'HL003', DETAIL = wanted;
  END IF;
  INSERT INTO ledger.account (tenant_id, code, currency, type, normal, mode, floor)
  VALUES (book, wanted, money, found_rule.type, found_rule.normal, found_rule.mode,
          found_rule.floor)
  ON CONFLICT DO NOTHING;
END $$;

-- Ends a pending transaction for the resolving one, whose legs must lie within the pending's.
CREATE FUNCTION ledger.release(book uuid, pending_id uuid, posted json) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM ledger.open_pending WHERE tenant_id = book AND txn_id = pending_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no open pending transaction %', pending_id
      USING ERRCODE = 'HL004', DETAIL = pending_id::text;
  END IF;
  IF EXISTS (
    SELECT FROM (SELECT a, sum(v) AS v FROM json_to_recordset(posted) AS l (a text, v bigint)
                 GROUP BY a) p
    LEFT JOIN (SELECT a.code, sum(l.amount) AS v FROM ledger.leg l
               JOIN ledger.account a ON a.id = l.account_id
               WHERE l.tenant_id = book AND l.txn_id = pending_id GROUP BY a.code) h
      ON h.code = p.a
    WHERE h.v IS NULL OR sign(h.v) <> sign(p.v) OR abs(p.v) > abs(h.v)) THEN
    RAISE EXCEPTION 'more than was pending in %', pending_id
      USING ERRCODE = 'HL005', DETAIL = pending_id::text;
  END IF;
  PERFORM FROM ledger.account WHERE mode = 's' AND id IN (
    SELECT account_id FROM ledger.leg WHERE tenant_id = book AND txn_id = pending_id)
    ORDER BY id FOR NO KEY UPDATE;
  UPDATE ledger.account a SET pending_dr = a.pending_dr - d.dr, pending_cr = a.pending_cr - d.cr
  FROM (SELECT account_id, coalesce(sum(amount) FILTER (WHERE amount > 0), 0) AS dr,
               coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS cr
        FROM ledger.leg WHERE tenant_id = book AND txn_id = pending_id GROUP BY account_id) d
  WHERE a.id = d.account_id AND a.mode = 's';
END $$;

-- Writes any number of transactions of one phase into the tenant's book. ``entries`` and ``legs``
-- are JSON arrays (a leg names its entry by n); ``ends`` is the pending transaction that a single
-- entry resolves. Answers the id under each idempotency key.
CREATE FUNCTION ledger.post(as_of timestamptz, as_phase text, ends uuid, entries json, legs json)
RETURNS TABLE (n integer, id uuid, created boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  book uuid := ledger.here();
  wanted integer := json_array_length(entries);
  written integer;
  sync bigint[]; debits bigint[]; credits bigint[]; counts bigint[];
  missing boolean; fresh integer[];
  clash text; closed date; soft date;
BEGIN
  -- A closing waits for the postings under way, and they for it.
  PERFORM pg_advisory_xact_lock_shared(1279870791, hashtext(book::text));
  SELECT c.closed_through, c.soft_through INTO closed, soft
  FROM ledger.closing c WHERE c.tenant_id = book;
  INSERT INTO ledger.txn (tenant_id, id, idem, request_hash, kind, phase, currency,
    resolves_txn_id, reverses_txn_id, effective_at, recorded_at, period, ref_type, ref_id,
    event_ref, memo, expires_at)
  SELECT book, e.id, e.idem, e.hash, e.kind, as_phase, e.ccy, ends, e.rev, e.eff, as_of,
    greatest(date_trunc('month', e.eff AT TIME ZONE 'UTC')::date,
             (CASE e.kind WHEN 'adjustment' THEN closed ELSE greatest(closed, soft) END
              + interval '1 month')::date),
    e.rt, e.rid, e.ev, e.memo, e.exp
  FROM json_to_recordset(entries) AS e (id uuid, idem text, hash bytea, kind text, ccy text,
    rev uuid, eff timestamptz, rt text, rid text, ev text, memo text, exp timestamptz)
  ORDER BY e.idem
  ON CONFLICT ON CONSTRAINT txn_idem DO NOTHING;
  GET DIAGNOSTICS written = ROW_COUNT;
  IF written < wanted THEN
    SELECT min(e.idem) FILTER (WHERE t.request_hash <> e.hash),
           array_agg(e.n) FILTER (WHERE t.id = e.id)
    INTO clash, fresh
    FROM json_to_recordset(entries) AS e (n integer, id uuid, idem text, hash bytea)
    JOIN ledger.txn t ON t.tenant_id = book AND t.idem = e.idem;
    IF clash IS NOT NULL THEN
      RAISE EXCEPTION 'idempotency key % was used for another entry', clash
        USING ERRCODE = 'HL001', DETAIL = clash;
    END IF;
  END IF;
  IF written > 0 THEN
    IF ends IS NOT NULL THEN
      PERFORM ledger.release(book, ends, legs);
    ELSIF as_phase = 'pending' THEN
      INSERT INTO ledger.open_pending (tenant_id, txn_id, expires_at)
      SELECT book, e.id, e.exp
      FROM json_to_recordset(entries) AS e (n integer, id uuid, exp timestamptz)
      WHERE fresh IS NULL OR e.n = ANY(fresh);
    END IF;
    FOR attempt IN 1..2 LOOP
      SELECT array_agg(DISTINCT a.id) FILTER (WHERE a.mode = 's'), bool_or(a.id IS NULL)
      INTO sync, missing
      FROM json_to_recordset(legs) AS l (a text, c text)
      LEFT JOIN LATERAL (SELECT a.id, a.mode FROM ledger.account a
        WHERE a.code = l.a AND a.currency = l.c AND a.tenant_id = book OFFSET 0) a ON true;
      EXIT WHEN missing IS NOT TRUE;
      PERFORM ledger.open_account(book, o.a, o.c) FROM (
        SELECT DISTINCT l.a, l.c FROM json_to_recordset(legs) AS l (a text, c text)
        WHERE NOT EXISTS (SELECT FROM ledger.account a
          WHERE a.code = l.a AND a.currency = l.c AND a.tenant_id = book)
        ORDER BY l.a, l.c) o;
    END LOOP;
    IF sync IS NOT NULL THEN
      PERFORM FROM ledger.account a WHERE a.id = ANY(sync) ORDER BY a.id FOR NO KEY UPDATE;
    END IF;
    WITH added AS (
      INSERT INTO ledger.leg (tenant_id, txn_id, seq, account_id, amount, pending, balance_after,
        account_version)
      SELECT book, l.t, l.s, a.id, l.v, as_phase = 'pending',
        CASE WHEN a.mode = 's' AND as_phase = 'post' THEN a.balance + sum(l.v) OVER w END,
        CASE WHEN a.mode = 's' AND as_phase = 'post' THEN a.version + row_number() OVER w END
      FROM json_to_recordset(legs) AS l (n integer, t uuid, s smallint, a text, c text, v bigint)
      CROSS JOIN LATERAL (SELECT a.id, a.mode, a.balance, a.version FROM ledger.account a
        WHERE a.code = l.a AND a.currency = l.c AND a.tenant_id = book OFFSET 0) a
      WHERE fresh IS NULL OR l.n = ANY(fresh)
      WINDOW w AS (PARTITION BY a.id ORDER BY l.n, l.s)
      RETURNING account_id, amount)
    SELECT array_agg(d.id), array_agg(d.dr), array_agg(d.cr), array_agg(d.k)
    INTO sync, debits, credits, counts
    FROM (SELECT account_id AS id, sum(greatest(amount, 0))::bigint AS dr,
                 sum(-least(amount, 0))::bigint AS cr, count(*) AS k
          FROM added WHERE account_id = ANY(sync) GROUP BY account_id) d;
    IF sync IS NOT NULL AND as_phase = 'post' THEN
      UPDATE ledger.account a SET
        balance = a.balance + debits[array_position(sync, a.id)]
                            - credits[array_position(sync, a.id)],
        version = a.version + counts[array_position(sync, a.id)]
      WHERE a.id = ANY(sync);
    ELSIF sync IS NOT NULL AND as_phase = 'pending' THEN
      UPDATE ledger.account a SET
        pending_dr = a.pending_dr + debits[array_position(sync, a.id)],
        pending_cr = a.pending_cr + credits[array_position(sync, a.id)]
      WHERE a.id = ANY(sync);
    END IF;
  END IF;
  IF fresh IS NULL AND written = wanted THEN
    RETURN QUERY SELECT e.n, e.id, true
    FROM json_to_recordset(entries) AS e (n integer, id uuid);
  ELSE
    RETURN QUERY SELECT e.n, t.id, t.id = e.id
    FROM json_to_recordset(entries) AS e (n integer, id uuid, idem text)
    JOIN ledger.txn t ON t.tenant_id = book AND t.idem = e.idem;
  END IF;
END $$;

-- The same in another hosted book, for the system alone.
CREATE FUNCTION ledger.post_in(book uuid, as_of timestamptz, entries json, legs json)
RETURNS TABLE (n integer, id uuid, created boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE before text := current_setting('hub.tenant', true);
BEGIN
  PERFORM set_config('hub.tenant', book::text, true);
  RETURN QUERY SELECT * FROM ledger.post(as_of, 'post', NULL, entries, legs);
  PERFORM set_config('hub.tenant', before, true);
END $$;
"""

READ = """
-- Moves what no running transaction can still add to into the account's balance. Commits arrive
-- out of order, so the mark is a transaction horizon: every xid below it has ended.
CREATE FUNCTION ledger.fold_account(which bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE mark xid8; horizon xid8; added bigint; k bigint;
BEGIN
  SELECT fold_xid INTO mark FROM ledger.account
  WHERE id = which AND mode = 'f' FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN 0; END IF;
  horizon := pg_snapshot_xmin(pg_current_snapshot());
  SELECT coalesce(sum(amount) FILTER (WHERE NOT pending), 0), count(*) INTO added, k
  FROM ledger.leg WHERE account_id = which AND xid >= mark AND xid < horizon;
  IF k > 0 THEN
    UPDATE ledger.account SET balance = balance + added, fold_xid = horizon WHERE id = which;
  END IF;
  RETURN k;
END $$;

CREATE FUNCTION ledger.fold() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(sum(ledger.fold_account(id)), 0)::bigint FROM (
    SELECT id FROM ledger.account
    WHERE tenant_id = ledger.here() AND mode = 'f' ORDER BY id) a
$$;

CREATE FUNCTION ledger.fold_all() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(sum(ledger.fold_account(id)), 0)::bigint FROM (
    SELECT id FROM ledger.account WHERE mode = 'f' ORDER BY id) a
$$;

CREATE FUNCTION ledger.set_limits(wanted text, money text, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM ledger.open_account(ledger.here(), wanted, money);
  UPDATE ledger.account SET floor = low, ceiling = high
  WHERE tenant_id = ledger.here() AND code = wanted AND currency = money;
END $$;

-- Closes months through ``month`` (its first day): 'soft' or 'closed'; never reopens.
CREATE FUNCTION ledger.close_through(month date, hard boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE book uuid := ledger.here();
BEGIN
  PERFORM pg_advisory_xact_lock(1279870791, hashtext(book::text));
  INSERT INTO ledger.closing AS c (tenant_id, closed_through, soft_through)
  VALUES (book, CASE WHEN hard THEN month END, month)
  ON CONFLICT (tenant_id) DO UPDATE SET
    closed_through = greatest(c.closed_through, excluded.closed_through),
    soft_through = greatest(c.soft_through, excluded.soft_through);
END $$;

CREATE VIEW ledger.v_balance WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id, a.code, a.currency, a.type, a.normal, a.mode, a.floor, a.ceiling,
  a.version,
  (a.balance + CASE a.mode WHEN 's' THEN 0 ELSE (
    SELECT coalesce(sum(l.amount), 0) FROM ledger.leg l
    WHERE l.account_id = a.id AND l.xid >= a.fold_xid AND NOT l.pending) END)::bigint AS balance,
  CASE a.mode WHEN 's' THEN a.pending_dr ELSE (
    SELECT coalesce(sum(l.amount), 0)::bigint FROM ledger.open_pending p
    JOIN ledger.leg l ON l.tenant_id = p.tenant_id AND l.txn_id = p.txn_id
    WHERE p.tenant_id = a.tenant_id AND l.account_id = a.id AND l.amount > 0) END AS pending_debit,
  CASE a.mode WHEN 's' THEN a.pending_cr ELSE (
    SELECT -coalesce(sum(l.amount), 0)::bigint FROM ledger.open_pending p
    JOIN ledger.leg l ON l.tenant_id = p.tenant_id AND l.txn_id = p.txn_id
    WHERE p.tenant_id = a.tenant_id AND l.account_id = a.id AND l.amount < 0) END AS pending_credit
FROM ledger.account a;

CREATE VIEW ledger.v_txn WITH (security_invoker = true) AS
SELECT tenant_id, id, idem, kind, phase, currency, resolves_txn_id, reverses_txn_id,
  effective_at, recorded_at, period, ref_type, ref_id, event_ref, memo, expires_at
FROM ledger.txn;

CREATE VIEW ledger.v_leg WITH (security_invoker = true) AS
SELECT l.tenant_id, l.txn_id, l.seq, a.code AS account, a.currency, l.amount, l.pending
FROM ledger.leg l JOIN ledger.account a ON a.id = l.account_id;

-- Events whose books do not mirror each other; one's own when the role sees one book only.
CREATE FUNCTION ledger.unmirrored(everyone boolean)
RETURNS TABLE (event_ref text, book uuid, other text, currency text, mine numeric, theirs numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH side AS (
    SELECT t.event_ref, t.tenant_id::text AS book, substr(a.code, 4) AS other, a.currency,
           sum(l.amount) AS v
    FROM ledger.account a
    JOIN ledger.leg l ON l.account_id = a.id AND NOT l.pending
    JOIN ledger.txn t ON t.tenant_id = l.tenant_id AND t.id = l.txn_id
    WHERE a.code LIKE 'ic.%' GROUP BY 1, 2, 3, 4)
  SELECT x.event_ref, x.book::uuid, x.other, x.currency, x.v, coalesce(y.v, 0)
  FROM side x LEFT JOIN side y
    ON y.event_ref = x.event_ref AND y.book = x.other AND y.other = x.book
    AND y.currency = x.currency
  WHERE x.v + coalesce(y.v, 0) <> 0
    AND (everyone OR ledger.here()::text IN (x.book, x.other))
$$;
CREATE FUNCTION ledger.unmirrored_here()
RETURNS TABLE (event_ref text, book uuid, other text, currency text, mine numeric, theirs numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT * FROM ledger.unmirrored(false)
$$;
CREATE FUNCTION ledger.unmirrored_all()
RETURNS TABLE (event_ref text, book uuid, other text, currency text, mine numeric, theirs numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT * FROM ledger.unmirrored(true)
$$;
"""

GRANTS = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.here(),
  ledger.post(timestamptz, text, uuid, json, json), ledger.fold(),
  ledger.set_limits(text, text, bigint, bigint), ledger.close_through(date, boolean),
  ledger.unmirrored_here() TO hub_app, hub_system;
GRANT EXECUTE ON FUNCTION ledger.post_in(uuid, timestamptz, json, json), ledger.fold_all(),
  ledger.unmirrored_all()
  TO hub_system;
GRANT SELECT ON ledger.chart, ledger.v_balance, ledger.v_txn, ledger.v_leg TO hub_app, hub_system;
"""


def upgrade() -> None:
    op.execute(room("ledger"))
    op.execute(TABLES)
    op.execute(CHART)
    op.execute(GUARDS)
    op.execute(WRITE)
    op.execute(READ)
    for table in ("account", "txn", "leg", "open_pending", "closing"):
        op.execute(tenant_table(f"ledger.{table}", "SELECT"))
        # The functions above run as the owner and name their book in every statement.
        op.execute(
            f"CREATE POLICY owner ON ledger.{table} TO CURRENT_USER USING (true) WITH CHECK (true)"
        )
    op.execute(GRANTS)
