//! How long a witness takes until a cosignature is on the disk: `cargo bench -p remembrancer --bench cosign`.
//!
//! A remembrancer with a PostgreSQL of its own, on this machine's disk and with its usual durability, is asked over HTTP for
//! the cosignatures of a log that grows, one request after the other on one connection, and then by eight logs at once. What
//! is printed is the time from sending a request to its answer.

#![allow(clippy::print_stdout)] // its output is what it is for

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use embedded_postgres::{Cluster, Durability, Settings};
use merkle_log::{
    Frontier, Hash, checkpoint::Checkpoint, leaf_hash, note::NoteSigner, proof::consistency_ranges,
    witness::AddCheckpoint,
};
use remembrancer::{Config, build};
use service_kit::HttpConfig;
use tokio_util::sync::CancellationToken;

/// Checkpoints of each log.
const CHECKPOINTS: u64 = 500;

/// Logs at once in the second part.
const LOGS: u64 = 8;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("cosign-").tempdir_in("/var/tmp")?;
    // The server runs as another user when this is root.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let cluster = Cluster::start(Settings::new(folder.path().join("cluster"), Durability::Durable))?;
    tokio::runtime::Runtime::new()?.block_on(measure(&cluster, folder.path()))
}

async fn measure(cluster: &Cluster, folder: &std::path::Path) -> anyhow::Result<()> {
    cluster.create_database("ai_mesh").await?;
    let signers: Vec<NoteSigner> = (0..=LOGS)
        .map(|log| NoteSigner::new(&format!("measure/{log}"), &[1; 32]))
        .collect::<Result<_, _>>()?;
    let config = Config {
        http: HttpConfig::on_port(0),
        database_url: cluster.url("ai_mesh"),
        data_dir: folder.join("remembrancer"),
        witness_logs: signers.iter().map(|signer| signer.verifier_key().to_string()).collect(),
        ..Config::default()
    };
    let listener = service_kit::listen(&config.http).await?;
    let url = format!("http://{}/witness/add-checkpoint", listener.local_addr()?);
    let (stop, deadlines) = (CancellationToken::new(), config.http.deadlines());
    let app = build(config, stop.clone()).await?;
    let served = tokio::spawn(service_kit::serve(listener, app, deadlines, stop.clone()));

    println!("| what | checkpoints | median | p99 | slowest |\n|---|---|---|---|---|");
    let begun = Instant::now();
    let one = feed(&url, &signers[0]).await?;
    tell("one log, one request after the other", &one, begun.elapsed());
    let begun = Instant::now();
    let feeds = signers[1..].iter().map(|signer| {
        let (url, signer) = (url.clone(), signer.clone());
        tokio::spawn(async move { feed(&url, &signer).await })
    });
    let mut all = Vec::new();
    for fed in feeds.collect::<Vec<_>>() {
        all.extend(fed.await??);
    }
    tell(&format!("{LOGS} logs at once"), &all, begun.elapsed());

    stop.cancel();
    served.await??;
    Ok(())
}

/// Lets a log grow leaf by leaf, and has each of its checkpoints cosigned.
async fn feed(url: &str, signer: &NoteSigner) -> anyhow::Result<Vec<Duration>> {
    let http = test_support::http_client_builder().no_proxy().tls_certs_only([]).build()?;
    let leaves: Vec<Hash> = (0..CHECKPOINTS).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let root = |leaves: &[Hash]| {
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        frontier.root()
    };
    let mut times = Vec::new();
    for size in 1..=CHECKPOINTS {
        let checkpoint =
            Checkpoint { origin: signer.name().into(), size, root: root(&leaves[..size as usize]) };
        let ranges = consistency_ranges(size - 1, size).unwrap_or_default();
        let proof = ranges.iter().map(|range| root(&leaves[range.start as usize..range.end as usize]));
        let request = AddCheckpoint {
            old: size - 1,
            proof: proof.collect(),
            checkpoint: checkpoint.sign(signer).context("a checkpoint")?,
        };
        let body = request.to_text();
        let begun = Instant::now();
        let answer = http.post(url).body(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        times.push(begun.elapsed());
        if status != 200 {
            bail!("{status}: {text}");
        }
    }
    Ok(times)
}

fn tell(what: &str, times: &[Duration], took: Duration) {
    let mut times = times.to_vec();
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "| {what} | {} ({:.0}/s) | {:.2} ms | {:.2} ms | {:.2} ms |",
        times.len(),
        times.len() as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
