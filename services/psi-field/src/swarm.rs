use api::{
    Page,
    psi_field::{DeletedSwarm, InterventionRecord, Snapshot, Swarm, SwarmAnomaly, Window, WindowAnswer},
};
use chrono::{DateTime, TimeDelta, Utc};
use psi::{Field, Settings, Wish};
use records::{Body, psi::Deletion};
use sha2::{Digest, Sha256};

use crate::{
    answers::{Answered, Answers},
    conversion,
    error::SwarmError,
    ledger::{Life, SwarmLedger},
    metrics::DEFAULT_SWARM,
};

/// So long after it was brought back, or sent again what it had sent, a swarm is expected to get on in a moment.
const CATCHING_UP_SECONDS: i64 = 60;

/// Its sender may ask for so many answers again, whatever memory there is.
const LEAST_ANSWERS: usize = 60;

/// A swarm as this process holds it: its field, and the answers that may be asked again.
///
/// Every change is made to a copy, recorded, and only then taken over: whoever breaks off in between, the
/// swarm has not moved, and the same request does the same again.
#[derive(Debug)]
pub(crate) struct Entry {
    id: String,
    /// Which life of its name it leads, as the ledger had it when it was last asked.
    life: Life,
    field: Option<Field>,
    answers: Answers,
    /// Windows before this one were dropped.
    kept_from: u64,
    /// Where the last checkpoint stood.
    last_checkpoint: Option<u64>,
    /// Where the field stood when it came from the remembrancer; a sender may still be further back.
    restored_at: Option<u64>,
    last_window_at: Option<DateTime<Utc>>,
    /// When it last moved, or came from the remembrancer.
    quiet_since: Option<DateTime<Utc>>,
    /// The sender repeats what it did before a restart: what is commanded now would come too late.
    repeating: bool,
    /// This process numbers the swarm's windows itself.
    pub(crate) stepping: bool,
}

/// What a window brought about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// The answer for the swarm.
    pub(crate) answer: WindowAnswer,
    /// Every intervention whose state changed, in its new state, in the order of the changes.
    pub(crate) changed: Vec<InterventionRecord>,
}

impl From<psi::Step> for Step {
    fn from(step: psi::Step) -> Self {
        let changed = step.changed.into_iter().map(conversion::record).collect();
        Self { answer: conversion::answer(step.answer), changed }
    }
}

/// What an answer to a window is: new, or what was answered before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Taken {
    /// The swarm has moved on by this window.
    New(Step),
    /// The window had been answered.
    Again(WindowAnswer),
}

