-- Whoever copies a path, a version or a word of another script from a record finds the record with it. PostgreSQL's parser
-- and its English dictionary cannot promise that: the program that appends a record adds the words as they are written,
-- each behind a `=`, so that they are not taken for the dictionary's. Records from before are indexed in the background by
-- the service; the column is derived from the others, and no leaf contains it.

ALTER TABLE records ADD COLUMN search_version smallint NOT NULL DEFAULT 0;
CREATE INDEX records_search_version ON records (log_index) WHERE search_version < 1;
