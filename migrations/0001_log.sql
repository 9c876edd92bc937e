-- The log: one append-only order over everything that is remembered.
--
-- The next index comes from one locked row and not from a sequence: a sequence leaves a gap for every
-- transaction that is rolled back, and a tree with gaps has no meaning.
--
-- The Merkle tree is kept as tiles of 256 hashes (C2SP tlog-tiles), because a batch of n leaves then writes about
-- n/256 rows, and a proof reads a handful of rows at any size. Hashes do not compress: EXTERNAL saves the attempt.

CREATE TABLE log_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    size     bigint NOT NULL CHECK (size >= 0),
    root     bytea  NOT NULL CHECK (octet_length(root) = 32)
);

-- The root of a tree without leaves is SHA-256 of nothing (RFC 6962, section 2.1).
INSERT INTO log_head (size, root)
VALUES (0, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');

CREATE TABLE tiles (
    level      smallint NOT NULL CHECK (level >= 0),
    tile_index bigint   NOT NULL CHECK (tile_index >= 0),
    hashes     bytea    NOT NULL CHECK (octet_length(hashes) % 32 = 0 AND octet_length(hashes) BETWEEN 32 AND 8192),
    PRIMARY KEY (level, tile_index)
);
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
