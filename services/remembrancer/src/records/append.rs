//! Drafts on their way into the log.

use ::records::{SearchText, same_kind};
use chrono::{DateTime, Utc};
use merkle_log::{EMPTY_ROOT, Hash};
use serde_json::Value;
use sqlx::PgConnection;

use super::{Columns, Draft, Recorded, Stored, search};
use crate::{
    error::{LogError, Result},
    log::signed,
};

/// The records of a transaction: those that it appends, and those that had their ids before.
pub(crate) struct Drafts {
    known: Vec<Stored>,
    new: Vec<Stored>,
}

/// Where a draft's record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is recorded already.
    Known(usize),
    /// This draft is to be recorded.
    New(usize),
    /// Another draft of this transaction is the same.
    Repeated(usize),
}

impl Drafts {
    /// Finds the records that have these ids already.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn find<'a>(db: &mut PgConnection, ids: impl Iterator<Item = &'a str>) -> Result<Self> {
        let ids: Vec<String> = ids.map(str::to_owned).collect();
        let mut known = Vec::new();
        if !ids.is_empty() {
            let rows = sqlx::query_as!(
                Columns,
                "SELECT log_index, id, kind, subject, recorded_at, body, root FROM records WHERE id = ANY($1)",
                &ids
            );
            known = rows.fetch_all(db).await?.into_iter().map(Stored::try_from).collect::<Result<_>>()?;
        }
        Ok(Self { known, new: Vec::new() })
    }

    /// Gives a draft its place, at this index if it is new.
    ///
    /// # Errors
    /// [`LogError::RecordConflict`]: another record has the id.
    pub(crate) fn place(&mut self, draft: &Draft, now: DateTime<Utc>, index: u64) -> Result<Place> {
        let find = |records: &[Stored]| records.iter().position(|record| record.id == draft.id);
        let (place, stored) = if let Some(known) = find(&self.known) {
            (Place::Known(known), &self.known[known])
        } else if let Some(new) = find(&self.new) {
            (Place::Repeated(new), &self.new[new])
        } else {
            self.new.push(Stored {
                log_index: index,
                id: draft.id.clone(),
                kind: draft.kind.clone(),
                subject: draft.subject.clone(),
                recorded_at: now,
                body: draft.body.clone(),
                root: EMPTY_ROOT.to_vec(),
            });
            return Ok(Place::New(self.new.len() - 1));
        };
        let is_same = same_kind(&stored.kind, &draft.kind)
            && (&stored.subject, &stored.body) == (&draft.subject, &draft.body);
        is_same.then_some(place).ok_or_else(|| LogError::RecordConflict(draft.id.clone()))
    }

    /// The leaf of what is new.
    ///
    /// # Errors
    /// None that is known: the parts are texts.
    pub(crate) fn leaf_hash(&self, new: usize) -> Result<Hash> {
        self.new[new].leaf_hash()
    }

    /// The log has this root right after it.
    pub(crate) fn integrate(&mut self, new: usize, root: Hash) {
        self.new[new].root = root.to_vec();
    }

    /// What became of a draft, once all is integrated.
    ///
    /// # Errors
    /// When a row holds what the service never writes.
    pub(crate) fn recorded(&self, place: Place) -> Result<Recorded> {
        let (stored, new) = match place {
            Place::Known(known) => (&self.known[known], false),
            Place::New(new) => (&self.new[new], true),
            Place::Repeated(new) => (&self.new[new], false),
        };
        Ok(Recorded { receipt: stored.receipt()?, new })
    }

    /// Writes what is new.
    ///
    /// The search column is derived from the other columns, and in no leaf. A tsvector holds one megabyte at most: of a
    /// huge body only the beginning is searched, and when all words are too many, those as they are written come first.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn save(&self, db: &mut PgConnection) -> Result<()> {
        if self.new.is_empty() {
            return Ok(());
        }
        let text =
            |of: fn(&Stored) -> &str| self.new.iter().map(|record| of(record).to_owned()).collect::<Vec<_>>();
        let (mut headings, mut descriptions, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for record in &self.new {
            let found_by = SearchText::new(&record.kind, &record.subject);
            headings.push(found_by.heading);
            descriptions.push(found_by.description);
            let body: Value = serde_json::from_str(&record.body).unwrap_or_default(); // it was made from JSON
            words.push(Value::from(search::written(&record.id, &record.kind, &record.subject, &body)));
        }
        sqlx::query!(
            r#"INSERT INTO records (log_index, id, kind, subject, recorded_at, body, root, search_version, search)
               SELECT log_index, id, kind, subject, recorded_at, body, root, 1,
                      names || CASE WHEN pg_column_size(found) + pg_column_size(written) < 900000
                                    THEN found ELSE '' END || written
               FROM (SELECT log_index, id, kind, subject, recorded_at, body, root,
                            setweight(to_tsvector('english', heading), 'B')
                                || to_tsvector('english', description) AS names,
                            CASE WHEN octet_length(body) <= 100000
                                 THEN jsonb_to_tsvector('english', body::jsonb,
                                                        '["key", "string", "numeric", "boolean"]')
                                 ELSE to_tsvector('english', left(body, 50000))
                            END AS found,
                            array_to_tsvector(ARRAY(SELECT jsonb_array_elements_text(words))) AS written
                     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
                                 $7::bytea[], $8::text[], $9::text[], $10::jsonb[])
                          AS new (log_index, id, kind, subject, recorded_at, body, root, heading, description, words)
                    ) AS vectors"#,
            &self.new.iter().map(|record| signed(record.log_index)).collect::<Vec<i64>>(),
            &text(|record| &record.id),
            &text(|record| record.kind.as_str()),
            &text(|record| &record.subject),
            &self.new.iter().map(|record| record.recorded_at).collect::<Vec<_>>(),
            &text(|record| &record.body),
            &self.new.iter().map(|record| record.root.clone()).collect::<Vec<_>>(),
            &headings,
            &descriptions,
            &words
        )
        .execute(db)
        .await?;
        Ok(())
    }
}
