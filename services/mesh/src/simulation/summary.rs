//! What a simulation came to, with the figures that unmask a policy which games the reward.

use std::fmt::Write as _;

use routing_env::{Environment, Metrics, Tally, Trace};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::output::{figure, table};

/// The summary; its JSON is the answer of `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    policy: String,
    environment: &'static str,
    seed: u64,
    episodes: u32,
    steps: u32,
    /// Where step 0 of the trace begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_begins: Option<String>,
    metrics: Figures,
    fill_by_size: FillBySize,
    worst_tenant_gpu_hours_fill: Option<f64>,
    tenants: Map<String, Value>,
    providers: Map<String, Value>,
}

/// The figures of some requests. A figure without data is null.
#[derive(Debug, Serialize)]
struct Figures {
    requests: u64,
    routed: u64,
    held: u64,
    fill_rate: Option<f64>,
    gpu_hours_fill: Option<f64>,
    avg_cost_usd: Option<f64>,
    cost_per_gpu_hour_usd: Option<f64>,
    cost_index: Option<f64>,
    avg_latency_ms: Option<f64>,
    deferred_share: Option<f64>,
    reward: Option<f64>,
    seed_reward: Option<f64>,
}

#[derive(Debug, Serialize)]
struct FillBySize {
    under_3h: Option<f64>,
    from_3h_to_6h: Option<f64>,
    from_6h: Option<f64>,
}

/// A provider's share of the routed requests and what was paid to it.
#[derive(Debug, Serialize)]
struct ProviderFigures {
    routed: u64,
    share: Option<f64>,
    gpu_hours: f64,
    cost_usd: f64,
    avg_latency_ms: Option<f64>,
}

impl Summary {
    /// The summary of all episodes together.
    pub(crate) fn new(
        policy: &str,
        environment: &Environment,
        seed: u64,
        episodes: u32,
        trace: Option<&Trace>,
        metrics: &Metrics,
    ) -> Self {
        let tenants = environment.workloads().tenants.iter().zip(&metrics.tenants);
        let providers = environment.catalog().providers.iter().zip(&metrics.providers);
        let routed = metrics.overall.routed;
        Self {
            policy: policy.into(),
            environment: environment.preset().name(),
            seed,
            episodes,
            steps: trace.map_or(environment.steps(), Trace::steps),
            trace_begins: trace.map(|trace| trace.origin().to_string()),
            metrics: Figures::of(&metrics.overall),
            fill_by_size: FillBySize {
                under_3h: metrics.sizes[0].fill_rate(),
                from_3h_to_6h: metrics.sizes[1].fill_rate(),
                from_6h: metrics.sizes[2].fill_rate(),
            },
            worst_tenant_gpu_hours_fill: metrics.worst_tenant_gpu_hours_fill(),
            tenants: tenants.map(|(t, tally)| (t.id.clone(), value(&Figures::of(tally)))).collect(),
            providers: providers
                .map(|(p, tally)| (p.id.clone(), value(&ProviderFigures::of(tally, routed))))
                .collect(),
        }
    }

    /// The summary for people.
    pub(crate) fn tables(&self) -> String {
        let mut text = format!(
            "{} on {}: {} episode(s) of {} steps from seed {}\n",
            self.policy, self.environment, self.episodes, self.steps, self.seed
        );
        let of = |tally: &Value, name: &str, decimals| figure(tally[name].as_f64(), decimals);
        let row = |name: &str, tally: &Value| {
            vec![
                name.to_owned(),
                tally["requests"].to_string(),
                of(tally, "fill_rate", 3),
                of(tally, "gpu_hours_fill", 3),
                of(tally, "cost_per_gpu_hour_usd", 3),
                of(tally, "cost_index", 3),
                of(tally, "avg_latency_ms", 1),
                of(tally, "deferred_share", 3),
                of(tally, "reward", 3),
            ]
        };
        let header = [
            "",
            "requests",
            "fill",
            "GPU-h fill",
            "$/GPU-h",
            "cost index",
            "latency ms",
            "deferred",
            "reward",
        ];
        let overall = value(&self.metrics);
        let rows = std::iter::once(row("all", &overall))
            .chain(self.tenants.iter().map(|(name, tally)| row(name, tally)));
        // writing to a String cannot fail
        let _ = writeln!(text, "{}", table(&header, rows));
        let providers = self.providers.iter().map(|(name, p)| {
            vec![name.clone(), of(p, "share", 3), of(p, "gpu_hours", 1), of(p, "cost_usd", 2)]
        });
        let _ = writeln!(text, "{}", table(&["provider", "share", "GPU-hours", "paid $"], providers));
        let _ = write!(
            text,
            "Fill by job size: {} below 3 GPU-hours, {} from 3 to 6, {} from 6 on. Worst tenant's GPU-hours fill: {}. \
             $ per request: {}.",
            figure(self.fill_by_size.under_3h, 3),
            figure(self.fill_by_size.from_3h_to_6h, 3),
            figure(self.fill_by_size.from_6h, 3),
            figure(self.worst_tenant_gpu_hours_fill, 3),
            figure(self.metrics.avg_cost_usd, 3),
        );
        text
    }
}

impl Figures {
    fn of(tally: &Tally) -> Self {
        Self {
            requests: tally.requests,
            routed: tally.routed,
            held: tally.held,
            fill_rate: tally.fill_rate(),
            gpu_hours_fill: tally.gpu_hours_fill(),
            avg_cost_usd: tally.avg_cost_usd(),
            cost_per_gpu_hour_usd: tally.cost_per_gpu_hour_usd(),
            cost_index: tally.cost_index(),
            avg_latency_ms: tally.avg_latency_ms(),
            deferred_share: tally.deferred_share(),
            reward: tally.avg_reward(),
            seed_reward: tally.seed_reward(),
        }
    }
}

impl ProviderFigures {
    fn of(tally: &Tally, routed: u64) -> Self {
        Self {
            routed: tally.routed,
            share: (routed > 0).then(|| tally.routed as f64 / routed as f64),
            gpu_hours: tally.hours_served,
            cost_usd: tally.cost_usd,
            avg_latency_ms: tally.avg_latency_ms(),
        }
    }
}

/// Numbers and text always have a JSON value.
fn value(figures: &impl Serialize) -> Value {
    serde_json::to_value(figures).unwrap_or_default()
}
