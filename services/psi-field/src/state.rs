use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    Page,
    psi_field::{
        DeletedSwarm, FieldState, InterventionRecord, NewIntervention, Snapshot, Swarm, SwarmAnomaly,
        Verdict, Window, WindowAnswer,
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use psi::Wish;
use serde_json::Map;
use service_kit::Readiness;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{
    config::Config,
    conversion,
    error::SwarmError,
    existing::Params,
    ledger::SwarmLedger,
    metrics::{AppMetrics, DEFAULT_SWARM, Dropped},
    swarm::{Entry, Taken},
};

/// All swarms, each behind a lock of its own so that none waits for another. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AppState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    ledger: Option<SwarmLedger>,
    metrics: AppMetrics,
    swarms: RwLock<BTreeMap<String, Arc<Slot>>>,
    /// About how many bytes they take.
    bytes: Arc<AtomicUsize>,
    /// What existing clients set for the swarm `default`.
    params: StdMutex<Params>,
}

/// A swarm, and what is shown of it to those who do not want to wait for its lock.
#[derive(Debug)]
struct Slot {
    entry: Arc<Mutex<Entry>>,
    summary: StdMutex<Option<Swarm>>,
    /// What it took in memory when it was last let go.
    bytes: AtomicUsize,
    /// What all slots together take.
    bytes_of_all: Arc<AtomicUsize>,
}

/// A swarm that nobody else can touch meanwhile. When it is dropped, its summary is brought up to date.
pub(crate) struct Held {
    slot: Arc<Slot>,
    entry: OwnedMutexGuard<Entry>,
}

impl AppState {
    /// A service without swarms.
    #[must_use]
    pub(crate) fn new(config: Config, ledger: Option<SwarmLedger>, metrics: AppMetrics) -> Self {
        Self(Arc::new(Shared {
            config,
            ledger,
            metrics,
            swarms: RwLock::default(),
            bytes: Arc::default(),
            params: StdMutex::default(),
        }))
    }

    /// The settings.
    #[must_use]
    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    /// The remembrancer, if there is one.
    #[must_use]
    pub(crate) fn ledger(&self) -> Option<&SwarmLedger> {
        self.0.ledger.as_ref()
    }

    #[must_use]
    pub(crate) fn metrics(&self) -> &AppMetrics {
        &self.0.metrics
    }

    /// What is missing to serve: the ledger, when it does not answer.
    pub(crate) fn readiness(&self) -> Readiness {
        let state = self.clone();
        Arc::new(move || {
            let state = state.clone();
            Box::pin(async move {
                let Some(ledger) = state.ledger() else { return Vec::new() };
                match tokio::time::timeout(Duration::from_secs(1), ledger.ready()).await {
                    Ok(Ok(())) => Vec::new(),
                    _ => vec![
                        "the remembrancer does not answer, and windows with an anomaly or an intervention wait for it"
                            .to_owned(),
                    ],
                }
            })
        })
    }

    /// What existing clients set.
    pub(crate) fn params(&self) -> MutexGuard<'_, Params> {
        self.0.params.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a window of a swarm.
    ///
    /// # Errors
    /// [`SwarmError`]; the swarm has then not moved.
    pub(crate) async fn take(&self, id: &str, window: &Window) -> Result<WindowAnswer, SwarmError> {
        let begun = Instant::now();
        let mut held = self.hold(id).await?;
        let taken = held.entry.take(window, &self.0.config.field, self.ledger(), Utc::now()).await;
        held.entry.trim(self.0.config.retained_answers);
        if self.is_over() {
            held.entry.halve_answers();
        }
        drop(held);
        if self.is_over() {
            self.make_room();
        }
        self.0.metrics.takes_up(self.0.bytes.load(Ordering::Relaxed));
        match taken {
            Ok(Taken::New(step)) => {
                self.took(&step.answer, &step.changed, begun.elapsed());
                Ok(step.answer)
            }
            Ok(Taken::Again(answer)) => Ok(answer),
            Err(error) => {
                self.forget_if_empty(id);
                Err(error)
            }
        }
    }

    /// Counts and logs a window that moved a swarm on. To find anomalies is what the service is there for: none is a warning.
    pub(crate) fn took(&self, answer: &WindowAnswer, changed: &[InterventionRecord], took: Duration) {
        self.0.metrics.took(answer, changed, took.as_secs_f64());
        let (swarm, window) = (&answer.swarm, answer.window);
        if let Some(anomaly) = &answer.anomaly {
            let channels: Vec<&str> = anomaly.channels.iter().map(|c| c.channel.as_str()).collect();
            tracing::info!(%swarm, window, detector = %anomaly.detector, ?channels, "anomaly");
        }
        for record in changed {
            let intervention = record.intervention.id;
            tracing::info!(%swarm, window, %intervention, kind = ?record.intervention.kind, status = ?record.status, "intervention");
        }
    }

