//! Leases: claims that run out, each with a token greater than all before it. Only the database's clock counts.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use api::remembrancer::{Fence, Lease};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::{
    error::{LogError, NotFound, Result},
    log::{signed, unsigned},
};

/// Which leases to list. All filters must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// How their names begin.
    pub prefix: Option<String>,
    /// Who holds them.
    pub holder: Option<String>,
    /// Whether somebody holds them now.
    pub held: Option<bool>,
    /// Only names after this one.
    pub after: Option<String>,
}

/// Gives the lease to `holder` if nobody else holds it. Whoever holds it already may claim it again, for the answer
/// may have been lost; the token before is then over.
///
/// # Errors
/// [`LogError::LeaseHeld`]; the database's.
pub async fn claim(db: &PgPool, name: &str, holder: &str, ttl: Duration) -> Result<Lease> {
    loop {
        // A claim that waited for another transaction looks at the row anew: `clock_timestamp` is of the moment when
        // it is asked, where `now` would be of the moment when this transaction began.
        let claimed = sqlx::query_as!(
            Row,
            r#"INSERT INTO leases AS l (name, holder, token, expires_at)
               VALUES ($1, $2, 1, clock_timestamp() + $3::double precision * interval '1 second')
               ON CONFLICT (name) DO UPDATE
               SET holder = $2, token = l.token + 1,
                   expires_at = clock_timestamp() + $3::double precision * interval '1 second'
               WHERE l.holder IS NULL OR l.holder = $2 OR l.expires_at <= clock_timestamp()
               RETURNING name, holder, token, expires_at, true AS "held!""#,
            name,
            holder,
            ttl.as_secs_f64()
        );
        if let Some(row) = claimed.fetch_optional(db).await? {
            return row.try_into();
        }
        match get(db, name).await? {
            Lease { held: true, holder: Some(holder), expires_at: until, name, .. } => {
                return Err(LogError::LeaseHeld { name, holder, until });
            }
            _ => tracing::debug!(name, "the lease became free between two looks at it"),
        }
    }
}

/// Makes the claim last from now on, also when it had run out, as long as nobody claimed the lease since.
///
/// # Errors
/// [`LogError::LeaseLost`]; the database's.
pub async fn renew(db: &PgPool, claim: Fence, ttl: Duration) -> Result<Lease> {
    let renewed = sqlx::query_as!(
        Row,
        r#"UPDATE leases SET expires_at = clock_timestamp() + $3::double precision * interval '1 second'
           WHERE name = $1 AND token = $2 AND holder IS NOT NULL
           RETURNING name, holder, token, expires_at, true AS "held!""#,
        claim.lease,
        signed(claim.token),
        ttl.as_secs_f64()
    );
    match renewed.fetch_optional(db).await? {
        Some(row) => row.try_into(),
        None => Err(lost(db, claim).await?),
    }
}

/// Ends the claim, so that somebody else can claim the lease at once. Doing it again changes nothing.
///
/// # Errors
/// [`LogError::LeaseLost`]; the database's.
pub async fn release(db: &PgPool, claim: Fence) -> Result<Lease> {
    let released = sqlx::query_as!(
        Row,
        r#"UPDATE leases
           SET expires_at = CASE WHEN holder IS NULL THEN expires_at ELSE clock_timestamp() END, holder = NULL
           WHERE name = $1 AND token = $2
           RETURNING name, holder, token, expires_at, false AS "held!""#,
        claim.lease,
        signed(claim.token)
    );
    match released.fetch_optional(db).await? {
        Some(row) => row.try_into(),
        None => Err(lost(db, claim).await?),
    }
}

/// The last claims of leases, which stay as they are until the transaction ends: nobody can claim such a lease between the
/// look at it and the commit.
pub(crate) struct Claims(HashMap<String, (i64, Option<String>)>);

impl Claims {
    /// Of the leases that these are claims of.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn of(db: &mut PgConnection, fences: impl Iterator<Item = &Fence>) -> Result<Self> {
        let names: BTreeSet<String> = fences.map(|fence| fence.lease.clone()).collect();
        if names.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let names: Vec<String> = names.into_iter().collect();
        let rows = sqlx::query!(
            "SELECT name, holder, token FROM leases WHERE name = ANY($1) ORDER BY name FOR SHARE",
            &names
        );
        let rows = rows.fetch_all(db).await?.into_iter();
        Ok(Self(rows.map(|row| (row.name, (row.token, row.holder))).collect()))
    }

    /// Refuses what comes under a claim that is over. One that has run out passes as long as nobody made a later one: there
    /// is nobody whom it could disturb.
    ///
    /// # Errors
    /// [`LogError::LeaseLost`].
    pub(crate) fn check(&self, fence: Option<&Fence>) -> Result<()> {
        let Some(fence) = fence else { return Ok(()) };
        match self.0.get(&fence.lease) {
            Some((token, Some(_))) if *token == signed(fence.token) => Ok(()),
            last => Err(over(fence.clone(), last.cloned())),
        }
    }
}

/// The lease of this name.
///
/// # Errors
/// Nobody ever claimed it; the database's.
pub async fn get(db: &PgPool, name: &str) -> Result<Lease> {
    find(db, name).await?.ok_or_else(|| NotFound::Lease(name.into()).into())
}

/// Leases in the order of their names, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn list(db: &PgPool, filter: &Filter, limit: u32) -> Result<Vec<Lease>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT name, holder, token, expires_at, held AS "held!"
           FROM (SELECT *, holder IS NOT NULL AND expires_at > clock_timestamp() AS held FROM leases) AS l
           WHERE ($1::text IS NULL OR starts_with(name, $1)) AND ($2::text IS NULL OR holder = $2)
             AND ($3::boolean IS NULL OR held = $3) AND ($4::text IS NULL OR name > $4)
           ORDER BY name LIMIT $5"#,
        filter.prefix.as_deref(),
        filter.holder.as_deref(),
        filter.held,
        filter.after.as_deref(),
        i64::from(limit)
    );
    rows.fetch_all(db).await?.into_iter().map(Lease::try_from).collect()
}

struct Row {
    name: String,
    holder: Option<String>,
    token: i64,
    expires_at: DateTime<Utc>,
    held: bool,
}

impl TryFrom<Row> for Lease {
    type Error = LogError;

    fn try_from(row: Row) -> Result<Self> {
        let Row { name, holder, token, expires_at, held } = row;
        Ok(Self { name, holder, token: unsigned(token)?, expires_at, held })
    }
}

async fn find(db: &PgPool, name: &str) -> Result<Option<Lease>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT name, holder, token, expires_at,
                  holder IS NOT NULL AND expires_at > clock_timestamp() AS "held!"
           FROM leases WHERE name = $1"#,
        name
    );
    row.fetch_optional(db).await?.map(Lease::try_from).transpose()
}

async fn lost(db: &PgPool, claim: Fence) -> Result<LogError> {
    let last = find(db, &claim.lease).await?.map(|lease| (signed(lease.token), lease.holder));
    Ok(over(claim, last))
}

/// The error that says what happened to the lease since: the token of its last claim, and who holds it.
fn over(claim: Fence, last: Option<(i64, Option<String>)>) -> LogError {
    let reason = match last {
        None => "nobody ever claimed it".to_owned(),
        Some((token, Some(holder))) => format!("{holder:?} has it with the token {token}"),
        Some((token, None)) => format!("its last claim had the token {token} and was given back"),
    };
    LogError::LeaseLost { fence: claim, reason }
}
