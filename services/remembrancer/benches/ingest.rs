//! Decisions per second into a durable PostgreSQL of its own, side by side in one run: bare binary COPY into the
//! same table, the ledger (canonical JSON, leaves, tree, receipts), and the ledger through HTTP.
//!
//! `cargo bench -p remembrancer --bench ingest -- [decisions] [batch]` (default 600000 in batches of 5000). The
//! three take turns, so that what else the machine does falls on all alike.

#![allow(clippy::print_stdout)] // its output is what it is for

use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::remembrancer::{Action, Decision, DecisionBatch};
use embedded_postgres::{Cluster, Durability, Settings};
use remembrancer::{
    Config,
    appends::Appends,
    build, database,
    decisions::{Batch, copy, ensure_partitions},
    fsck::fsck,
    log::Sequencer,
};
use service_kit::{Deadlines, HttpConfig};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

const ROUNDS: u64 = 6;

fn main() -> anyhow::Result<()> {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let decisions = numbers.first().copied().unwrap_or(600_000);
    let batch = numbers.get(1).copied().unwrap_or(5_000).min(20_000);
    let folder = tempfile::Builder::new().prefix("ingest-").tempdir_in("/var/tmp")?;
    // The server runs as another user when this is root.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let cluster = Cluster::start(Settings::new(folder.path().join("cluster"), Durability::Durable))?;
    tokio::runtime::Runtime::new()?.block_on(measure(&cluster, folder.path(), decisions, batch))
}

async fn measure(
    cluster: &Cluster,
    folder: &std::path::Path,
    decisions: u64,
    batch: u64,
) -> anyhow::Result<()> {
    let (bare, ledger) = (fresh(cluster, "bare").await?, fresh(cluster, "ledger").await?);
    sqlx::query(
        "INSERT INTO runs (digest, first_sequence, first_frontier, next_sequence, frontier) \
         VALUES (sha256('bench'), 0, '', 0, '')",
    )
    .execute(&bare)
    .await?;
    let http = Http::start(cluster, folder).await?;
    let appends = Appends::new(Sequencer::new(ledger.clone()));
    let mut spent = [Duration::ZERO; 3];
    let batches = decisions / ROUNDS / batch;
    for round in 0..ROUNDS {
        let firsts = || (round * batches..(round + 1) * batches).map(|number| number * batch);
        let posted: Vec<Vec<Decision>> =
            firsts().map(|first| (first..first + batch).map(decision).collect()).collect();
        let bodies: Vec<Vec<u8>> = posted
            .iter()
            .map(|decisions| {
                serde_json::to_vec(&DecisionBatch { decisions: decisions.clone(), frontier: None })
            })
            .collect::<Result<_, _>>()?;

        let started = Instant::now();
        for (first, decisions) in firsts().zip(&posted) {
            let mut transaction = database::begin(&bare, database::BEGIN).await?;
            ensure_partitions(&mut transaction, first..first + batch).await?;
            copy(&mut transaction, &[(first, 1, decisions)]).await?;
            transaction.commit().await?;
        }
        spent[0] += started.elapsed();

        let started = Instant::now();
        for decisions in posted {
            let batch = Batch::new(DecisionBatch { decisions, frontier: None })?;
            appends.decisions(batch, None).await?;
        }
        spent[1] += started.elapsed();

        let started = Instant::now();
        for body in bodies {
            http.post(body).await?;
        }
        spent[2] += started.elapsed();
    }
    report(batches * batch * ROUNDS, spent);
    storage(&ledger, batches * batch * ROUNDS).await?;
    let started = Instant::now();
    let leaves = fsck(&ledger).await?.leaves;
    println!("fsck of {leaves} leaves: {:.0} leaves/s", leaves as f64 / started.elapsed().as_secs_f64());
    Ok(())
}

fn report(decisions: u64, spent: [Duration; 3]) {
    let rates = spent.map(|time| decisions as f64 / time.as_secs_f64());
    for (name, rate) in ["bare COPY", "ledger", "ledger through HTTP"].iter().zip(rates) {
        println!("{name:>20}: {rate:>9.0} decisions/s, {:>5.1} % of bare COPY", 100.0 * rate / rates[0]);
    }
}

async fn storage(db: &PgPool, decisions: u64) -> anyhow::Result<()> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class \
         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    .fetch_one(db)
    .await?;
    println!("{:.0} bytes a decision, tiles and indexes included", bytes as f64 / decisions as f64);
    Ok(())
}

async fn fresh(cluster: &Cluster, name: &str) -> anyhow::Result<PgPool> {
    cluster.create_database(name).await?;
    let pool = database::pool(&Config { database_url: cluster.url(name), ..Config::default() })?;
    database::open(&pool).await?;
    Ok(pool)
}

/// The service on a free port, in this process.
struct Http {
    url: String,
    client: reqwest::Client,
}

impl Http {
    async fn start(cluster: &Cluster, folder: &std::path::Path) -> anyhow::Result<Self> {
        cluster.create_database("http").await?;
        let config = Config {
            http: HttpConfig::on_port(0),
            database_url: cluster.url("http"),
            data_dir: folder.join("key"),
            ..Config::default()
        };
        let listener = service_kit::listen(&config.http).await?;
        let url = format!("http://{}/v1/decisions", listener.local_addr()?);
        let shutdown = CancellationToken::new();
        let app = build(config, shutdown.clone()).await?;
        tokio::spawn(service_kit::serve(listener, app, Deadlines::default(), shutdown));
        Ok(Self { url, client: test_support::http_client() })
    }

    async fn post(&self, body: Vec<u8>) -> anyhow::Result<()> {
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{status}: {text}");
        text.contains("receipts").then_some(()).context("an answer without receipts")
    }
}

/// As long as the simulator's: names of usual length, numbers with all their digits.
fn decision(sequence: u64) -> Decision {
    let routed = !sequence.is_multiple_of(4);
    let noise = (sequence as f64 * 0.618_033_988_749_894).fract();
    Decision {
        run: api::Hash([42; 32]),
        sequence,
        episode: (sequence / 34_300) as u32,
        step: (sequence / 286 % 120) as u32,
        agent: (sequence % 10) as u32,
        tenant: ["tenant-a", "tenant-b", "tenant-c"][sequence as usize % 3].into(),
        workload: ["llm-training", "inference-batch"][sequence as usize % 2].into(),
        gpu_type: "H100".into(),
        gpu_hours: 0.5 + 8.0 * noise,
        action: if routed { Action::Route } else { Action::Hold },
        reason: if routed { "ok" } else { "held" }.into(),
        provider: routed.then(|| ["coreweave", "lambda-labs", "aws"][sequence as usize % 3].into()),
        price_usd_per_hour: routed.then_some(2.0 + noise),
        price_assumed: false,
        latency_ms: routed.then_some(40.0 + 10.0 * noise),
        cost_usd: routed.then_some((2.0 + noise) * (0.5 + 8.0 * noise)),
        reward: -noise,
        explored: sequence.is_multiple_of(10),
        propensity: 0.9 + noise / 100.0,
        value: Some(-1.0 - noise),
        policy_version: sequence / 286,
        deferred: false,
        wait_ms: 0.0,
        arm: 0,
    }
}
