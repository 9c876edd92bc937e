//! Everything computed again from the rows: every leaf, tile and root, and every receipt and run head.
//! It reads in order and in parts, so that its memory does not grow with the log.

mod runs;

use merkle_log::{
    Frontier, Hash, canonical_leaf_hash, leaf_hash,
    tile::{Edge, MissingHash, TILE_WIDTH, Tile, TileId, TileSet},
};
use sqlx::{PgConnection, PgPool};

use self::runs::Runs;
use crate::{
    database::{begin, known_schema, schema},
    decisions,
    error::{LogError, Result},
    log::{Head, digest, head, load_tiles, root_at, signed, unsigned},
    records::{self, Stored},
    signing,
};

/// Leaves read at once: whole tiles.
const PART: u64 = 40 * TILE_WIDTH as u64;

/// What was looked at, when nothing differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Leaves, which are decisions and records.
    pub leaves: u64,
    pub decisions: u64,
    /// Decisions that were deleted: their hashes are part of all roots, and a record says that they were.
    pub deleted: u64,
    pub records: u64,
    pub tiles: u64,
    pub runs: u64,
    pub artifacts: u64,
}

impl Report {
    /// Behind the number of decisions, where some were deleted.
    #[must_use]
    pub fn deleted_in_words(&self) -> String {
        match self.deleted {
            0 => String::new(),
            deleted => format!(" and {deleted} deleted ones"),
        }
    }
}

/// Why the log is not known to be intact.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// What is stored is not what was recorded: the first difference.
    #[error("{0}")]
    Difference(String),
    /// Its schema is that of an earlier version, which is not changed by looking at it.
    #[error(
        "the database has the schema {found} of an earlier version, and this one checks the schema {known}: start the services \
         once, which brings it up to date, or check it with the version that used it last"
    )]
    Older {
        /// Its schema's number.
        found: i64,
        /// The one that is known here.
        known: i64,
    },
    /// It could not be read.
    #[error(transparent)]
    Unreadable(LogError),
}

impl From<LogError> for FsckError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Inconsistent(what) => Self::Difference(what),
            other => Self::Unreadable(other),
        }
    }
}

impl From<sqlx::Error> for FsckError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // A value that the service never writes is a change behind its back.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Difference(error.to_string()),
            other => Self::Unreadable(other.into()),
        }
    }
}

/// Computes everything again from one snapshot of the database; the service may keep running.
///
/// # Errors
/// The first difference, or that the database cannot be read.
pub async fn fsck(db: &PgPool) -> std::result::Result<Report, FsckError> {
    let known = known_schema();
    if let Ok(Some(found)) = schema(&mut *db.acquire().await?).await
        && found < known
    {
        return Err(FsckError::Older { found, known });
    }
    let mut transaction = begin(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)").fetch_one(&mut *transaction).await?;
    let head = head(&mut *transaction).await?;
    let mut check = Check {
        head,
        edge: Edge::new(),
        frontier: Frontier::new(),
        runs: Runs::load(&mut transaction).await?,
        report: Report::default(),
    };
    while check.frontier.len() < head.size {
        check.part(&mut transaction).await?;
    }
    check.finish(&mut transaction).await
}

/// How far the check is.
struct Check {
    head: Head,
    edge: Edge,
    frontier: Frontier,
    runs: Runs,
    report: Report,
}

impl Check {
    /// The next leaves, from their rows.
    async fn part(&mut self, db: &mut PgConnection) -> std::result::Result<(), FsckError> {
        let start = self.frontier.len();
        let end = (start + PART).min(self.head.size);
        self.runs.load_batches(db, start..end).await?;
        let mut decisions = decisions::in_range(db, start..end).await?.into_iter().peekable();
        let mut records = records::in_range(db, start..end).await?;
        // Row by row against the tree first: it names the very row, where a root only says "up to here".
        let tree = level_zero(db, start, end).await?;
        let mut leaves = Vec::with_capacity((end - start) as usize);
        for index in start..end {
            let decision = decisions.next_if(|(_, row)| row.log_index == index);
            let leaf = match (decision, records.remove(&index)) {
                (Some((run_id, row)), None) => {
                    let leaf = canonical_leaf_hash(&row.decision).map_err(|error| {
                        FsckError::Difference(format!("the decision at log index {index}: {error}"))
                    })?;
                    compare(&tree, index, &leaf)?;
                    self.frontier.push(leaf);
                    self.runs.decision(run_id, &row, leaf, &self.frontier)?;
                    self.report.decisions += 1;
                    leaf
                }
                (None, Some(record)) => {
                    let leaf = leaf_hash(record.leaf_text()?.as_bytes());
                    compare(&tree, index, &leaf)?;
                    self.frontier.push(leaf);
                    self.record(&record)?;
                    leaf
                }
                (None, None) => {
                    self.runs.check_deleted(index)?;
                    // what is left of it is its hash, which the roots below and those that were signed have in them
                    let (id, positions) = TileId::of_node(0, index);
                    let missing = |missing: MissingHash| FsckError::Difference(missing.to_string());
                    let leaf = tree.hashes(id, positions).map_err(missing)?[0];
                    self.frontier.push(leaf);
                    self.runs.deleted(index, leaf, &self.frontier)?;
                    self.report.deleted += 1;
                    leaf
                }
                (Some(_), Some(_)) => return different(format!("log index {index} has two rows")),
            };
            leaves.push(leaf);
        }
        self.tiles(db, &leaves, end == self.head.size).await
    }

