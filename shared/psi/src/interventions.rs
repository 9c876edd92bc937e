use std::collections::{BTreeMap, VecDeque};

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    assessment::welch,
    intervention::{
        Assessment, Intervention, InterventionKind, InterventionParameters, InterventionRecord,
        InterventionStatus,
    },
    numbers::{COUNT_LIMIT, LIMIT, all_within, each_is_valid},
    settings::Settings,
    window::Trial,
};

/// So many interventions are kept in full; the oldest that are done with go first. Of those that are not, none ever goes:
/// when there is no room for another one, there is none.
const MOST_KEPT: usize = 1000;
/// An acknowledged intervention is assessed once there are enough windows with a reward. When so many times as many windows
/// bring too few, it stays without an assessment.
const WINDOWS_PER_REWARD: u64 = 10;
/// Operators may have so many on the way at once.
const MOST_PENDING: usize = 100;
/// The namespace of all ids of interventions (UUIDv5, RFC 9562, 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_7a2e_0b0c_5d54_9a55_3f0c_7d5e_11a9);

/// An intervention with what its assessment needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Tracked {
    #[garde(skip)]
    sequence: u64,
    #[garde(skip)]
    record: InterventionRecord,
    #[garde(inner(range(min = -LIMIT, max = LIMIT)))]
    before: Vec<f64>,
    #[garde(inner(range(min = -LIMIT, max = LIMIT)))]
    after: Vec<f64>,
    /// Nothing more will happen to it.
    #[garde(skip)]
    done: bool,
}

/// A swarm's interventions from issue to assessment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Interventions {
    #[garde(range(max = COUNT_LIMIT))]
    issued: u64,
    #[garde(skip)]
    last_issued_at: Option<u64>,
    #[garde(custom(|tracked: &VecDeque<Tracked>, (): &()| each_is_valid(tracked)))]
    tracked: VecDeque<Tracked>,
    /// The swarm's last rewards, as many as an assessment needs.
    #[garde(custom(|rewards: &VecDeque<f64>, (): &()| all_within(LIMIT, rewards)))]
    rewards: VecDeque<f64>,
    /// Operators' interventions on their way, by the window whose answer will carry them.
    #[garde(skip)]
    pending: BTreeMap<u64, Vec<Intervention>>,
}

/// What the field wants done, before it has an identity.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What to do.
    pub kind: InterventionKind,
    /// For which agents.
    pub targets: Vec<u32>,
    /// Why.
    pub reason: String,
    /// The figures behind it.
    pub evidence: Map<String, Value>,
}

/// Why an acknowledgement or an operator's intervention was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterventionError {
    /// The swarm acknowledges what it was never sent.
    #[error("intervention {0} was never issued to this swarm; acknowledge only ids from its answers")]
    Unknown(Uuid),
    /// The next window already carries another one of that kind.
    #[error(
        "the answer to window {window} already carries another {kind} issued by hand ({id}); wait until it was delivered"
    )]
    Pending {
        /// The window whose answer carries it.
        window: u64,
        /// Its kind.
        kind: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// The operator's key stands for another intervention.
    #[error(
        "the idempotency key was used before, for another intervention ({0}); use a new key for a new one"
    )]
    KeyReused(Uuid),
    /// Too many are on the way.
    #[error("{MOST_PENDING} interventions wait for delivery already; post windows first")]
    TooMany,
    /// Too many are not done with.
    #[error(
        "{MOST_KEPT} interventions are neither assessed nor expired yet; post windows, which acknowledge them or let them expire"
    )]
    TooManyOpen,
}

