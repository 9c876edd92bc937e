//! What the ledger says about runs, followed from record to record: a run that another trainer began, went on with or
//! ended is known here as soon as somebody asks, and a command that it was given there reaches who plays it.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use api::remembrancer::{LeaseQuery, Record, RecordKind, RecordQuery};
use client::{Ledger, LedgerError};
use records::{
    Body as _,
    run::{Created, RunRecord, subject},
    serving::Session,
};

use super::{Key, Runs, create::asked};
use crate::{algorithm, ledger::GLANCE, run::Run};

/// How often the ledger is asked what is new.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All kinds of records about runs, and the one that they had in common in earlier versions.
const RUN: RecordKind = RecordKind::from_static("run");

/// How far the records have been read.
#[derive(Default)]
pub(super) struct Feed {
    /// The last of them, by its place in the log.
    position: Option<u64>,
    /// When the last reading to the end began.
    read: Option<Instant>,
    /// Runs that were found and are not seen to yet, in the order of their records.
    found: Vec<Arc<Run>>,
}

impl Runs {
    /// Reads what is new about runs.
    ///
    /// # Errors
    /// The records cannot be had. What was read counts.
    pub async fn catch_up(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        let asked = Instant::now();
        let mut feed = self.0.feed.lock().await;
        if feed.read.is_some_and(|read| read >= asked) {
            return Ok(()); // somebody else began to read after this was asked for
        }
        let result = self.read_on(&mut feed, ledger).await;
        self.0.follows.store(result.is_ok(), Ordering::Relaxed);
        result
    }

    /// [`Runs::catch_up`] for somebody who reads: as long as the remembrancer is away, what is known must do.
    pub async fn glance(&self) {
        if self.0.follows.load(Ordering::Relaxed) {
            let glance = self.catch_up(&self.0.outside.ledger);
            if !matches!(tokio::time::timeout(GLANCE, glance).await, Ok(Ok(()))) {
                self.0.follows.store(false, Ordering::Relaxed);
                tracing::warn!(
                    "the remembrancer does not say what is new about runs; what is known is shown"
                );
            }
        }
    }

    /// Follows the ledger until the trainer shuts down.
    pub(crate) async fn follow(self) {
        let shutdown = self.0.shutdown.clone();
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let ledger = &self.0.outside.ledger;
            let looked = async {
                self.catch_up(ledger).await?;
                self.look_at_leases().await
            };
            match looked.await {
                Ok(()) | Err(LedgerError::ShuttingDown) => {}
                Err(error) => tracing::warn!(%error, "the remembrancer does not say what is new about runs"),
            }
        }
    }

    /// Reads a run again from its first record. Nothing is missed in between, and nothing is taken over twice.
    pub(super) async fn read_anew(&self, run: &Arc<Run>) -> Result<(), LedgerError> {
        let shown = run.clone();
        let show = move |waits: bool| shown.state().waiting_for = waits.then_some("remembrancer");
        let _no_other_reads = match tokio::time::timeout(GLANCE, self.0.feed.lock()).await {
            Ok(feed) => feed,
            // Whoever reads for so long waits for the remembrancer, and so does the run.
            Err(_) => {
                show(true);
                let feed = self.0.feed.lock().await;
                show(false);
                feed
            }
        };
        let ledger = self.0.outside.ledger.with_observer(move |error| show(error.is_some()));
        let mut records =
            ledger.records(RecordQuery { subject: Some(subject(run.id)), ..RecordQuery::default() });
        let mut all = Vec::new();
        while let Some(record) = records.next().await? {
            let read = RunRecord::read(&record);
            all.extend(read.map(|read| (read, record.id, record.log_index, record.recorded_at)));
        }
        run.state().forget();
        for (read, id, log_index, recorded_at) in all {
            run.take_over(&read, &id, log_index, recorded_at);
        }
        Ok(())
    }

    /// Finds out who plays the runs that this trainer does not play.
    pub(super) async fn look_at_leases(&self) -> Result<(), LedgerError> {
        let elsewhere: Vec<_> = {
            let mut table = self.table();
            table.by_id.unfinished().filter(|run| !run.state().held_here).cloned().collect()
        };
        if elsewhere.is_empty() {
            return Ok(());
        }
        let query = LeaseQuery { prefix: Some("run:".to_owned()), held: Some(true), ..LeaseQuery::default() };
        let leases = self.0.outside.ledger.leases(&query).await?;
        let mut holders: HashMap<_, _> = leases.into_iter().map(|lease| (lease.name, lease.holder)).collect();
        for run in elsewhere {
            let holder = holders.remove(&subject(run.id)).flatten();
            // One of its own is about to be played, or was not given back in time.
            run.played_elsewhere(holder.filter(|holder| *holder != self.0.holder));
        }
        Ok(())
    }

    async fn read_on(&self, feed: &mut Feed, ledger: &Ledger) -> Result<(), LedgerError> {
        let began = Instant::now();
        let query = RecordQuery {
            kind: Some(RUN),
            after_log_index: feed.position,
            limit: Some(1000),
            ..RecordQuery::default()
        };
        let mut records = ledger.records(query);
        let mut news = false;
        while let Some(record) = records.next().await? {
            self.take_over(&record, &mut feed.found);
            feed.position = Some(record.log_index);
            news = true;
        }
        feed.read = Some(began);
        let unfinished = |run: &Arc<Run>| !run.state().status.is_final();
        let found: Vec<_> = std::mem::take(&mut feed.found).into_iter().filter(unfinished).collect();
        if !found.is_empty() {
            self.look_at_leases().await?;
        }
        if self.0.limits.resumes {
            found.into_iter().for_each(|run| self.see_to(run));
        }
        if news {
            self.publish();
        }
        Ok(())
    }

    fn take_over(&self, record: &Record, found: &mut Vec<Arc<Run>>) {
        let Some(event) = RunRecord::read(record) else {
            // Sessions of policies were of the kind `run` once.
            if Session::read(record).is_err() {
                tracing::warn!(
                    record = record.id,
                    "a record about a run that no trainer wrote is passed over"
                );
            }
            return;
        };
        if let RunRecord::Created(created) = &event {
            match self.adopt(created) {
                Ok(run) => found.extend(run),
                Err(error) => {
                    tracing::error!(record = record.id, %error, "the run's settings cannot be read")
                }
            }
        }
        match self.get(event.run()) {
            Some(run) => run.take_over(&event, &record.id, record.log_index, record.recorded_at),
            None => {
                tracing::warn!(record = record.id, "a record of a run that was never created is passed over")
            }
        }
    }

    /// The run that a record tells of; `None` when it was here before.
    fn adopt(&self, created: &Created) -> Result<Option<Arc<Run>>, serde_json::Error> {
        let config = algorithm::kept(&created.exact_config()?);
        if let Some(key) = &created.idempotency_key {
            let request = asked(&config)?;
            // A key leads to the run that it was used for first, whatever is recorded later.
            self.table().keys.entry(key.clone()).or_insert(Key { request, run: created.run_id });
        }
        let run = Run::new(created.run_id, created.digest, config).rewound_from(created.rewound_from);
        let (run, is_new) = self.insert(Arc::new(run));
        Ok(is_new.then_some(run))
    }
}
