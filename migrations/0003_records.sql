-- Records: everything but decisions, few and of any shape.
--
-- The body is kept as the canonical JSON text that was hashed, not as jsonb: jsonb would write numbers in its own
-- way, and the leaf could not be computed again. The search column indexes the body's keys and values; a tsvector
-- holds one megabyte at most, so of a huge body only the beginning is indexed.

CREATE TABLE records (
    log_index   bigint      PRIMARY KEY CHECK (log_index >= 0),
    id          text        NOT NULL UNIQUE,
    kind        text        NOT NULL,
    subject     text        NOT NULL,
    recorded_at timestamptz NOT NULL,
    body        text        NOT NULL,
    -- The log's root right after this record: part of its receipt. The size then was log_index + 1.
    root        bytea       NOT NULL CHECK (octet_length(root) = 32),
    search      tsvector    NOT NULL GENERATED ALWAYS AS (
        to_tsvector('english', kind) || to_tsvector('english', subject) ||
        CASE WHEN octet_length(body) <= 100000
             THEN jsonb_to_tsvector('english', body::jsonb, '["key", "string", "numeric", "boolean"]')
             ELSE to_tsvector('english', left(body, 50000))
        END
    ) STORED
);
CREATE INDEX records_kind ON records (kind, log_index);
CREATE INDEX records_subject ON records (subject, log_index);
CREATE INDEX records_search ON records USING gin (search);