    /// A swarm that has begun, here or before a restart.
    ///
    /// # Errors
    /// [`SwarmError::NotFound`], or the remembrancer is away.
    pub(crate) async fn swarm(&self, id: &str) -> Result<Held, SwarmError> {
        let mut held = self.hold(id).await?;
        let loaded = held.entry.load(self.ledger(), None).await;
        if loaded.is_ok() && held.entry.field().is_some() {
            return Ok(held);
        }
        let absent = held.entry.absent();
        drop(held);
        self.forget_if_empty(id);
        loaded.and(Err(absent))
    }

    /// A swarm as it stood after its last window, without waiting for one that is being taken.
    ///
    /// # Errors
    /// As [`AppState::swarm`].
    pub(crate) async fn summary(&self, id: &str) -> Result<Swarm, SwarmError> {
        let known = self.swarms().get(id).and_then(|slot| slot.summary().clone());
        match known {
            Some(summary) => Ok(summary),
            None => self.swarm(id).await?.entry.summary().ok_or_else(|| SwarmError::NotFound(id.to_owned())),
        }
    }

    /// The swarms in memory by id, those after `after` only.
    #[must_use]
    pub(crate) fn summaries(&self, after: Option<&str>, limit: usize) -> Vec<Swarm> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let swarms = self.swarms();
        let slots = swarms.range::<str, _>((from, Bound::Unbounded));
        slots.filter_map(|(_, slot)| slot.summary().clone()).take(limit).collect()
    }

    /// Puts an operator's intervention on its way.
    ///
    /// # Errors
    /// [`SwarmError`].
    pub(crate) async fn request(
        &self,
        id: &str,
        new: NewIntervention,
        key: Option<&str>,
    ) -> Result<InterventionRecord, SwarmError> {
        let mut held = self.swarm(id).await?;
        self.end_with_its_run(&mut held, id).await?;
        let mut targets = new.targets;
        targets.sort_unstable();
        targets.dedup();
        let wish =
            Wish { kind: conversion::kind(new.kind), targets, reason: new.reason, evidence: Map::new() };
        // The same key gets the same one whatever has become of the swarm.
        if let Some(known) = held.entry.requested(&wish, key)? {
            return Ok(known);
        }
        held.entry.takes_commands(Utc::now())?;
        let record = held.entry.request(wish, key, self.ledger()).await?;
        self.0.metrics.intervention(record.intervention.kind, record.status);
        tracing::info!(swarm = %id, intervention = %record.intervention.id, kind = ?record.intervention.kind, "intervention by an operator");
        Ok(record)
    }

    /// A swarm of which nothing is on its way that nobody will carry there.
    ///
    /// # Errors
    /// As [`AppState::swarm`].
    pub(crate) async fn settled(&self, id: &str) -> Result<Held, SwarmError> {
        let mut held = self.swarm(id).await?;
        if held.entry.has_issued() {
            self.end_with_its_run(&mut held, id).await?;
        }
        Ok(held)
    }

    /// A page of a swarm's anomalies, the oldest first: of its whole course, where there is a ledger.
    ///
    /// # Errors
    /// As [`AppState::swarm`].
    pub(crate) async fn anomalies(
        &self,
        id: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<SwarmAnomaly>, SwarmError> {
        let Some(ledger) = self.ledger() else { return Ok(self.swarm(id).await?.anomalies(after, limit)) };
        let life = ledger.life(id).await?;
        let page = ledger.anomalies(id, &life, after, limit).await?;
        if page.items.is_empty() && after.is_none() {
            self.swarm(id).await?; // killed before its first checkpoint, it is known by its anomalies alone
        }
        Ok(page)
    }

    /// Takes a verdict on the anomaly that a window of a swarm completed.
    ///
    /// # Errors
    /// [`SwarmError::NoAnomaly`], [`SwarmError::NoLedger`], or the remembrancer is away.
    pub(crate) async fn judge(&self, id: &str, window: u64, verdict: Verdict) -> Result<(), SwarmError> {
        let ledger = self.ledger().ok_or(SwarmError::NoLedger)?;
        let useful = verdict.useful;
        if ledger.record_verdict(id, window, verdict).await? {
            self.0.metrics.judged(useful);
            tracing::info!(swarm = %id, window, useful, "verdict on an anomaly");
        }
        Ok(())
    }

    /// Takes over that a swarm gets no window any more.
    ///
    /// # Errors
    /// [`SwarmError`]; the swarm is then as it was.
    pub(crate) async fn end(&self, id: &str) -> Result<Swarm, SwarmError> {
        let mut held = self.swarm(id).await?;
        self.end_held(&mut held, id).await?;
        held.entry.summary().ok_or_else(|| SwarmError::NotFound(id.to_owned()))
    }

    /// Ends a swarm whose run has ended without having told.
    async fn end_with_its_run(&self, held: &mut Held, id: &str) -> Result<(), SwarmError> {
        let ended = held.entry.field().is_some_and(psi::Field::has_ended);
        let Some(ledger) = self.ledger().filter(|_| !ended) else { return Ok(()) };
        if ledger.run_has_ended(id).await? { self.end_held(held, id).await } else { Ok(()) }
    }

    async fn end_held(&self, held: &mut Held, id: &str) -> Result<(), SwarmError> {
        let expired = held.entry.end(self.ledger()).await?;
        self.changed(id, &expired);
        Ok(())
    }

    /// Counts and logs where interventions came to stand without a window.
    fn changed(&self, id: &str, changed: &[InterventionRecord]) {
        for record in changed {
            let intervention = record.intervention.id;
            self.0.metrics.intervention(record.intervention.kind, record.status);
            tracing::info!(swarm = %id, %intervention, kind = ?record.intervention.kind, status = ?record.status, "intervention");
        }
    }

    /// Deletes a swarm: it leaves memory and does not come back. What the ledger has of it stays there.
    ///
    /// # Errors
    /// [`SwarmError::NotFound`], or the remembrancer is away; the swarm is then as it was.
    pub(crate) async fn delete(&self, id: &str) -> Result<DeletedSwarm, SwarmError> {
        let mut held = self.hold(id).await?;
        let was_held = held.entry.field().is_some();
        let deleted = held.entry.delete(self.ledger()).await;
        drop(held);
        self.forget_if_empty(id);
        let (deleted, expired) = deleted?;
        self.changed(id, &expired);
        if was_held {
            self.dropped(id, Dropped::Deleted);
        }
        tracing::info!(swarm = %id, next_window = ?deleted.next_window, "deleted");
        Ok(deleted)
    }

    /// Lets those swarms go of which no window came for as long as they are kept, and stores what is not yet in the ledger. One
    /// that cannot be stored now stays.
    pub(crate) async fn expire(&self, now: DateTime<Utc>) {
        let Some(time) = self.lifetime() else { return };
        let ids: Vec<String> = self.swarms().keys().cloned().collect();
        for id in ids {
            let Some(slot) = self.swarms().get(&id).cloned() else { continue };
            // One that is in use is not quiet.
            let Ok(entry) = slot.entry.clone().try_lock_owned() else { continue };
            let mut held = Held { slot, entry };
            if !held.entry.is_quiet_for(time, now) {
                continue;
            }
            if let Some(ledger) = self.ledger()
                && !held.entry.is_stored()
                && let Err(error) = held.entry.checkpoint(Some(ledger)).await
            {
                tracing::warn!(swarm = %id, %error, "a swarm that expires was not stored; it is tried again");
                continue;
            }
            drop(held);
            if self.forget(&id, |entry| entry.is_quiet_for(time, now)) {
                self.dropped(&id, Dropped::Expired);
                tracing::info!(swarm = %id, "expired: no window of it came for too long");
            }
        }
        self.0.metrics.takes_up(self.0.bytes.load(Ordering::Relaxed));
    }

    /// For how long a swarm is kept without a window; `None`: always.
    pub(crate) fn lifetime(&self) -> Option<TimeDelta> {
        let seconds = i64::try_from(self.0.config.swarm_ttl_seconds).ok().filter(|seconds| *seconds > 0)?;
        TimeDelta::try_seconds(seconds)
    }

    /// A swarm has left memory for another reason than that others needed its place.
    fn dropped(&self, id: &str, why: Dropped) {
        self.0.metrics.drops(why);
        if id == DEFAULT_SWARM {
            self.0.metrics.show(&FieldState::default());
        }
    }

    /// Stores a swarm's state.
    ///
    /// # Errors
    /// [`SwarmError`].
    pub(crate) async fn checkpoint(&self, id: &str) -> Result<Snapshot, SwarmError> {
        self.swarm(id).await?.entry.checkpoint(self.ledger()).await
    }

    /// Begins a swarm from a snapshot.
    ///
    /// # Errors
    /// [`SwarmError`].
    pub(crate) async fn restore(&self, id: &str, snapshot: Snapshot) -> Result<Swarm, SwarmError> {
        let mut held = self.hold(id).await?;
        let restored = held.entry.restore(snapshot, self.ledger()).await;
        let summary = held.entry.summary();
        drop(held);
        if restored.is_err() {
            self.forget_if_empty(id);
        }
        restored?;
        summary.ok_or_else(|| SwarmError::NotFound(id.to_owned()))
    }

    /// A swarm, begun or not, for the caller alone.
    ///
    /// # Errors
    /// [`SwarmError::TooMany`].
    pub(crate) async fn hold(&self, id: &str) -> Result<Held, SwarmError> {
        let slot = self.slot(id)?;
        let entry = slot.entry.clone().lock_owned().await;
        Ok(Held { slot, entry })
    }

    fn slot(&self, id: &str) -> Result<Arc<Slot>, SwarmError> {
        if let Some(slot) = self.swarms().get(id) {
            return Ok(slot.clone());
        }
        let mut swarms = self.0.swarms.write().unwrap_or_else(PoisonError::into_inner);
        if swarms.len() >= self.0.config.max_swarms && !swarms.contains_key(id) {
            let Some(idle) = self.idlest(&swarms) else { return Err(SwarmError::TooMany(swarms.len())) };
            swarms.remove(&idle);
            self.0.metrics.drops(Dropped::MadeRoom);
        }
        let slot = swarms.entry(id.to_owned()).or_insert_with(|| {
            Arc::new(Slot {
                entry: Arc::new(Mutex::new(Entry::new(id))),
                summary: StdMutex::default(),
                bytes: AtomicUsize::default(),
                bytes_of_all: Arc::clone(&self.0.bytes),
            })
        });
        let slot = slot.clone();
        self.0.metrics.holds(swarms.len());
        Ok(slot)
    }

    /// Whether the swarms take more memory than they may.
    fn is_over(&self) -> bool {
        self.0.bytes.load(Ordering::Relaxed) > self.0.config.max_bytes
    }

    /// Lets swarms go that can come back, as long as all together take too much.
    fn make_room(&self) {
        let mut swarms = self.0.swarms.write().unwrap_or_else(PoisonError::into_inner);
        while self.is_over()
            && let Some(idle) = self.idlest(&swarms)
        {
            tracing::info!(swarm = %idle, "a swarm makes room: the remembrancer has its state");
            swarms.remove(&idle);
            self.0.metrics.drops(Dropped::MadeRoom);
        }
        self.0.metrics.holds(swarms.len());
    }

    /// The swarm that was quiet the longest among those that nobody uses now and that can come back.
    fn idlest(&self, swarms: &BTreeMap<String, Arc<Slot>>) -> Option<String> {
        let free = swarms.iter().filter_map(|(id, slot)| {
            // Whoever wants a swarm takes it from the map, which is ours now: one reference is the map's own.
            let entry = slot.entry.try_lock().ok().filter(|_| Arc::strong_count(slot) == 1)?;
            // Without a ledger nothing comes back, but nobody waits for what has ended.
            let can_go = match (entry.field(), &self.0.ledger) {
                (None, _) => true,
                (Some(_), Some(_)) => entry.is_stored(),
                (Some(field), None) => field.has_ended(),
            };
            can_go.then(|| (entry.last_window_at(), id))
        });
        free.min().map(|(_, id)| id.clone())
    }

    /// Lets go of what was only asked for and never began.
    fn forget_if_empty(&self, id: &str) {
        self.forget(id, |entry| entry.field().is_none());
    }

    /// Lets go of a swarm that nobody uses now, if it is so; whether it went.
    fn forget(&self, id: &str, is_so: impl Fn(&Entry) -> bool) -> bool {
        let mut swarms = self.0.swarms.write().unwrap_or_else(PoisonError::into_inner);
        let free = |slot: &Arc<Slot>| {
            Arc::strong_count(slot) == 1 && slot.entry.try_lock().is_ok_and(|entry| is_so(&entry))
        };
        let goes = swarms.get(id).is_some_and(free);
        if goes {
            swarms.remove(id);
        }
        self.0.metrics.holds(swarms.len());
        goes
    }

    fn swarms(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Slot>>> {
        self.0.swarms.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// It takes so many bytes now.
    fn takes_up(&self, bytes: usize) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        self.bytes_of_all.fetch_add(bytes, Ordering::Relaxed);
        self.bytes_of_all.fetch_sub(before, Ordering::Relaxed);
    }

    fn summary(&self) -> MutexGuard<'_, Option<Swarm>> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::ops::Deref for Held {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl std::ops::DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Entry {
        &mut self.entry
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.slot.summary() = self.entry.summary();
        self.slot.takes_up(self.entry.size_bytes());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.takes_up(0);
    }
}
