//! A deployment's records and decisions, in the log's order, as its market and its policies go through them again.

use std::collections::HashMap;

use api::{
    policies::{Outcome as Happened, ProviderNow, TenantNow},
    remembrancer::{Action as Acted, Decision, Record},
};
use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use client::{Entry, LedgerError, body_of};
use evaluation::off_policy::replay::{Action, Impossible, Logged, Outcome, Replay, Terms};
use policy::Exploration;
use records::{
    Body,
    deployments::{Created, Inputs, Market, Opened, Outcome as Told, Special, WindowEnded, subject},
};
use routing_env::{Environment, ProviderState, Request};
use tokio_util::sync::CancellationToken;

use super::{Prepared, Read};

/// The reason of a decision to let a request wait for the end of its window.
const DEFERRED: &str = "deferred";

/// Why a log cannot be judged from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingError {
    /// The remembrancer is away or refuses.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log says what cannot have been.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// A record or a decision names what the deployment's environment does not have.
    #[error("{0}")]
    Unknown(String),
}

/// Reads one deployment's log.
pub(crate) struct Reader {
    pub(crate) ledger: client::Ledger,
    /// Leaves from there on are not read.
    pub(crate) log_size: u64,
    pub(crate) stop: CancellationToken,
}

impl Reader {
    /// All that policies are judged from; `None` when it was stopped.
    ///
    /// # Errors
    /// The remembrancer refuses, or the log says what cannot have been.
    pub(crate) async fn read(&self, prepared: &Prepared) -> Result<Option<Read>, ReadingError> {
        let Prepared { created, env, first_leaf, .. } = prepared;
        let mut events = Events {
            replay: replay(prepared),
            env: env.clone(),
            windows: Windows::of(created),
            inputs: HashMap::new(),
            special: HashMap::new(),
        };
        let mut history = self.ledger.history(subject(created.deployment_id), created.digest, None);
        let mut last_leaf = *first_leaf;
        while !self.stop.is_cancelled() {
            let next = history.next().await?.filter(|entry| entry.log_index() < self.log_size);
            let Some(entry) = next else {
                return Ok(Some(Read { situations: events.replay.situations(), last_leaf }));
            };
            last_leaf = last_leaf.max(entry.log_index());
            match entry {
                Entry::Record(record) => events.record(&record)?,
                Entry::Decision(row) => events.decision(&row.decision)?,
            }
        }
        Ok(None)
    }
}

/// The log before anything is read.
fn replay(prepared: &Prepared) -> Replay {
    let Prepared { created, env, rewards, own, others, .. } = prepared;
    let windows = Windows::of(created);
    let (epsilon, cost_guard) =
        created.settings.explore.map_or((0.0, 0.0), |explore| (explore.epsilon, explore.cost_guard));
    let terms = Terms {
        hold_windows: windows.of_seconds(created.settings.hold_seconds.unwrap_or(windows.step_seconds)),
        outcome_windows: windows.of_seconds(created.settings.outcome_deadline_seconds),
        exploration: Exploration::new(0, epsilon, cost_guard), // nothing is drawn again
        rewards: rewards.clone(),
    };
    // as the trainer has it: what is random in the policy is drawn from the stream's digest
    let [a, b, c, d, e, f, g, h, ..] = created.digest.0;
    let seed = u64::from_be_bytes([a, b, c, d, e, f, g, h]) & api::MAX_SAFE_INTEGER;
    let others = others.iter().map(|other| other.swarm.clone()).collect();
    Replay::new(env.clone(), terms, own.swarm.clone(), others, (seed, windows.hour_of_week(0)))
}

/// When a deployment's windows begin.
#[derive(Clone, Copy)]
struct Windows {
    starts_at: DateTime<Utc>,
    step_seconds: u32,
}

impl Windows {
    fn of(created: &Created) -> Self {
        let settings = &created.settings;
        Self { starts_at: settings.starts_at.unwrap_or_default(), step_seconds: settings.step_seconds }
    }

    fn of_seconds(self, seconds: u32) -> u32 {
        seconds.div_ceil(self.step_seconds)
    }

    fn hour_of_week(self, window: u32) -> u32 {
        let start = self.starts_at + TimeDelta::seconds(i64::from(window) * i64::from(self.step_seconds));
        start.weekday().num_days_from_monday() * 24 + start.hour()
    }
}

/// What happened, one after the other.
struct Events {
    replay: Replay,
    env: Environment,
    windows: Windows,
    /// By the sequence number of the first decision.
    inputs: HashMap<u64, Inputs>,
    /// What is special about requests that come next, by their decisions.
    special: HashMap<u64, Special>,
}

