-- The log's identity: which key signs it, and what that key signed last. The secret key is a file of the service and was
-- tied to nothing here: a service that had lost it would have made another, and signed the old log with it under the same
-- name. Now both sides know each other: this row names the key, and beside the key's file lies the last checkpoint.
-- A service whose key is not this one, or whose key signed more than is here, does not open the log.
--
-- No row: a new log, or one of a version that had none of this. The first service that opens it writes the row.

CREATE TABLE log_signer (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- As C2SP signed-note writes it: name+id+base64.
    verifier_key text   NOT NULL,
    signed_size  bigint NOT NULL CHECK (signed_size >= 0),
    signed_root  bytea  NOT NULL CHECK (octet_length(signed_root) = 32)
);
