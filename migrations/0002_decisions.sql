-- Decisions: rows that SQL can ask, and the runs that they belong to.
--
-- A decision's identity is (run, sequence). No index holds it unique, since every index costs each row of a bulk
-- COPY: a run's sequence numbers are contiguous instead, checked against the run's locked head row. Where a
-- sequence number stands in the log follows from the batch that it came in, so a batch row is both the receipt
-- and the index. Batches carry the span of their episodes, so that a query for one episode skips the others.

CREATE TABLE runs (
    id             integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    digest         bytea  NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    first_sequence bigint NOT NULL CHECK (first_sequence >= 0),
    -- A run that began on another log goes on here from the roots of its complete subtrees, largest first.
    first_frontier bytea  NOT NULL CHECK (octet_length(first_frontier) % 32 = 0),
    next_sequence  bigint NOT NULL CHECK (next_sequence >= first_sequence),
    frontier       bytea  NOT NULL CHECK (octet_length(frontier) % 32 = 0)
);

CREATE TABLE run_batches (
    run_id          integer NOT NULL REFERENCES runs (id),
    first_sequence  bigint  NOT NULL CHECK (first_sequence >= 0),
    count           integer NOT NULL CHECK (count > 0),
    first_episode   integer NOT NULL,
    last_episode    integer NOT NULL,
    first_log_index bigint  NOT NULL UNIQUE CHECK (first_log_index >= 0),
    -- The log's root right after the batch. The size then was first_log_index + count.
    root            bytea   NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (run_id, first_sequence)
);

CREATE TYPE decision_action AS ENUM ('route', 'hold', 'drop');

-- Wide columns first: no byte is lost to alignment. The partitions are made by the service as the log grows.
CREATE TABLE decisions (
    log_index          bigint           NOT NULL,
    sequence           bigint           NOT NULL,
    policy_version     bigint           NOT NULL,
    gpu_hours          double precision NOT NULL,
    reward             double precision NOT NULL,
    propensity         double precision NOT NULL,
    wait_ms            double precision NOT NULL,
    price_usd_per_hour double precision,
    latency_ms         double precision,
    cost_usd           double precision,
    value              double precision,
    run_id             integer          NOT NULL,
    episode            integer          NOT NULL,
    step               integer          NOT NULL,
    agent              integer          NOT NULL,
    action             decision_action  NOT NULL,
    explored           boolean          NOT NULL,
    deferred           boolean          NOT NULL,
    tenant             text             NOT NULL,
    workload           text             NOT NULL,
    gpu_type           text             NOT NULL,
    reason             text             NOT NULL,
    provider           text,
    PRIMARY KEY (log_index)
) PARTITION BY RANGE (log_index);