impl Events {
    fn record(&mut self, record: &Record) -> Result<(), ReadingError> {
        if record.kind.as_str() == Opened::KIND.name {
            self.inputs.clear(); // what was asked for and not decided was never answered
        } else if let Some(inputs) = body_of::<Inputs>(record) {
            self.inputs.insert(inputs.first_sequence, inputs);
        } else if let Some(market) = body_of::<Market>(record) {
            self.hear_market(&market.providers, &market.tenants)?;
        } else if let Some(told) = body_of::<Told>(record) {
            let Happened { succeeded, latency_ms, cost_usd, gpu_hours_used, .. } = told.outcome;
            self.replay.hear(told.sequence, &Outcome { succeeded, latency_ms, cost_usd, gpu_hours_used });
        } else if let Some(window) = body_of::<WindowEnded>(record)
            && window.number == self.replay.window().number()
            && window.next > window.number
        {
            self.replay.begin_window(window.next, self.windows.hour_of_week(window.next));
        }
        Ok(())
    }

    fn decision(&mut self, decision: &Decision) -> Result<(), ReadingError> {
        if let Some(inputs) = self.inputs.remove(&decision.sequence) {
            if inputs.has_settled {
                self.replay.settle();
            }
            self.hear_market(&inputs.providers, &inputs.tenants)?;
            let first = inputs.first_sequence;
            self.special.extend(inputs.requests.into_iter().map(|special| (first + special.offset, special)));
        }
        let special = self.special.remove(&decision.sequence).unwrap_or_default();
        let logged = self.logged(decision, &special)?;
        Ok(self.replay.decide(&logged)?)
    }

    fn logged(&self, decision: &Decision, special: &Special) -> Result<Logged, ReadingError> {
        let action = match (decision.action, &decision.provider) {
            (Acted::Route, Some(provider)) => Action::Routed {
                provider: self.provider(provider)?,
                price: decision.price_usd_per_hour.unwrap_or_default(),
                latency_ms: decision.latency_ms.unwrap_or_default(),
            },
            (Acted::Hold, _) if decision.reason == DEFERRED => Action::Deferred,
            (Acted::Hold, _) => Action::Held,
            (Acted::Drop | Acted::Route, _) => Action::Dropped,
        };
        Ok(Logged {
            sequence: decision.sequence,
            request: self.request(decision, special)?,
            retry_of: special.retry_of,
            waited_ms: decision.deferred.then_some(decision.wait_ms),
            action,
            explored: decision.explored,
            propensity: decision.propensity,
        })
    }

    fn request(&self, decision: &Decision, special: &Special) -> Result<Request, ReadingError> {
        let workloads = self.env.workloads();
        let unknown = |what: &str, name: &str| {
            ReadingError::Unknown(format!(
                "the decision {} names the {what} `{name}`, which the deployment's \
                                           environment does not have",
                decision.sequence
            ))
        };
        let tenant = workloads.tenants.iter().position(|tenant| tenant.id == decision.tenant);
        let tenant = tenant.ok_or_else(|| unknown("tenant", &decision.tenant))?;
        let workload = workloads.workload_profiles.iter().position(|(name, _)| name == decision.workload);
        let workload = workload.ok_or_else(|| unknown("workload", &decision.workload))?;
        let gpu_type = self.env.gpu_types().iter().position(|gpu| *gpu == decision.gpu_type);
        let gpu_type = gpu_type.ok_or_else(|| unknown("GPU type", &decision.gpu_type))?;
        let mut request = Request::of_tenant(&self.env, tenant, workload, gpu_type, decision.gpu_hours);
        request.max_latency_ms = special.max_latency_ms.unwrap_or(request.max_latency_ms);
        request.min_reputation = special.min_reputation.unwrap_or(request.min_reputation);
        Ok(request)
    }

    fn provider(&self, id: &str) -> Result<usize, ReadingError> {
        let found = self.env.catalog().providers.iter().position(|provider| provider.id == id);
        found.ok_or_else(|| {
            ReadingError::Unknown(format!(
                "a record names the provider `{id}`, which the deployment's environment does not have"
            ))
        })
    }

    /// What was said of the market. Where a capacity changes and nothing is said of what is left of it, what was taken stays
    /// taken.
    fn hear_market(&mut self, providers: &[ProviderNow], tenants: &[TenantNow]) -> Result<(), ReadingError> {
        let mut states = Vec::with_capacity(providers.len());
        for now in providers {
            let provider = self.provider(&now.id)?;
            let before = self.replay.window().market().providers()[provider];
            let capacity = now.capacity_gpu_hours.unwrap_or(before.capacity);
            let left = (before.remaining + capacity - before.capacity).clamp(0.0, capacity);
            let state = ProviderState {
                active: now.available.unwrap_or(before.active),
                latency_ms: now.latency_ms.unwrap_or(before.latency_ms),
                price_multiplier: now.price_multiplier.unwrap_or(before.price_multiplier),
                reputation: now.reputation.unwrap_or(before.reputation),
                capacity,
                remaining: now.remaining_gpu_hours.unwrap_or(left),
            };
            states.push((provider, state));
        }
        let known = &self.env.workloads().tenants;
        let budget = |now: &TenantNow| {
            let tenant = known.iter().position(|tenant| tenant.id == now.id)?;
            Some((tenant, now.remaining_budget_usd))
        };
        let budgets: Vec<_> = tenants.iter().filter_map(budget).collect();
        self.replay.hear_market(&states, &budgets);
        Ok(())
    }
}
