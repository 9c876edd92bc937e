-- Decisions that were deleted. What a run decided is most of what a ledger keeps, and nobody looks at most of it again. A
-- deletion removes rows of `decisions` and nothing else: the leaves' hashes are in the tiles, so that every proof of what
-- remains, the run's root, and every checkpoint that was ever signed stay as they are. It is a record of the log itself
-- (`decisions.deleted`), which is appended in the transaction that marks the run here.
--
-- From the mark on nobody finds the rows; they are removed in parts afterwards, so that the log's head is not locked
-- meanwhile, and whoever dies in between has lost nothing. Somebody who records the same decisions again brings them back
-- from the first on: what is still deleted is a range.

ALTER TABLE runs ADD COLUMN deleted_from bigint;
ALTER TABLE runs ADD COLUMN deleted_until bigint;
-- The id of the record.
ALTER TABLE runs ADD COLUMN deletion text;
-- Whether the rows of the range are gone.
ALTER TABLE runs ADD COLUMN deletion_done boolean NOT NULL DEFAULT true;
ALTER TABLE runs ADD CONSTRAINT runs_deleted_range CHECK (
    (deleted_from IS NULL AND deleted_until IS NULL)
    OR (deleted_from IS NOT NULL AND deleted_until IS NOT NULL AND deletion IS NOT NULL
        AND first_sequence <= deleted_from AND deleted_from < deleted_until AND deleted_until <= next_sequence)
);