    fn record(&mut self, record: &Stored) -> std::result::Result<(), FsckError> {
        self.report.records += 1;
        if digest(&record.root)? != self.frontier.root() {
            return different(format!(
                "the receipt of the record {:?} (log index {}) has another root than the rows give: it or a row up to \
                 there was changed",
                record.id, record.log_index
            ));
        }
        Ok(())
    }

    /// Compares the tiles that are complete by now, and at the end of the log all others too.
    async fn tiles(
        &mut self,
        db: &mut PgConnection,
        leaves: &[Hash],
        last: bool,
    ) -> std::result::Result<(), FsckError> {
        let mut computed = self.edge.append(leaves);
        computed.retain(|tile| last || tile.hashes.len() == TILE_WIDTH);
        if last {
            // Partial tiles above the leaves may not have changed with the last part.
            computed.retain(|tile| tile.hashes.len() == TILE_WIDTH);
            computed.extend(self.edge.partial_tiles());
        }
        let ids: Vec<_> = computed.iter().map(|tile| tile.id).collect();
        let stored = load_tiles(&mut *db, &ids).await?;
        for Tile { id, hashes } in computed {
            let found = stored.get(id).unwrap_or_default();
            if found.len() != hashes.len() {
                return different(format!(
                    "the tile {id} has {} hashes, expected {}",
                    found.len(),
                    hashes.len()
                ));
            }
            if let Some(position) = hashes.iter().zip(found).position(|(computed, found)| computed != found) {
                return different(format!(
                    "the tile {id} has another hash at {position} than the tiles below it give"
                ));
            }
            self.report.tiles += 1;
        }
        Ok(())
    }

    /// What can only be told at the end.
    async fn finish(mut self, db: &mut PgConnection) -> std::result::Result<Report, FsckError> {
        if self.frontier.root() != self.head.root {
            return different("the head's root is not the one that the rows give".into());
        }
        let beyond = sqlx::query!(
            r#"SELECT (SELECT min(log_index) FROM decisions WHERE log_index >= $1) AS decision,
                      (SELECT min(log_index) FROM records WHERE log_index >= $1) AS record,
                      (SELECT count(*) FROM tiles) AS "tiles!""#,
            signed(self.head.size)
        )
        .fetch_one(&mut *db)
        .await?;
        if let Some(index) = beyond.decision.or(beyond.record) {
            return different(format!(
                "there is a row at log index {index}, but the log ends at {}",
                self.head.size
            ));
        }
        if unsigned(beyond.tiles)? != self.report.tiles {
            return different(format!("there are {} tiles, expected {}", beyond.tiles, self.report.tiles));
        }
        self.runs.finish()?;
        self.runs.deletions(&mut *db).await?;
        signed_head(&mut *db, self.head).await?;
        let wrong = sqlx::query_scalar!(
            "SELECT sha256 FROM artifacts WHERE sha256(bytes) <> sha256 OR length(bytes) <> size_bytes LIMIT 1"
        )
        .fetch_optional(&mut *db)
        .await?;
        if let Some(name) = wrong {
            return different(format!("the artifact {} has another content", api::Hash(digest(&name)?)));
        }
        let artifacts =
            sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM artifacts"#).fetch_one(db).await?;
        self.report.artifacts = unsigned(artifacts)?;
        self.report.leaves = self.head.size;
        self.report.runs = self.runs.len();
        Ok(self.report)
    }
}

/// What the log's key signed last is still there, as it was signed.
async fn signed_head(db: &mut PgConnection, head: Head) -> std::result::Result<(), FsckError> {
    let Some(signed) = signing::last_signed(&mut *db).await? else { return Ok(()) };
    if signed.size > head.size {
        return different(format!("{} leaves were signed, but the log has {}", signed.size, head.size));
    }
    if root_at(db, signed.size, head).await? != signed.root {
        return different(format!(
            "the first {} leaves have another root than the one that was signed",
            signed.size
        ));
    }
    Ok(())
}

/// The tiles of these leaves as they are stored.
async fn level_zero(db: &mut PgConnection, start: u64, end: u64) -> Result<TileSet> {
    let width = TILE_WIDTH as u64;
    let ids: Vec<_> = (start / width..end.div_ceil(width)).map(|index| TileId { level: 0, index }).collect();
    load_tiles(db, &ids).await
}

fn compare(tree: &TileSet, index: u64, leaf: &Hash) -> std::result::Result<(), FsckError> {
    let (id, positions) = TileId::of_node(0, index);
    let stored = tree.hashes(id, positions).map_err(|missing| FsckError::Difference(missing.to_string()))?;
    if stored != [*leaf] {
        return different(format!(
            "the row at log index {index} is not what was recorded: its leaf hash is {}, the tree has {}",
            api::Hash(*leaf),
            api::Hash(stored[0])
        ));
    }
    Ok(())
}

pub(super) fn different<T>(what: String) -> std::result::Result<T, FsckError> {
    Err(FsckError::Difference(what))
}
