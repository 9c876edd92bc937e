-- Artifacts: large evidence (checkpoints, policies, reports) by its SHA-256. They are not in the log themselves;
-- records name them. Most are compressed already: EXTERNAL saves the attempt, and lets a part be read cheaply.

CREATE TABLE artifacts (
    sha256     bytea       PRIMARY KEY CHECK (octet_length(sha256) = 32),
    media_type text        NOT NULL,
    size_bytes bigint      NOT NULL CHECK (size_bytes >= 0),
    stored_at  timestamptz NOT NULL DEFAULT now(),
    bytes      bytea       NOT NULL
);
ALTER TABLE artifacts ALTER COLUMN bytes SET STORAGE EXTERNAL;
