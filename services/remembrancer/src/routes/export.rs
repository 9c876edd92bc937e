//! Decisions as a stream of lines.

use std::time::Duration;

use api::{
    Hash,
    remembrancer::{Action, DecisionQuery, RecordedDecision},
};
use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde::Serialize;
use service_kit::{ApiResult, Lines};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::{
    decisions::{Export, Filter, Row},
    error::{LogError, Result},
};

/// How long a reader may take nothing: it holds a connection to the database.
const PATIENCE: Duration = Duration::from_secs(60);

/// Refuses what only pages have: half an export that looks like a whole one helps nobody.
pub(super) fn check(query: &DecisionQuery) -> Result<()> {
    let detail =
        "expected only with JSON: a stream has all that matches. Leave it out, or ask for format=json";
    match query {
        DecisionQuery { limit: Some(_), .. } => Err(LogError::invalid("?limit", detail)),
        DecisionQuery { cursor: Some(_), .. } => Err(LogError::invalid("?cursor", detail)),
        _ => Ok(()),
    }
}

/// The answer. What goes wrong before the first decision is a problem as on every route; later the body breaks off.
pub(super) async fn stream(
    db: &PgPool,
    filter: &Filter,
    lines: Lines,
    permit: OwnedSemaphorePermit,
) -> ApiResult<Response> {
    let mut export = Export::open(db, filter).await?;
    let first = export.next().await?;
    // One part is under way while the next is read, and no more.
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(error) = pump(export, first, lines, &send).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "an export broke off");
        }
        drop(permit);
    });
    let media_type = match lines {
        Lines::Ndjson => lines.media_type(),
        Lines::Csv => "text/csv; charset=utf-8",
    };
    let body = Body::from_stream(stream::try_unfold(receive, parts));
    Ok(([(header::CONTENT_TYPE, media_type)], body).into_response())
}

/// `None` marks the end, so that an export that broke off cannot be taken for a whole one.
type Part = Option<Bytes>;

async fn parts(mut receive: mpsc::Receiver<Part>) -> Result<Option<(Bytes, mpsc::Receiver<Part>)>> {
    match receive.recv().await {
        Some(Some(bytes)) => Ok(Some((bytes, receive))),
        Some(None) => Ok(None),
        None => Err(LogError::Interrupted("the export broke off".into())),
    }
}

/// Reads and sends until the end, or until the reader goes away.
async fn pump(mut export: Export, first: Vec<Row>, lines: Lines, send: &mpsc::Sender<Part>) -> Result<()> {
    let mut rows = first;
    let mut begins = true;
    loop {
        let last = rows.is_empty();
        let bytes = encode(lines, begins, rows)?;
        if !bytes.is_empty() && !taken(send, Some(bytes.into())).await? {
            return Ok(());
        }
        if last {
            return taken(send, None).await.map(drop);
        }
        begins = false;
        rows = export.next().await?;
    }
}

/// False when the reader went away.
async fn taken(send: &mpsc::Sender<Part>, part: Part) -> Result<bool> {
    match tokio::time::timeout(PATIENCE, send.send(part)).await {
        Ok(sent) => Ok(sent.is_ok()),
        Err(_) => Err(LogError::Interrupted(format!("nothing was taken for {} s", PATIENCE.as_secs()))),
    }
}

fn encode(lines: Lines, begins: bool, rows: Vec<Row>) -> Result<Vec<u8>> {
    let failed = |error: String| LogError::Inconsistent(format!("a decision cannot be written: {error}"));
    let rows = rows.into_iter().map(Row::into_api);
    match lines {
        Lines::Ndjson => {
            let mut bytes = Vec::new();
            for row in rows {
                serde_json::to_writer(&mut bytes, &row).map_err(|error| failed(error.to_string()))?;
                bytes.push(b'\n');
            }
            Ok(bytes)
        }
        Lines::Csv => {
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
            if begins {
                writer.write_record(COLUMNS).map_err(|error| failed(error.to_string()))?;
            }
            for row in rows {
                writer.serialize(CsvRow::from(&row)).map_err(|error| failed(error.to_string()))?;
            }
            writer.into_inner().map_err(|error| failed(error.to_string()))
        }
    }
}

/// The fields of [`CsvRow`]: written by hand, so that an export of nothing has its header too.
const COLUMNS: [&str; 25] = [
    "log_index",
    "run",
    "sequence",
    "episode",
    "step",
    "agent",
    "tenant",
    "workload",
    "gpu_type",
    "gpu_hours",
    "action",
    "reason",
    "provider",
    "price_usd_per_hour",
    "latency_ms",
    "cost_usd",
    "reward",
    "explored",
    "propensity",
    "value",
    "policy_version",
    "deferred",
    "wait_ms",
    "price_assumed",
    "arm",
];

/// A decision flat, with every field.
#[derive(Serialize)]
struct CsvRow<'a> {
    log_index: u64,
    run: Hash,
    sequence: u64,
    episode: u32,
    step: u32,
    agent: u32,
    tenant: &'a str,
    workload: &'a str,
    gpu_type: &'a str,
    gpu_hours: f64,
    action: Action,
    reason: &'a str,
    provider: Option<&'a str>,
    price_usd_per_hour: Option<f64>,
    latency_ms: Option<f64>,
    cost_usd: Option<f64>,
    reward: f64,
    explored: bool,
    propensity: f64,
    value: Option<f64>,
    policy_version: u64,
    deferred: bool,
    wait_ms: f64,
    price_assumed: bool,
    arm: u32,
}

impl<'a> From<&'a RecordedDecision> for CsvRow<'a> {
    fn from(recorded: &'a RecordedDecision) -> Self {
        let RecordedDecision { log_index, decision: d } = recorded;
        Self {
            log_index: *log_index,
            run: d.run,
            sequence: d.sequence,
            episode: d.episode,
            step: d.step,
            agent: d.agent,
            tenant: &d.tenant,
            workload: &d.workload,
            gpu_type: &d.gpu_type,
            gpu_hours: d.gpu_hours,
            action: d.action,
            reason: &d.reason,
            provider: d.provider.as_deref(),
            price_usd_per_hour: d.price_usd_per_hour,
            latency_ms: d.latency_ms,
            cost_usd: d.cost_usd,
            reward: d.reward,
            explored: d.explored,
            propensity: d.propensity,
            value: d.value,
            policy_version: d.policy_version,
            deferred: d.deferred,
            wait_ms: d.wait_ms,
            price_assumed: d.price_assumed,
            arm: d.arm,
        }
    }
}
