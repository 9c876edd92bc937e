-- Kinds are an open set of dotted names. What a kind is found by is written by the program that appends the record, so
-- that a new kind needs no migration: the search column becomes a plain one. What is indexed of earlier records stays.

ALTER TABLE records ALTER COLUMN search DROP EXPRESSION;

-- `run` also asks for `run.created`: the same index serves equality and beginnings, in any collation.
DROP INDEX records_kind;
CREATE INDEX records_kind ON records (kind text_pattern_ops, log_index);
