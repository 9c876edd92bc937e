//! Decisions a second, and how long a call takes, of callers that ask a deployment for one decision a call, or for so many: in a
//! deployment that answers once the ledger has them, and in one that promises them.
//!
//! `cargo run --release -p trainer --example callers -- [--trainer URL] [--seconds 4] [--callers 1,8,64] [--requests 1]`, beside
//! `mesh up`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::{Duration, Instant};

use api::{
    deployments::{DeployedRequest, DeploymentRequest, Durability, NewDeployment},
    policies::{NewPolicy, RoutingRequest},
    trainer::EnvironmentSpec,
};
use client::{Endpoint, Trainer};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (mut url, mut seconds, mut callers) = ("http://127.0.0.1:8001".to_owned(), 4, vec![1, 8, 64]);
    let mut requests = 1;
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag}: expected a value"))?;
        match flag.as_str() {
            "--trainer" => url = value,
            "--seconds" => seconds = value.parse()?,
            "--requests" => requests = value.parse()?,
            "--callers" => callers = value.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?,
            _ => return Err(format!("{flag}: there is no such flag").into()),
        }
    }
    let trainer = Trainer::new(Endpoint::new(&url))?;
    let environment = EnvironmentSpec { preset: Some("default".into()), ..EnvironmentSpec::default() };
    let policy = NewPolicy { rule: Some("cheapest".into()), environment, ..NewPolicy::default() };
    let policy_id = trainer.import_policy(&policy).await?.id;
    println!("{:<10} {:>8} {:>12} {:>9} {:>9}", "durability", "callers", "decisions/s", "p50 ms", "p99 ms");
    for (durability, name) in [(Durability::Ledger, "ledger"), (Durability::Promise, "promise")] {
        for callers in &callers {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
            let deployment: NewDeployment = serde_json::from_value(serde_json::json!({
                "name": format!("callers-{name}-{callers}-{now}"), "policy_id": policy_id, "durability": durability
            }))?;
            trainer.deploy(&deployment).await?;
            let time = Duration::from_secs(seconds);
            measure(&trainer, &deployment.name, (name, *callers, requests), time).await?;
            trainer.stop_deployment(&deployment.name, None).await?;
        }
    }
    Ok(())
}

async fn measure(
    trainer: &Trainer,
    deployment: &str,
    (durability, callers, requests): (&str, usize, usize),
    time: Duration,
) -> Result<(), Error> {
    let asked = RoutingRequest {
        tenant: "tenant-research".into(),
        workload: "llm_inference".into(),
        gpu_hours: 1e-6,
        ..RoutingRequest::default()
    };
    let request = DeployedRequest { request: asked, ..DeployedRequest::default() };
    let call = DeploymentRequest { requests: vec![request; requests], ..DeploymentRequest::default() };
    trainer.ask_deployment(deployment, &call, None).await?; // it is opened
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (trainer, deployment, call) = (trainer.clone(), deployment.to_owned(), call.clone());
            tokio::spawn(async move {
                let mut spent = Vec::new();
                while begun.elapsed() < time {
                    let asked = Instant::now();
                    trainer.ask_deployment(&deployment, &call, None).await?;
                    spent.push(asked.elapsed());
                }
                Ok::<_, client::ClientError>(spent)
            })
        })
        .collect();
    let mut spent = Vec::new();
    for task in tasks {
        spent.extend(task.await??);
    }
    let rate = (spent.len() * requests) as f64 / begun.elapsed().as_secs_f64();
    spent.sort_unstable();
    let at = |share: f64| 1e3 * spent[((spent.len() - 1) as f64 * share) as usize].as_secs_f64();
    println!("{durability:<10} {callers:>8} {rate:>12.0} {:>9.2} {:>9.2}", at(0.5), at(0.99));
    Ok(())
}