impl Interventions {
    /// Takes a window's acknowledgements, and what trying interventions came to: the effect of one that was tried is known at
    /// once, whether it was applied or not.
    ///
    /// # Errors
    /// [`InterventionError::Unknown`] for an id that was never issued; then nothing is taken.
    pub(crate) fn acknowledge(
        &mut self,
        window: u64,
        applied: &[Uuid],
        trials: &[Trial],
    ) -> Result<Vec<InterventionRecord>, InterventionError> {
        let untried = trials.iter().filter(|trial| trial.adopted && trial.effect.is_none());
        let ids: Vec<Uuid> = applied.iter().copied().chain(untried.map(|trial| trial.intervention)).collect();
        let told = trials.iter().map(|trial| trial.intervention).chain(ids.iter().copied());
        let is_unknown = |id: &Uuid| !self.tracked.iter().any(|t| t.record.intervention.id == *id);
        if let Some(id) = told.into_iter().find(is_unknown) {
            return Err(InterventionError::Unknown(id));
        }
        let mut changed = self.judge(window, trials);
        let before: Vec<f64> = self.rewards.iter().copied().collect();
        for tracked in &mut self.tracked {
            // Said twice, or after its time: it stands as it stood.
            if tracked.record.status == InterventionStatus::Issued
                && ids.contains(&tracked.record.intervention.id)
            {
                tracked.record.status = InterventionStatus::Acknowledged;
                tracked.record.acknowledged_at_window = Some(window);
                tracked.before.clone_from(&before);
                changed.push(tracked.record.clone());
            }
        }
        Ok(changed)
    }

    fn judge(&mut self, window: u64, trials: &[Trial]) -> Vec<InterventionRecord> {
        let mut changed = Vec::new();
        for trial in trials.iter().filter(|trial| !trial.adopted || trial.effect.is_some()) {
            let waits = |t: &&mut Tracked| {
                t.record.intervention.id == trial.intervention
                    && t.record.status == InterventionStatus::Issued
            };
            let Some(tracked) = self.tracked.iter_mut().find(waits) else { continue };
            let record = &mut tracked.record;
            record.status =
                if trial.adopted { InterventionStatus::Assessed } else { InterventionStatus::Declined };
            record.acknowledged_at_window = trial.adopted.then_some(window);
            record.effect.clone_from(&trial.effect);
            tracked.done = true;
            changed.push(record.clone());
        }
        changed
    }

    /// Takes the window's reward: assesses what has enough of them, and expires what was not acknowledged.
    pub(crate) fn advance(
        &mut self,
        window: u64,
        reward: Option<f64>,
        settings: &Settings,
    ) -> Vec<InterventionRecord> {
        let enough = usize::try_from(settings.assessment_windows).unwrap_or(usize::MAX);
        let mut changed = Vec::new();
        for tracked in &mut self.tracked {
            let record = &mut tracked.record;
            match record.status {
                InterventionStatus::Issued => {
                    let last = record
                        .intervention
                        .issued_at_window
                        .saturating_add(record.intervention.expires_after_windows);
                    if window >= last {
                        record.status = InterventionStatus::Expired;
                        tracked.done = true;
                        changed.push(record.clone());
                    }
                }
                InterventionStatus::Acknowledged if !tracked.done => {
                    tracked.after.extend(reward);
                    if tracked.after.len() >= enough {
                        // Without two rewards before it there is no interval, and so no verdict: it stays
                        // acknowledged.
                        if let Some(assessment) = assess(&tracked.before, &tracked.after) {
                            record.assessment = Some(assessment);
                            record.status = InterventionStatus::Assessed;
                            changed.push(record.clone());
                        }
                        tracked.done = true;
                    }
                    let longest = settings.assessment_windows.saturating_mul(WINDOWS_PER_REWARD);
                    let since = record.acknowledged_at_window.unwrap_or(window);
                    tracked.done |= window.saturating_sub(since) >= longest;
                    if tracked.done {
                        (tracked.before, tracked.after) = (Vec::new(), Vec::new());
                    }
                }
                _ => {}
            }
        }
        if let Some(reward) = reward {
            self.rewards.push_back(reward);
            while self.rewards.len() > enough {
                self.rewards.pop_front();
            }
        }
        changed
    }

    /// Whether the field must keep still because something was issued not long ago.
    #[must_use]
    pub(crate) fn cooling_down(&self, window: u64, settings: &Settings) -> bool {
        self.last_issued_at.is_some_and(|last| window.saturating_sub(last) < settings.cooldown_windows)
    }

