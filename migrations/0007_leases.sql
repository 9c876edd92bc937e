-- Leases: who works on what. A service claims the lease of a run or an evaluation before it works on it, renews it
-- while it does, and gives it back; when it dies, the lease runs out and another service goes on.
--
-- A lease alone does not keep a process that was stopped for a while from writing when it wakes up: it has not
-- noticed yet that its lease ran out. So every claim gets a token greater than all before it (a fencing token), and
-- appends that carry one are refused once a later claim was made. Rows are never deleted, for the next token must be
-- greater. Only this database's clock counts: the services' clocks need not agree.
--
-- Leases are coordination, not evidence: they are not in the log.

CREATE TABLE leases (
    name       text        PRIMARY KEY,
    -- NULL: given back.
    holder     text,
    token      bigint      NOT NULL CHECK (token > 0),
    expires_at timestamptz NOT NULL
);
CREATE INDEX leases_holder ON leases (holder) WHERE holder IS NOT NULL;

-- The lease that the run's last decisions came under, and its token. A second guard beside the lease's own row: a run
-- that was ever recorded under a lease takes nothing from somebody without one.
ALTER TABLE runs ADD COLUMN lease text;
ALTER TABLE runs ADD COLUMN lease_token bigint NOT NULL DEFAULT 0 CHECK (lease_token >= 0);
