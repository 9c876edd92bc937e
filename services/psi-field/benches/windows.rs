//! How long windows of 100 agents take over loopback at a steady rate, and what 1,000 swarms take in memory.
//!
//! `cargo bench -p psi-field --bench windows -- [windows a second] [seconds]` (default 2,000 for 20 s).
//!
//! The service runs in this process without a remembrancer; the windows are sent when they are due, whether or not those before
//! were answered, and each is timed from when it was due: a queue is part of the time (Tene, "How NOT to Measure Latency"). Whoever
//! sends them sleeps on a thread of its own, because the runtime's timer is late by a millisecond.

#![allow(clippy::print_stdout)] // its output is what it is for

use std::time::{Duration, Instant};

use psi_field::{Config, build};
use rand::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use service_kit::{Deadlines, HttpConfig};
use tokio_util::sync::CancellationToken;

const SWARMS: u64 = 1000;
const AGENTS: u32 = 100;
/// Bodies are made before, and so many differ.
const NOISES: u64 = 64;

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let rate = numbers.first().copied().unwrap_or(2000);
    let seconds = numbers.get(1).copied().unwrap_or(20);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(measure(rate, seconds));
}

async fn measure(rate: u64, seconds: u64) {
    let config = Config {
        http: HttpConfig { max_concurrent_requests: 4096, ..HttpConfig::on_port(0) },
        ..Config::default()
    };
    let listener = service_kit::listen(&config.http).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let shutdown = CancellationToken::new();
    let app = build(config, shutdown.clone()).await.expect("the service");
    let service = tokio::spawn(service_kit::serve(listener, app, Deadlines::default(), shutdown.clone()));

    let before = resident_bytes();
    let client = test_support::http_client();
    let agents: Vec<String> = (0..NOISES).map(agents).collect();
    let all = rate * seconds;
    let (runtime, to) = (tokio::runtime::Handle::current(), (client.clone(), url.clone()));
    let sending = std::thread::spawn(move || {
        let begun = Instant::now();
        let window = |n: u64| {
            let due = begun + Duration::from_secs_f64(n as f64 / rate as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // each swarm gets its windows in order, one after the other
            let (swarm, number) = (n % SWARMS, n / SWARMS);
            let body = format!(
                r#"{{"number": {number}, "agents": {}, "swarm": {{"fill_rate": 0.97, "provider_shares": [0.5, 0.3, 0.2]}}}}"#,
                agents[((n * 7 + number) % NOISES) as usize]
            );
            let request = to.0.post(format!("{}/v1/swarms/s{swarm}/windows", to.1));
            let request = request.header("content-type", "application/json").body(body);
            runtime.spawn(async move {
                let answer = request.send().await.expect("an answer");
                let status = answer.status();
                let text = answer.text().await.expect("its body");
                assert!(status.is_success(), "{status}: {text}");
                due.elapsed()
            })
        };
        (0..all).map(window).collect::<Vec<_>>()
    });
    let tasks = tokio::task::spawn_blocking(|| sending.join().expect("it sends")).await.expect("it ends");
    let mut spent = Vec::with_capacity(tasks.len());
    for task in tasks {
        spent.push(task.await.expect("a window"));
    }
    spent.sort_unstable();
    let at = |share: f64| 1e3 * spent[((spent.len() - 1) as f64 * share) as usize].as_secs_f64();
    println!("windows of {AGENTS} agents, {SWARMS} swarms, {rate}/s for {seconds} s");
    println!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", at(0.5), at(0.99), at(0.999));
    let metrics =
        client.get(format!("{url}/metrics")).send().await.expect("metrics").text().await.expect("text");
    let told = metrics.lines().find_map(|line| line.strip_prefix("psi_field_swarm_bytes ")).unwrap_or("?");
    let inside = metrics
        .lines()
        .filter(|line| line.starts_with("psi_field_window_seconds_bucket"))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse::<f64>().ok()?)));
    for (name, count) in inside.take(7) {
        println!("{name}: {:.2} %", 100.0 * count / all as f64);
    }
    println!(
        "memory of {} windows a swarm: {:.0} MB resident, {told} bytes by its own account",
        all / SWARMS,
        (resident_bytes() - before) as f64 / 1e6
    );
    shutdown.cancel();
    service.await.expect("it ends").expect("well");
}

/// The agents of a window, with noise of its own.
fn agents(seed: u64) -> String {
    let mut generator = Pcg64::seed_from_u64(seed);
    let mut noise = move || -> f64 { StandardNormal.sample(&mut generator) };
    let agent = |agent: u32| -> Value {
        json!({"agent": agent, "mean_reward": 40.0 + noise(), "mean_abs_td_error": 2.0 + 0.1 * noise(), "epsilon": 0.1,
            "q_table_size": 1234, "decisions": 3})
    };
    Value::Array((0..AGENTS).map(agent).collect()).to_string()
}

/// What this process holds in memory (Linux).
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
