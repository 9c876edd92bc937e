//! Every decision and every provider's state as CSV.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use policy::StepReport;
use routing_env::{Environment, Fate, Market};

use crate::files::AtomicFile;

/// The rows of `--decisions`: one a request, in order of arrival.
pub(crate) struct DecisionRows(Rows);

/// The rows of `--steps-out`: one a step and provider, as it was at the step's end.
pub(crate) struct StepRows(Rows);

const DECISION_COLUMNS: [&str; 17] = [
    "step",
    "tenant_id",
    "workload_type",
    "gpu_type",
    "gpu_hours",
    "provider_id",
    "accepted",
    "price_usd_per_hour",
    "latency_ms",
    "reason",
    "cost_usd",
    "reward",
    "deferred",
    "wait_ms",
    "agent",
    "episode",
    "price_assumed",
];

const STEP_COLUMNS: [&str; 9] = [
    "episode",
    "step",
    "provider_id",
    "active",
    "latency_ms",
    "price_multiplier",
    "capacity",
    "remaining",
    "reputation",
];

impl DecisionRows {
    /// Begins the file with its header.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        Rows::create(path, &DECISION_COLUMNS).map(Self)
    }

    /// Writes a step's decisions. Price, latency and cost of a request that was not routed are 0.
    pub(crate) fn write(
        &mut self,
        environment: &Environment,
        episode: u32,
        report: &StepReport,
    ) -> anyhow::Result<()> {
        for decided in &report.decisions {
            let (request, resolution) = (&decided.request, &decided.resolution);
            let routed = resolution.routed();
            let provider = routed.map_or("", |r| environment.catalog().providers[r.provider].id.as_str());
            self.0.write(&[
                &report.step.to_string(),
                &environment.workloads().tenants[request.tenant].id,
                environment.workload_name(request.workload),
                &environment.gpu_types()[request.gpu_type],
                &number(request.hours),
                provider,
                flag(routed.is_some()),
                &number(routed.map_or(0.0, |r| r.price)),
                &number(routed.map_or(0.0, |r| r.latency_ms)),
                reason(&resolution.fate),
                &number(routed.map_or(0.0, |r| r.cost)),
                &number(decided.reward),
                flag(resolution.deferred),
                &number(decided.wait_ms),
                &decided.agent.to_string(),
                &episode.to_string(),
                flag(routed.is_some_and(|r| environment.price_is_assumed(r.provider, request.gpu_type))),
            ])?;
        }
        Ok(())
    }

    /// Makes the file appear.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.0.finish()
    }
}

impl StepRows {
    /// Begins the file with its header.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        Rows::create(path, &STEP_COLUMNS).map(Self)
    }

    /// Writes the providers' state.
    pub(crate) fn write(
        &mut self,
        environment: &Environment,
        episode: u32,
        step: u32,
        market: &Market,
    ) -> anyhow::Result<()> {
        for (provider, state) in environment.catalog().providers.iter().zip(market.providers()) {
            self.0.write(&[
                &episode.to_string(),
                &step.to_string(),
                &provider.id,
                flag(state.active),
                &number(state.latency_ms),
                &number(state.price_multiplier),
                &number(state.capacity),
                &number(state.remaining),
                &number(state.reputation),
            ])?;
        }
        Ok(())
    }

    /// Makes the file appear.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.0.finish()
    }
}

/// Why a request ended as it did, as it stands in decision records.
fn reason(fate: &Fate) -> &'static str {
    match fate {
        Fate::Routed(_) => "ok",
        Fate::Held => "held",
        Fate::NoViableProvider => "no_viable_provider",
        Fate::InfeasibleChoice => "infeasible_choice",
        Fate::Failed => "failed",
    }
}

struct Rows {
    path: PathBuf,
    writer: csv::Writer<AtomicFile>,
}

impl Rows {
    fn create(path: &Path, header: &[&str]) -> anyhow::Result<Self> {
        let writer = csv::Writer::from_writer(AtomicFile::create(path)?);
        let mut rows = Self { path: path.to_owned(), writer };
        rows.write(header)?;
        Ok(rows)
    }

    fn write(&mut self, row: &[&str]) -> anyhow::Result<()> {
        self.writer.write_record(row).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn finish(self) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let mut file = self.writer.into_inner().map_err(|error| error.into_error()).with_context(cannot)?;
        file.flush().with_context(cannot)?;
        file.finish()
    }
}

/// The shortest text that reads back as the same number, with a decimal point: `0.0`, `3.5`.
fn number(value: f64) -> String {
    format!("{value:?}")
}

fn flag(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}
