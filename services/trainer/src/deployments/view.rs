//! What callers see of a deployment.

use api::{
    Hash, Page,
    deployments::{DeploymentStream, DeploymentWindow, OpenDecision, OutcomeCounts, ProviderLeft},
    policies::TenantNow,
    remembrancer::{Decision, LeafQuery, Receipt},
};
use client::Ledger;
use records::deployments::WindowEnded;
use uuid::Uuid;

use super::{DeployError, engine::Engine, lifecycle::Lifecycle, steps::Steps};
use crate::policies::identity::decision_id;

/// Where a stream stands.
pub(super) fn stream(engine: &Engine, lifecycle: &Lifecycle) -> DeploymentStream {
    let (window, schedule, counts) = (engine.window(), engine.schedule(), engine.counts());
    let market = window.market();
    let mut open = vec![0; market.providers().len()];
    engine.open_jobs().for_each(|(_, job)| open[job.provider] += 1);
    let providers = engine.env().catalog().providers.iter().zip(market.providers()).zip(&open);
    let tenants = engine.env().workloads().tenants.iter().zip(market.budgets());
    DeploymentStream {
        window: DeploymentWindow {
            number: window.number(),
            starts_at: schedule.starts_at(window.number()),
            ends_at: schedule.ends_at(window.number()),
            has_settled: window.has_settled(),
        },
        decisions: engine.next_sequence(),
        waiting: window.waiting().len() as u64,
        outcomes: OutcomeCounts {
            succeeded: counts.succeeded,
            failed: counts.failed,
            open: open.iter().sum(),
            missing: counts.missing,
        },
        providers: providers
            .map(|((provider, state), open)| ProviderLeft {
                id: provider.id.clone(),
                available: state.active,
                capacity_gpu_hours: state.capacity,
                remaining_gpu_hours: state.remaining,
                open_jobs: *open,
            })
            .collect(),
        tenants: tenants
            .map(|(tenant, budget)| TenantNow { id: tenant.id.clone(), remaining_budget_usd: *budget })
            .collect(),
        champion: engine.arms().champion() as u32, // of few
        challengers: lifecycle.challengers(engine),
        promises: None,
        heard: engine.steps().and_then(Steps::others).cloned(),
        state_sha256: engine.state_sha256(),
    }
}

/// The record of a window that has ended, now that the next one has begun.
pub(super) fn ended(deployment_id: Uuid, number: u32, engine: &Engine) -> WindowEnded {
    let counts = engine.counts();
    WindowEnded {
        deployment_id,
        number,
        next: engine.window().number(),
        decisions: engine.next_sequence(),
        succeeded: counts.succeeded,
        failed: counts.failed,
        missing: counts.missing,
        state_sha256: engine.state_sha256(),
        checkpoint_sha256: None,
    }
}

/// Decisions that lack an outcome, the oldest first, after this one.
pub(super) fn open_decisions(engine: &Engine, after: Option<u64>, limit: usize) -> Page<OpenDecision> {
    let later = engine.open_jobs().filter(|(sequence, _)| after.is_none_or(|after| *sequence > after));
    let mut items: Vec<_> = later
        .take(limit + 1)
        .map(|(sequence, job)| OpenDecision {
            id: decision_id(&engine.run(), sequence),
            sequence,
            window: job.window,
            provider: engine.env().catalog().providers[job.provider].id.clone(),
            tenant: engine.env().workloads().tenants[job.tenant].id.clone(),
            gpu_hours: job.hours,
            missing_at: engine.schedule().missing_at(job.window),
        })
        .collect();
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| has_more).map(|last| last.sequence.to_string());
    Page { items, next_cursor }
}

/// Where a decision stands in the log, by the receipts of its batch.
pub(super) fn log_index(receipts: &[Receipt], decision: &Decision) -> u64 {
    let found = receipts.iter().find_map(|receipt| {
        let offset = decision.sequence.checked_sub(receipt.first_sequence)?;
        (offset < receipt.count).then_some(receipt.first_log_index + offset)
    });
    found.unwrap_or_default() // the ledger's receipts cover what it was sent
}

/// A decision in the ledger, if it is there.
pub(super) async fn decision(
    ledger: &Ledger,
    run: Hash,
    sequence: u64,
) -> Result<Option<Decision>, DeployError> {
    let leaf = LeafQuery { run: Some(run), sequence: Some(sequence), ..LeafQuery::default() };
    let evidence = ledger.evidence(&leaf).await.map_err(|error| DeployError::away(&error))?;
    let Some(evidence) = evidence else { return Ok(None) };
    let read = serde_json::from_str(evidence.record.get());
    read.map(Some).map_err(|error| DeployError::Internal(error.to_string()))
}