    /// Whether one more can be followed to its end.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        let waiting: usize = self.pending.values().map(Vec::len).sum();
        self.tracked.iter().filter(|tracked| !tracked.done).count() + waiting < MOST_KEPT
    }

    /// Issues what the field wants, where [`Interventions::has_room`].
    pub(crate) fn issue(
        &mut self,
        swarm: &str,
        lineage: &str,
        window: u64,
        wish: Wish,
        settings: &Settings,
    ) -> InterventionRecord {
        let record = issued(command(swarm, lineage, window, wish, false, settings));
        self.track(record.clone());
        record
    }

    /// Issues an operator's intervention for the answer to `window`, the next one. Asked for again in
    /// the same words before it was delivered, or with the same key at any time, it is the same one.
    ///
    /// # Errors
    /// [`InterventionError::Pending`] when another of that kind is already on the way, and others.
    pub(crate) fn request(
        &mut self,
        swarm: &str,
        lineage: &str,
        window: u64,
        wish: Wish,
        key: Option<&str>,
        settings: &Settings,
    ) -> Result<InterventionRecord, InterventionError> {
        if let Some(key) = key
            && let Some(known) = self.requested(swarm, lineage, &wish, key)?
        {
            return Ok(known);
        }
        let mut intervention = command(swarm, lineage, window, wish, true, settings);
        if let Some(key) = key {
            intervention.id = id_of_key(swarm, lineage, key);
        }
        let waiting = self.pending.values().flatten();
        if let Some(other) = waiting.clone().find(|other| other.id == intervention.id) {
            return if *other == intervention {
                Ok(issued(intervention))
            } else {
                Err(InterventionError::Pending {
                    window,
                    kind: intervention.kind.name(),
                    id: intervention.id,
                })
            };
        }
        if waiting.count() >= MOST_PENDING {
            return Err(InterventionError::TooMany);
        }
        if !self.has_room() {
            return Err(InterventionError::TooManyOpen);
        }
        self.pending.entry(window).or_default().push(intervention.clone());
        Ok(issued(intervention))
    }

    /// What was asked for with this key before, as it stands now.
    ///
    /// # Errors
    /// [`InterventionError::KeyReused`] when that was something else.
    pub(crate) fn requested(
        &self,
        swarm: &str,
        lineage: &str,
        wish: &Wish,
        key: &str,
    ) -> Result<Option<InterventionRecord>, InterventionError> {
        let id = id_of_key(swarm, lineage, key);
        match self.records().find(|(_, record)| record.intervention.id == id) {
            None => Ok(None),
            // Targets may have been "all" of another window.
            Some((_, known))
                if (known.intervention.kind, &known.intervention.reason) == (wish.kind, &wish.reason) =>
            {
                Ok(Some(known))
            }
            Some(_) => Err(InterventionError::KeyReused(id)),
        }
    }

    /// Puts an operator's intervention that was recorded before a restart back on its way, once.
    pub(crate) fn replay(&mut self, intervention: Intervention) {
        let waiting = self.pending.entry(intervention.issued_at_window).or_default();
        if !waiting.iter().any(|other| other.id == intervention.id) {
            waiting.push(intervention);
        }
    }

    /// The operators' interventions that the answer to this window carries. From here on they count as issued.
    pub(crate) fn deliver(&mut self, window: u64) -> Vec<Intervention> {
        let delivered = self.pending.remove(&window).unwrap_or_default();
        for intervention in &delivered {
            self.track(issued(intervention.clone()));
        }
        delivered
    }

    /// No window comes any more: what was not acknowledged never will be, and what waits is never delivered.
    pub(crate) fn end(&mut self) -> Vec<InterventionRecord> {
        for intervention in std::mem::take(&mut self.pending).into_values().flatten() {
            self.track(issued(intervention));
        }
        let mut expired = Vec::new();
        for tracked in &mut self.tracked {
            if tracked.record.status == InterventionStatus::Issued {
                tracked.record.status = InterventionStatus::Expired;
                expired.push(tracked.record.clone());
            }
            tracked.done = true;
        }
        expired
    }

    /// How many there were and are, those on their way included.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.issued + self.pending.values().map(|p| p.len() as u64).sum::<u64>()
    }

    /// The window of the last one.
    #[must_use]
    pub(crate) fn last_issued_at(&self) -> Option<u64> {
        self.last_issued_at
    }

    /// The records that are kept, oldest first, each with its number among all that there ever were.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, InterventionRecord)> {
        let tracked = self.tracked.iter().map(|t| (t.sequence, t.record.clone()));
        let waiting = self.pending.values().flatten().map(|intervention| issued(intervention.clone()));
        tracked.chain((self.issued..).zip(waiting))
    }

    /// The same but for what is still on its way: what the windows so far determine.
    #[must_use]
    pub(crate) fn same_past(&self, other: &Self) -> bool {
        Self { pending: BTreeMap::new(), ..self.clone() }
            == Self { pending: BTreeMap::new(), ..other.clone() }
    }

    /// About how many bytes they take in memory.
    #[must_use]
    pub(crate) fn size_bytes(&self) -> usize {
        let of = |intervention: &Intervention| {
            // The evidence is a few dozen figures with their names.
            size_of::<Tracked>()
                + intervention.reason.len()
                + intervention.targets.len() * size_of::<u32>()
                + 2048
        };
        let tracked = self.tracked.iter();
        tracked
            .map(|t| of(&t.record.intervention) + (t.before.len() + t.after.len()) * size_of::<f64>())
            .sum::<usize>()
            + self.pending.values().flatten().map(of).sum::<usize>()
    }

    fn track(&mut self, record: InterventionRecord) {
        self.last_issued_at = Some(record.intervention.issued_at_window);
        let (before, after) = (Vec::new(), Vec::new());
        self.tracked.push_back(Tracked { sequence: self.issued, record, before, after, done: false });
        self.issued += 1;
        if self.tracked.len() > MOST_KEPT
            && let Some(oldest) = self.tracked.iter().position(|t| t.done)
        {
            self.tracked.remove(oldest);
        }
    }
}

