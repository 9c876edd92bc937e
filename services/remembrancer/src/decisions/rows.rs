//! A decision as a row: written as PostgreSQL's binary COPY, read back to the same canonical JSON.

use api::remembrancer::{Action, Decision, RecordedDecision};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use crate::{
    error::{LogError, Result},
    log::{signed, unsigned},
};

/// The columns, in the order of the table and of [`CopyEncoder`].
pub const COLUMNS: &str = "log_index, sequence, policy_version, gpu_hours, reward, propensity, wait_ms, \
    price_usd_per_hour, latency_ms, cost_usd, value, run_id, episode, step, agent, action, explored, deferred, \
    price_assumed, tenant, workload, gpu_type, reason, provider, arm";

const COLUMN_COUNT: i16 = 25;

const COPY: &str = "COPY decisions (log_index, sequence, policy_version, gpu_hours, reward, propensity, wait_ms, \
    price_usd_per_hour, latency_ms, cost_usd, value, run_id, episode, step, agent, action, explored, deferred, \
    price_assumed, tenant, workload, gpu_type, reason, provider, arm) FROM STDIN (FORMAT binary)";

/// How much is encoded before it is sent: the server stores one chunk while the next is made.
const CHUNK_BYTES: usize = 256 << 10;

/// A decision in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub log_index: u64,
    pub decision: Decision,
}

impl Row {
    /// The decision on the wire.
    #[must_use]
    pub fn into_api(self) -> RecordedDecision {
        RecordedDecision { log_index: self.log_index, decision: self.decision }
    }
}

/// Writes decisions in the format of `COPY … (FORMAT binary)` (PostgreSQL manual, "COPY", "Binary Format").
#[derive(Debug)]
pub struct CopyEncoder {
    buffer: Vec<u8>,
}

impl CopyEncoder {
    /// An encoder that has written the header.
    #[must_use]
    pub fn new() -> Self {
        let mut buffer = Vec::with_capacity(CHUNK_BYTES + 4096);
        buffer.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
        buffer.extend_from_slice(&[0; 8]); // no flags, no header extension
        Self { buffer }
    }

    /// Writes a row. Counters must have been checked to fit 31 bits, texts to be without NUL.
    pub fn row(&mut self, log_index: u64, run_id: i32, decision: &Decision) {
        self.buffer.extend_from_slice(&COLUMN_COUNT.to_be_bytes());
        for number in [log_index, decision.sequence, decision.policy_version] {
            self.field(&signed(number).to_be_bytes());
        }
        for number in [decision.gpu_hours, decision.reward, decision.propensity, decision.wait_ms] {
            self.field(&number.to_be_bytes());
        }
        for number in [decision.price_usd_per_hour, decision.latency_ms, decision.cost_usd, decision.value] {
            match number {
                Some(number) => self.field(&number.to_be_bytes()),
                None => self.null(),
            }
        }
        self.field(&run_id.to_be_bytes());
        for number in [decision.episode, decision.step, decision.agent] {
            self.field(&number.to_be_bytes());
        }
        self.field(action_name(decision.action).as_bytes());
        for flag in [decision.explored, decision.deferred, decision.price_assumed] {
            self.field(&[u8::from(flag)]);
        }
        for text in [&decision.tenant, &decision.workload, &decision.gpu_type, &decision.reason] {
            self.field(text.as_bytes());
        }
        match &decision.provider {
            Some(provider) => self.field(provider.as_bytes()),
            None => self.null(),
        }
        self.field(&decision.arm.to_be_bytes());
    }

    /// Writes the trailer and gives the rest that was not taken yet.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.buffer.extend_from_slice(&(-1_i16).to_be_bytes());
        self.buffer
    }

    fn field(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.buffer.extend_from_slice(&(-1_i32).to_be_bytes());
    }
}

