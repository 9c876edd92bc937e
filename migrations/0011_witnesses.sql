-- Witnesses (C2SP tlog-witness). A log alone can show different histories to different people, or lose its past with a
-- backup that is restored; a witness of another site cosigns only what goes on from all that it has cosigned before, so
-- that a reader who asks for cosignatures is shown no fork. Both sides are here, since every node is a witness of its peers.

-- As a witness of other logs: the last checkpoint of each that was cosigned. The next one is compared with this row and
-- stored in one statement, before the cosignature leaves: whoever comes second sees the row of the first. A row is never
-- deleted, also when the log is no longer witnessed: without it the same log could be cosigned from its beginning again,
-- with another history.
CREATE TABLE witnessed (
    origin text   PRIMARY KEY,
    size   bigint NOT NULL CHECK (size >= 0),
    root   bytea  NOT NULL CHECK (octet_length(root) = 32),
    -- The checkpoint as the log signed it and this witness cosigned it.
    note   text   NOT NULL
);

-- As a log: the cosignatures that witnesses gave for its last checkpoints. Those of older ones are deleted: a proof in the
-- newest is worth as much.
CREATE TABLE cosignatures (
    size      bigint NOT NULL CHECK (size >= 0),
    -- The witness's key, name+id+base64.
    witness   text   NOT NULL,
    root      bytea  NOT NULL CHECK (octet_length(root) = 32),
    -- Seconds since 1970, as the witness says.
    signed_at bigint NOT NULL CHECK (signed_at >= 0),
    -- The signature line of the note, with its newline.
    line      text   NOT NULL,
    PRIMARY KEY (size, witness)
);
