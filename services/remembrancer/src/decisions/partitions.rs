//! The partitions of `decisions`: ranges of the log index, made when the log gets there.

use std::ops::Range;

use sqlx::{AssertSqlSafe, PgConnection};

use crate::error::Result;

/// Log indexes of a partition: about a gigabyte of rows, so that dropping the oldest is worth while and a
/// log of a billion leaves has a few hundred.
pub const PARTITION_ROWS: u64 = 1 << 22;

/// The table of a partition.
pub(super) fn name(partition: u64) -> String {
    format!("decisions_p{partition:06}")
}

/// Makes the partitions for these log indexes, as far as they are not there. The caller holds the log's
/// head, so nobody else makes them at the same time.
///
/// # Errors
/// The database's.
pub async fn ensure_partitions(db: &mut PgConnection, indexes: Range<u64>) -> Result<()> {
    for partition in indexes.start / PARTITION_ROWS..indexes.end.div_ceil(PARTITION_ROWS) {
        let name = name(partition);
        let there = sqlx::query_scalar!(r#"SELECT to_regclass($1) IS NOT NULL AS "there!""#, &name)
            .fetch_one(&mut *db)
            .await?;
        if there {
            continue;
        }
        let (start, end) = (partition * PARTITION_ROWS, (partition + 1) * PARTITION_ROWS);
        // ATTACH, unlike CREATE … PARTITION OF, does not lock out those who read the other partitions.
        // The statement is made of numbers only.
        let statement = format!(
            "CREATE TABLE {name} (LIKE decisions INCLUDING ALL);
             ALTER TABLE decisions ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})"
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *db).await?;
        tracing::info!(partition = name, start, end, "made a partition");
    }
    Ok(())
}