fn id_of_key(swarm: &str, lineage: &str, key: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{swarm}\n{lineage}\nkey\n{key}").as_bytes())
}

fn issued(intervention: Intervention) -> InterventionRecord {
    InterventionRecord {
        intervention,
        status: InterventionStatus::Issued,
        acknowledged_at_window: None,
        assessment: None,
        effect: None,
    }
}

fn command(
    swarm: &str,
    lineage: &str,
    window: u64,
    wish: Wish,
    by_operator: bool,
    settings: &Settings,
) -> Intervention {
    let by = if by_operator { "operator" } else { "field" };
    let name = format!("{swarm}\n{lineage}\n{window}\n{}\n{by}", wish.kind.name());
    let parameters = match wish.kind {
        // by hand it is what it is called: a fresh start
        InterventionKind::Nigredo => InterventionParameters {
            evidence_kept: Some(settings.nigredo_kept).filter(|kept| *kept > 0.0 && !by_operator),
            ..InterventionParameters::default()
        },
        InterventionKind::Albedo => InterventionParameters {
            epsilon_factor: Some(settings.epsilon_factor),
            epsilon_max: Some(settings.epsilon_max),
            duration_windows: Some(settings.epsilon_windows),
            evidence_kept: None,
        },
    };
    Intervention {
        id: Uuid::new_v5(&NAMESPACE, name.as_bytes()),
        kind: wish.kind,
        targets: wish.targets,
        parameters,
        reason: wish.reason,
        evidence: wish.evidence,
        issued_at_window: window,
        expires_after_windows: settings.expires_after_windows,
        by_operator,
    }
}

fn assess(before: &[f64], after: &[f64]) -> Option<Assessment> {
    let (low, high) = welch(before, after)?;
    Some(Assessment {
        windows: after.len() as u64,
        reward_before: crate::numbers::mean(before.iter().copied())?,
        reward_after: crate::numbers::mean(after.iter().copied())?,
        difference_ci_low: low,
        difference_ci_high: high,
    })
}
