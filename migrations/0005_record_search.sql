-- People search records with words that their authors never wrote: whoever wants "ai-mesh routing decisions" is
-- looking for the training runs that made them, but a run's records hold names of settings, digests and counts. So
-- every kind's description is indexed with the record. The subject counts more than the description and the body,
-- and is indexed a second time in its parts: `component:ai-mesh-training` is one word to the parser otherwise, and
-- "ai-mesh" would not find it.
--
-- A generated column's expression cannot be changed before PostgreSQL 17: the column is made anew. It is derived
-- from the other columns, so nothing is lost, and the leaves do not contain it.

ALTER TABLE records DROP COLUMN search; -- and records_search with it
ALTER TABLE records ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    setweight(
        to_tsvector('english', kind) || to_tsvector('english', subject) ||
        to_tsvector('english', translate(subject, ':-_./', '     ')), 'B'
    ) ||
    to_tsvector('english', CASE kind
        WHEN 'run' THEN 'ai-mesh training run of a swarm of agents: its routing decisions'
        WHEN 'intervention' THEN 'psi-field intervention in a swarm of agents'
        WHEN 'deployment' THEN 'ai-mesh component deployment: version deployed, with evidence'
        WHEN 'evaluation' THEN 'ai-mesh policy evaluation: results against the baseline'
        WHEN 'federation' THEN 'ai-mesh federation: a merge of learned tables'
        ELSE ''
    END) ||
    CASE WHEN octet_length(body) <= 100000
         THEN jsonb_to_tsvector('english', body::jsonb, '["key", "string", "numeric", "boolean"]')
         ELSE to_tsvector('english', left(body, 50000))
    END
) STORED;
CREATE INDEX records_search ON records USING gin (search);

-- For `from` and `until`: a short span in a long log is found without reading the rest.
CREATE INDEX records_recorded_at ON records (recorded_at);