impl Default for CopyEncoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Copies decisions into the table and nothing else: no leaf, no tree. Each part has the index of its first decision in the
/// log, its run's number, and consecutive decisions.
///
/// # Errors
/// The database's.
pub async fn copy(db: &mut PgConnection, parts: &[(u64, i32, &[Decision])]) -> Result<()> {
    let mut copy = db.copy_in_raw(COPY).await?;
    let mut encoder = CopyEncoder::new();
    let mut sent = 0;
    for (first_index, run_id, decisions) in parts {
        for (index, decision) in (*first_index..).zip(*decisions) {
            encoder.row(index, *run_id, decision);
            if encoder.buffer.len() >= CHUNK_BYTES {
                copy.send(&encoder.buffer[..]).await?;
                encoder.buffer.clear();
            }
        }
        sent += decisions.len() as u64;
    }
    copy.send(encoder.finish()).await?;
    let copied = copy.finish().await?;
    if copied != sent {
        return Err(LogError::Inconsistent(format!("COPY took {copied} of {sent} decisions")));
    }
    Ok(())
}

/// Reads a row with [`COLUMNS`] (`action` as text) and the run's digest as `digest`.
///
/// # Errors
/// When a column is missing or holds what the service never writes.
pub fn from_row(row: &PgRow) -> Result<Row> {
    let count = |name: &str| -> Result<u64> { unsigned(row.try_get(name)?) };
    let small = |name: &str| -> Result<u32> { Ok(unsigned(row.try_get::<i32, _>(name)?.into())? as u32) };
    let decision = Decision {
        run: api::Hash(crate::log::digest(row.try_get("digest")?)?),
        sequence: count("sequence")?,
        episode: small("episode")?,
        step: small("step")?,
        agent: small("agent")?,
        tenant: row.try_get("tenant")?,
        workload: row.try_get("workload")?,
        gpu_type: row.try_get("gpu_type")?,
        gpu_hours: row.try_get("gpu_hours")?,
        action: action(row.try_get("action")?)?,
        reason: row.try_get("reason")?,
        provider: row.try_get("provider")?,
        price_usd_per_hour: row.try_get("price_usd_per_hour")?,
        price_assumed: row.try_get("price_assumed")?,
        latency_ms: row.try_get("latency_ms")?,
        cost_usd: row.try_get("cost_usd")?,
        reward: row.try_get("reward")?,
        explored: row.try_get("explored")?,
        propensity: row.try_get("propensity")?,
        value: row.try_get("value")?,
        policy_version: count("policy_version")?,
        deferred: row.try_get("deferred")?,
        wait_ms: row.try_get("wait_ms")?,
        arm: small("arm")?,
    };
    Ok(Row { log_index: count("log_index")?, decision })
}

pub(super) fn action_name(action: Action) -> &'static str {
    match action {
        Action::Route => "route",
        Action::Hold => "hold",
        Action::Drop => "drop",
    }
}

fn action(name: &str) -> Result<Action> {
    match name {
        "route" => Ok(Action::Route),
        "hold" => Ok(Action::Hold),
        "drop" => Ok(Action::Drop),
        other => Err(LogError::Inconsistent(format!("the action {other:?}"))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn decision(sequence: u64) -> Decision {
        Decision {
            run: api::Hash([7; 32]),
            sequence,
            episode: 0,
            step: 3,
            agent: 1,
            tenant: "acme".into(),
            workload: "training".into(),
            gpu_type: "H100".into(),
            gpu_hours: 2.5,
            action: Action::Hold,
            reason: "held".into(),
            provider: None,
            price_usd_per_hour: None,
            price_assumed: false,
            latency_ms: None,
            cost_usd: None,
            reward: -0.25,
            explored: true,
            propensity: 0.1,
            value: None,
            policy_version: 12,
            deferred: false,
            wait_ms: 0.0,
            arm: 0,
        }
    }

    #[test]
    fn a_row_has_as_many_fields_as_there_are_columns() {
        assert_eq!(COLUMNS.split(", ").count(), COLUMN_COUNT as usize);
        assert!(COPY.contains(&format!("({COLUMNS})")));
        let mut encoder = CopyEncoder::new();
        let header = encoder.buffer.len();
        encoder.row(5, 2, &decision(9));
        let mut rest = &encoder.buffer[header + 2..];
        let mut fields = 0;
        while !rest.is_empty() {
            let (length, tail) = rest.split_first_chunk::<4>().unwrap();
            rest = &tail[i32::from_be_bytes(*length).max(0) as usize..];
            fields += 1;
        }
        assert_eq!(fields, COLUMN_COUNT);
    }
}
