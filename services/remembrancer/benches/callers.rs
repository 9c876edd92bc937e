//! Calls per second of callers that post one decision a call, each to a run of its own, over HTTP, with PostgreSQL syncing
//! every commit.
//!
//! `cargo bench -p remembrancer --bench callers -- [seconds]` (default 5 for each number of callers).

#![allow(clippy::print_stdout)] // its output is what it is for

use std::time::{Duration, Instant};

use api::remembrancer::{Action, Decision, DecisionBatch};
use embedded_postgres::{Cluster, Durability, Settings};
use remembrancer::{Config, build, database, fsck::fsck};
use service_kit::{Deadlines, HttpConfig};
use tokio_util::sync::CancellationToken;

const CALLERS: [u8; 3] = [1, 8, 64];

fn main() -> anyhow::Result<()> {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let folder = tempfile::Builder::new().prefix("callers-").tempdir_in("/var/tmp")?;
    // The server runs as another user when this is root.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let cluster = Cluster::start(Settings::new(folder.path().join("cluster"), Durability::Durable))?;
    tokio::runtime::Runtime::new()?.block_on(measure(&cluster, folder.path(), Duration::from_secs(seconds)))
}

async fn measure(cluster: &Cluster, folder: &std::path::Path, time: Duration) -> anyhow::Result<()> {
    println!("{:>8} {:>9} {:>9} {:>9}", "callers", "calls/s", "p50 ms", "p99 ms");
    for callers in CALLERS {
        let name = format!("callers{callers}");
        cluster.create_database(&name).await?;
        let config = Config {
            http: HttpConfig::on_port(0),
            database_url: cluster.url(&name),
            data_dir: folder.join(&name),
            ..Config::default()
        };
        let listener = service_kit::listen(&config.http).await?;
        let url = format!("http://{}/v1/decisions", listener.local_addr()?);
        let shutdown = CancellationToken::new();
        let app = build(config.clone(), shutdown.clone()).await?;
        let service = tokio::spawn(service_kit::serve(listener, app, Deadlines::default(), shutdown.clone()));

        let started = Instant::now();
        let tasks: Vec<_> =
            (0..callers).map(|caller| tokio::spawn(call(url.clone(), caller, started + time))).collect();
        let mut spent = Vec::new();
        for task in tasks {
            spent.extend(task.await??);
        }
        let elapsed = started.elapsed();
        spent.sort_unstable();
        let at = |share: f64| 1e3 * spent[((spent.len() - 1) as f64 * share) as usize].as_secs_f64();
        let rate = spent.len() as f64 / elapsed.as_secs_f64();
        println!("{callers:>8} {rate:>9.0} {:>9.2} {:>9.2}", at(0.5), at(0.99));
        shutdown.cancel();
        _ = service.await?;
        let leaves = fsck(&database::pool(&config)?).await?.leaves;
        anyhow::ensure!(leaves == spent.len() as u64, "{leaves} leaves of {} answers", spent.len());
    }
    Ok(())
}

/// One decision after the other until the time is up: how long each took.
async fn call(url: String, caller: u8, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let client = test_support::http_client();
    let mut spent = Vec::new();
    for sequence in 0.. {
        let body = serde_json::to_vec(&DecisionBatch {
            decisions: vec![decision(caller, sequence)],
            frontier: None,
        })?;
        let started = Instant::now();
        if started >= until {
            break;
        }
        let request = client.post(&url).header("content-type", "application/json").body(body);
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "{status}: {text}");
        spent.push(started.elapsed());
    }
    Ok(spent)
}

fn decision(caller: u8, sequence: u64) -> Decision {
    Decision {
        run: api::Hash([caller; 32]),
        sequence,
        episode: 0,
        step: (sequence / 286) as u32,
        agent: 0,
        tenant: "tenant-a".into(),
        workload: "inference-batch".into(),
        gpu_type: "H100".into(),
        gpu_hours: 2.5,
        action: Action::Route,
        reason: "ok".into(),
        provider: Some("lambda-labs".into()),
        price_usd_per_hour: Some(2.25),
        price_assumed: false,
        latency_ms: Some(41.5),
        cost_usd: Some(5.625),
        reward: 1.75,
        explored: false,
        propensity: 1.0,
        value: Some(1.5),
        policy_version: sequence,
        deferred: false,
        wait_ms: 0.0,
        arm: 0,
    }
}
