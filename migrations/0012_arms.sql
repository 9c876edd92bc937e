-- Several policies may decide in one stream; a decision says which of them did. In all earlier decisions the field is absent,
-- which is what 0 is written as.
ALTER TABLE decisions ADD COLUMN arm integer NOT NULL DEFAULT 0;