impl Entry {
    /// A swarm of which nothing is known yet.
    #[must_use]
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            life: Life::default(),
            field: None,
            answers: Answers::default(),
            kept_from: 0,
            last_checkpoint: None,
            restored_at: None,
            last_window_at: None,
            quiet_since: None,
            repeating: false,
            stepping: false,
        }
    }

    /// The field, if the swarm has begun.
    #[must_use]
    pub(crate) fn field(&self) -> Option<&Field> {
        self.field.as_ref()
    }

    /// The last answer, while it is kept.
    #[must_use]
    pub(crate) fn last_answer(&self) -> Option<&WindowAnswer> {
        self.answers.last()
    }

    /// Whether the remembrancer has all there is to know of the swarm.
    #[must_use]
    pub(crate) fn is_stored(&self) -> bool {
        self.field.as_ref().is_none_or(|field| self.last_checkpoint == Some(field.next_window()))
    }

    /// When the last window came.
    #[must_use]
    pub(crate) fn last_window_at(&self) -> Option<DateTime<Utc>> {
        self.last_window_at
    }

    /// The swarm as the wire shows it; `None` before it has begun.
    #[must_use]
    pub(crate) fn summary(&self) -> Option<Swarm> {
        let field = self.field.as_ref()?;
        Some(Swarm {
            id: self.id.clone(),
            next_window: field.next_window(),
            checkpoint_window: self.kept_from,
            agents: field.agents(),
            interventions: field.intervention_count(),
            state: conversion::state(field.state()),
            ended: field.has_ended(),
            last_window_at: self.last_window_at,
        })
    }

    /// The answers that are kept, from a window on.
    pub(crate) fn answers(&self, from: u64) -> impl Iterator<Item = &WindowAnswer> {
        self.answers.from(from)
    }

    /// Up to `limit` anomalies in the answers that are kept, from after this window on.
    pub(crate) fn anomalies(&self, after: Option<u64>, limit: usize) -> Page<SwarmAnomaly> {
        let answers = self.answers.from(after.map_or(0, |after| after.saturating_add(1)));
        let mut found = answers.filter_map(|answer| Some((answer.window, answer.anomaly.clone()?)));
        let of = |(window, anomaly)| SwarmAnomaly { window, anomaly, recorded_at: None, verdict: None };
        let items: Vec<_> = found.by_ref().take(limit).map(of).collect();
        let more = found.next().is_some();
        let next_cursor = items.last().filter(|_| more).map(|last| last.window.to_string());
        Page { items, next_cursor }
    }

    /// Brings the swarm back from the remembrancer, if it is not here and was ever stored there; with `window`,
    /// as it was when that window could still be reached.
    ///
    /// # Errors
    /// The remembrancer is away, or what it holds is no snapshot.
    pub(crate) async fn load(
        &mut self,
        ledger: Option<&SwarmLedger>,
        window: Option<u64>,
    ) -> Result<(), SwarmError> {
        let Some(ledger) = ledger.filter(|_| self.field.is_none()) else { return Ok(()) };
        self.life = ledger.life(&self.id).await?;
        if let Some(field) = ledger.newest_field(&self.id, &self.life, window).await? {
            let field = self.revive(ledger, field).await?;
            self.adopt(field, true);
            self.quiet_since = Some(Utc::now());
        }
        Ok(())
    }

    /// What to say where the swarm has not begun.
    #[must_use]
    pub(crate) fn absent(&self) -> SwarmError {
        let id = self.id.clone();
        if self.life.deletion().is_some() { SwarmError::Deleted(id) } else { SwarmError::NotFound(id) }
    }

    /// Takes a window: the next one moves the swarm on, an earlier one gets its stored answer.
    ///
    /// # Errors
    /// [`SwarmError`]; the swarm has then not moved.
    pub(crate) async fn take(
        &mut self,
        window: &Window,
        settings: &Settings,
        ledger: Option<&SwarmLedger>,
        now: DateTime<Utc>,
    ) -> Result<Taken, SwarmError> {
        self.load(ledger, Some(window.number)).await?;
        self.go_back(window.number, ledger).await?;
        let mut field = match &self.field {
            Some(field) => field.clone(),
            None => self.first(settings, ledger).await?,
        };
        let expected = field.next_window();
        let (swarm, given) = (self.id.clone(), window.number);
        if given > expected && self.field.is_none() && self.life.deletion().is_some() {
            return Err(self.absent());
        }
        if given > expected {
            return Err(SwarmError::Gap { swarm, given, expected });
        }
        let digest = digest(&self.id, window)?;
        if given < expected {
            return match self.answers.get(given) {
                Some(answered) if answered.digest == digest => Ok(Taken::Again(answered.answer.clone())),
                Some(_) => Err(SwarmError::OtherBody { swarm, given, expected }),
                None => {
                    Err(SwarmError::TooOld { swarm, given, oldest: self.oldest_kept(expected), expected })
                }
            };
        }
        if field.has_ended() {
            return Err(SwarmError::Ended(swarm));
        }
        let step = Step::from(field.step(&conversion::window(window))?);
        self.commit(field, &step, digest, ledger, now).await?;
        self.repeating = window.repeated;
        Ok(Taken::New(step))
    }

    /// Takes a window that this process numbers itself; without `intervene` the field only watches.
    ///
    /// # Errors
    /// [`SwarmError`]; the swarm has then not moved.
    pub(crate) async fn step(
        &mut self,
        mut window: Window,
        mut field: Field,
        intervene: bool,
        ledger: Option<&SwarmLedger>,
        now: DateTime<Utc>,
    ) -> Result<Step, SwarmError> {
        window.number = field.next_window();
        let digest = digest(&self.id, &window)?;
        let window = conversion::window(&window);
        let step = if intervene { field.step(&window)? } else { field.watch(&window)? };
        let step = Step::from(step);
        self.commit(field, &step, digest, ledger, now).await?;
        self.stepping = true;
        Ok(step)
    }

    /// What an operator asked for with this key before, as it stands now.
    ///
    /// # Errors
    /// That was something else.
    pub(crate) fn requested(
        &self,
        wish: &Wish,
        key: Option<&str>,
    ) -> Result<Option<InterventionRecord>, SwarmError> {
        let (Some(field), Some(key)) = (&self.field, key) else { return Ok(None) };
        Ok(field.requested(wish, key)?.map(conversion::record))
    }

    /// Puts an operator's intervention on its way.
    ///
    /// # Errors
    /// [`SwarmError`]; nothing is then on its way.
    pub(crate) async fn request(
        &mut self,
        wish: Wish,
        key: Option<&str>,
        ledger: Option<&SwarmLedger>,
    ) -> Result<InterventionRecord, SwarmError> {
        let mut field = self.field.clone().ok_or_else(|| SwarmError::NotFound(self.id.clone()))?;
        let record = conversion::record(field.request(wish, key)?);
        let new = self.field.as_ref() != Some(&field);
        if let Some(ledger) = ledger.filter(|_| new) {
            ledger.record_interventions(&self.id, std::slice::from_ref(&record)).await?;
        }
        self.field = Some(field);
        Ok(record)
    }

    /// Takes over that no window comes any more. Every intervention that was not acknowledged expires, in its new state;
    /// there are none when it had ended before.
    ///
    /// # Errors
    /// [`SwarmError`]; the swarm is then as it was.
    pub(crate) async fn end(
        &mut self,
        ledger: Option<&SwarmLedger>,
    ) -> Result<Vec<InterventionRecord>, SwarmError> {
        let mut field = self.field.clone().ok_or_else(|| SwarmError::NotFound(self.id.clone()))?;
        if field.has_ended() {
            return Ok(Vec::new());
        }
        let expired: Vec<_> = field.end().into_iter().map(conversion::record).collect();
        if let Some(ledger) = ledger {
            ledger.record_interventions(&self.id, &expired).await?;
            let snapshot = field.snapshot().map_err(|error| SwarmError::Serialise(self.id.clone(), error))?;
            ledger.store_snapshot(&self.id, &conversion::snapshot(snapshot)).await?;
        }
        self.last_checkpoint = ledger.map(|_| field.next_window()).or(self.last_checkpoint);
        self.field = Some(field);
        Ok(expired)
    }

    /// Forgets the swarm, for good where there is a ledger: it records that, and what is recorded of the swarm up to there is
    /// read no more. With every intervention that was not acknowledged, which expires. Said again, it changes nothing.
    ///
    /// # Errors
    /// [`SwarmError::NotFound`], or the remembrancer is away; the swarm is then as it was.
    pub(crate) async fn delete(
        &mut self,
        ledger: Option<&SwarmLedger>,
    ) -> Result<(DeletedSwarm, Vec<InterventionRecord>), SwarmError> {
        self.load(ledger, None).await?;
        let next_window = self.field.as_ref().map(Field::next_window);
        let mut expired = Vec::new();
        if let Some(mut field) = self.field.clone().filter(|field| !field.has_ended()) {
            expired = field.end().into_iter().map(conversion::record).collect();
        }
        let id = self.id.clone();
        let Some(ledger) = ledger else {
            if next_window.is_none() {
                return Err(self.absent());
            }
            *self = Self::new(&id);
            return Ok((DeletedSwarm { id, next_window, record: None }, expired));
        };
        // What began here since, without having been looked up in the ledger, leads the life that stands there.
        self.life = ledger.life(&id).await?;
        if next_window.is_none() && !ledger.has_lived(&id, &self.life).await? {
            let before = self.life.deletion().ok_or_else(|| self.absent())?;
            let (next_window, record) = (before.next_window, Some(before.id()));
            return Ok((DeletedSwarm { id, next_window, record }, expired));
        }
        ledger.record_interventions(&id, &expired).await?;
        let deletion = Deletion { swarm: id.clone(), life: self.life.number(), next_window };
        let record = Some(ledger.record_deletion(&deletion).await?);
        *self = Self::new(&id);
        Ok((DeletedSwarm { id, next_window, record }, expired))
    }

    /// Whether an intervention is on its way or waits to be acknowledged.
    #[must_use]
    pub(crate) fn has_issued(&self) -> bool {
        let mut records = self.field.iter().flat_map(Field::interventions);
        records.any(|(_, record)| record.status == psi::intervention::InterventionStatus::Issued)
    }

    /// Whether an operator may intervene now.
    ///
    /// # Errors
    /// The swarm has ended, or is not yet where it was before a restart: brought back and without a window since, or
    /// repeating what the ledger holds. A swarm that this process numbers itself is always where it was.
    pub(crate) fn takes_commands(&self, now: DateTime<Utc>) -> Result<(), SwarmError> {
        let swarm = self.id.clone();
        if self.field.as_ref().is_some_and(Field::has_ended) {
            return Err(SwarmError::Ended(swarm));
        }
        if !self.repeating && (self.restored_at.is_none() || self.id == DEFAULT_SWARM) {
            return Ok(());
        }
        let quiet_seconds =
            self.quiet_since.map_or(0, |since| now.signed_duration_since(since).num_seconds());
        Err(if quiet_seconds < CATCHING_UP_SECONDS {
            SwarmError::CatchingUp(swarm)
        } else {
            SwarmError::Idle { swarm, quiet_seconds }
        })
    }

    /// The swarm's whole state.
    ///
    /// # Errors
    /// [`SwarmError::NotFound`].
    pub(crate) fn snapshot(&self) -> Result<Snapshot, SwarmError> {
        let field = self.field.as_ref().ok_or_else(|| SwarmError::NotFound(self.id.clone()))?;
        let snapshot = field.snapshot().map_err(|error| SwarmError::Serialise(self.id.clone(), error))?;
        Ok(conversion::snapshot(snapshot))
    }

    /// Stores the swarm's state, and drops the answers before the checkpoint before this one. Those since
    /// then stay: the sender may die before it has written down that it made this one.
    ///
    /// # Errors
    /// [`SwarmError`]; no answer is then dropped.
    pub(crate) async fn checkpoint(&mut self, ledger: Option<&SwarmLedger>) -> Result<Snapshot, SwarmError> {
        let snapshot = self.snapshot()?;
        if let Some(ledger) = ledger {
            ledger.store_snapshot(&self.id, &snapshot).await?;
        }
        let before = self.last_checkpoint.replace(snapshot.next_window);
        if let Some(before) = before.filter(|before| *before < snapshot.next_window) {
            self.drop_before(before);
        }
        Ok(snapshot)
    }

    /// Starts the swarm from a snapshot. When it already has exactly this state, nothing changes.
    ///
    /// # Errors
    /// [`SwarmError::SnapshotConflict`] when the swarm is elsewhere, and others; nothing has then changed.
    pub(crate) async fn restore(
        &mut self,
        mut snapshot: Snapshot,
        ledger: Option<&SwarmLedger>,
    ) -> Result<(), SwarmError> {
        let given = snapshot.next_window;
        let mut restored = Field::restore(&self.id, conversion::taken(snapshot.clone()))?;
        if let (Some(ledger), None) = (ledger, &self.field) {
            self.life = ledger.life(&self.id).await?;
        }
        if let Some(lineage) = self.life.lineage() {
            restored.set_lineage(lineage);
        }
        if let Some(field) = &self.field {
            if field.same_past(&restored) {
                return Ok(());
            }
            let expected = field.next_window();
            return Err(SwarmError::SnapshotConflict { swarm: self.id.clone(), given, expected });
        }
        // What begins from where another one ended has windows yet to come.
        restored.go_on();
        snapshot = conversion::snapshot(
            restored.snapshot().map_err(|error| SwarmError::Serialise(self.id.clone(), error))?,
        );
        let field = match ledger {
            Some(ledger) => {
                ledger.store_snapshot(&self.id, &snapshot).await?;
                self.revive(ledger, restored).await?
            }
            None => restored,
        };
        self.adopt(field, ledger.is_some());
        self.quiet_since = Some(Utc::now());
        Ok(())
    }

    /// Starts the swarm again, whatever its state was.
    pub(crate) fn begin(&mut self, field: Field) {
        self.adopt(field, false);
        self.restored_at = None;
        self.quiet_since = Some(Utc::now());
    }

    /// Whether it has begun, and nothing came of it for so long.
    #[must_use]
    pub(crate) fn is_quiet_for(&self, time: TimeDelta, now: DateTime<Utc>) -> bool {
        let quiet = self.quiet_since.is_some_and(|since| now.signed_duration_since(since) >= time);
        quiet && self.field.is_some()
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub(crate) fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.field.as_ref().map_or(0, Field::size_bytes) + self.answers.bytes()
    }

    /// Keeps half of its answers, the newer ones.
    pub(crate) fn halve_answers(&mut self) {
        self.trim((self.answers.len() / 2).max(LEAST_ANSWERS));
    }

    /// Keeps at most so many answers.
    pub(crate) fn trim(&mut self, most: usize) {
        if self.answers.keep_last(most)
            && let Some(first) = self.answers.first_window()
        {
            self.drop_before(first);
        }
    }

    /// After a restart the sender may be further back than the newest snapshot: it had not yet written down
    /// that this one was made. Nothing has happened since, so an older one is as good.
    async fn go_back(&mut self, window: u64, ledger: Option<&SwarmLedger>) -> Result<(), SwarmError> {
        let (Some(ledger), Some(field)) = (ledger, &self.field) else { return Ok(()) };
        let next = field.next_window();
        if window >= next || self.restored_at != Some(next) || self.answers.get(window).is_some() {
            return Ok(());
        }
        if let Some(field) = ledger.newest_field(&self.id, &self.life, Some(window)).await? {
            let field = self.revive(ledger, field).await?;
            self.adopt(field, true);
        }
        Ok(())
    }

    /// A field that begins now. Killed before its first checkpoint it begins again, and then what operators
    /// had asked for must come again too.
    async fn first(&self, settings: &Settings, ledger: Option<&SwarmLedger>) -> Result<Field, SwarmError> {
        let lineage = self.life.lineage().unwrap_or_default();
        let mut field = Field::new(self.id.clone(), lineage, settings.clone());
        if let Some(ledger) = ledger {
            for intervention in ledger.operator_interventions(&self.id, &self.life, 0).await? {
                field.replay(conversion::recorded(intervention));
            }
        }
        Ok(field)
    }

    /// The field of a snapshot, with what operators had asked for since then back on its way.
    async fn revive(&self, ledger: &SwarmLedger, mut field: Field) -> Result<Field, SwarmError> {
        let from = field.next_window();
        for intervention in ledger.operator_interventions(&self.id, &self.life, from).await? {
            field.replay(conversion::recorded(intervention));
        }
        Ok(field)
    }

    fn adopt(&mut self, field: Field, stored: bool) {
        let next = field.next_window();
        self.answers = Answers::default();
        self.kept_from = next;
        self.last_checkpoint = stored.then_some(next);
        self.restored_at = Some(next);
        self.field = Some(field);
        self.stepping = false;
    }

    async fn commit(
        &mut self,
        field: Field,
        step: &Step,
        digest: [u8; 32],
        ledger: Option<&SwarmLedger>,
        now: DateTime<Utc>,
    ) -> Result<(), SwarmError> {
        if let Some(ledger) = ledger {
            ledger.record_anomaly(&field, &step.answer).await?;
            ledger.record_interventions(&self.id, &step.changed).await?;
        }
        // From here on nothing waits, so that nobody can break off in between.
        self.answers.insert(Answered { digest, answer: step.answer.clone() });
        self.field = Some(field);
        self.restored_at = None;
        self.last_window_at = Some(now);
        self.quiet_since = Some(now);
        Ok(())
    }

    fn oldest_kept(&self, expected: u64) -> u64 {
        self.answers.first_window().unwrap_or(expected)
    }

    fn drop_before(&mut self, window: u64) {
        self.answers.drop_before(window);
        self.kept_from = self.kept_from.max(window);
    }
}

