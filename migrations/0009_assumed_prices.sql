-- A catalog may list a GPU type without its price; a decision then counts with an assumed one, and says so. In all
-- earlier decisions the field is absent, which is what false is written as.
ALTER TABLE decisions ADD COLUMN price_assumed boolean NOT NULL DEFAULT false;