fn digest(swarm: &str, window: &Window) -> Result<[u8; 32], SwarmError> {
    // whether it is sent again is no part of what a window is
    let window = Window { repeated: false, ..window.clone() };
    let text = serde_json::to_vec(&window).map_err(|error| SwarmError::Serialise(swarm.to_owned(), error))?;
    Ok(Sha256::digest(&text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swarm_that_was_brought_back_is_about_to_get_on_for_a_minute_and_then_it_stands_still() {
        let begun = Utc::now();
        let mut entry = Entry::new("s");
        entry.adopt(Field::new("s", "", Settings::default()), true);
        entry.quiet_since = Some(begun);
        let after = |entry: &Entry, seconds| entry.takes_commands(begun + chrono::Duration::seconds(seconds));
        assert!(matches!(after(&entry, 59), Err(SwarmError::CatchingUp(_))));
        assert!(matches!(after(&entry, 61), Err(SwarmError::Idle { quiet_seconds: 61, .. })));
        entry.restored_at = None; // as a window does
        assert!(after(&entry, 1000).is_ok());
        entry.repeating = true;
        assert!(matches!(after(&entry, 61), Err(SwarmError::Idle { .. })));
        entry.field.as_mut().unwrap().end();
        assert!(matches!(after(&entry, 61), Err(SwarmError::Ended(_))));
    }
}
