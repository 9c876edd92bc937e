use std::{collections::BTreeMap, time::Duration};

use api::{
    Page,
    psi_field::{
        Intervention, InterventionRecord, InterventionStatus, Snapshot, SwarmAnomaly, Verdict, WindowAnswer,
    },
    remembrancer::RecordQuery,
};
use client::{Ledger, LedgerError};
use psi::Field;
use records::{
    Body, intervention, psi as record,
    run::{self, RunRecord},
};
use uuid::Uuid;

use crate::{conversion, error::SwarmError};

/// Records a page.
const PAGE: u32 = 100;

/// A UUID's, as it is written.
const RUN_ID_LENGTH: usize = 36;

/// What of the swarms must outlive this process, in the ledger: interventions and anomalies as records, snapshots as
/// artifacts that a record names.
///
/// Nothing here carries a clock time or a random id, so whatever is written twice is the same.
#[derive(Clone, Debug)]
pub(crate) struct SwarmLedger {
    ledger: Ledger,
    deadline: Duration,
}

/// A swarm between two deletions: what is recorded of its name before is of others, and what it records itself has other ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// Where the last deletion stands in the log, and what it says.
    begun_by: Option<(u64, record::Deletion)>,
}

impl Life {
    /// The deletion before it, if there was any.
    #[must_use]
    pub(crate) fn deletion(&self) -> Option<&record::Deletion> {
        self.begun_by.as_ref().map(|(_, deletion)| deletion)
    }

    /// Which one it is, from 0.
    #[must_use]
    pub(crate) fn number(&self) -> u64 {
        self.deletion().map_or(0, |deletion| deletion.life + 1)
    }

    /// The lineage of its field, by which the ids of what it records differ from those of lives before. The first life has
    /// that with which it begins.
    #[must_use]
    pub(crate) fn lineage(&self) -> Option<String> {
        self.begun_by.is_some().then(|| format!("life-{}", self.number()))
    }

    fn begins_after(&self) -> Option<u64> {
        self.begun_by.as_ref().map(|(log_index, _)| *log_index)
    }
}

impl SwarmLedger {
    /// In this ledger, where each of the operations below ends so long after it began at the latest.
    #[must_use]
    pub(crate) fn new(ledger: Ledger, deadline: Duration) -> Self {
        Self { ledger, deadline }
    }

    /// Records where interventions stand.
    ///
    /// # Errors
    /// Some may have been recorded, and will be the same when they come again.
    pub(crate) async fn record_interventions(
        &self,
        swarm: &str,
        changed: &[InterventionRecord],
    ) -> Result<(), SwarmError> {
        let ledger = self.ledger.within(self.deadline);
        for changed in changed {
            let body = intervention::Intervention { swarm: swarm.to_owned(), record: changed.clone() };
            append(&ledger, swarm, &body).await?;
        }
        Ok(())
    }

    /// Records the anomaly that a window of the field completed, if it did.
    ///
    /// # Errors
    /// As [`SwarmLedger::record_interventions`].
    pub(crate) async fn record_anomaly(
        &self,
        field: &Field,
        answer: &WindowAnswer,
    ) -> Result<(), SwarmError> {
        let Some(anomaly) = answer.anomaly.clone() else { return Ok(()) };
        let (swarm, lineage) = (field.swarm().to_owned(), field.lineage().to_owned());
        let body = record::Anomaly { swarm, lineage, window: answer.window, anomaly };
        append(&self.ledger.within(self.deadline), field.swarm(), &body).await
    }

    /// The life that a swarm's name leads now.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn life(&self, swarm: &str) -> Result<Life, SwarmError> {
        let query = RecordQuery {
            kind: Some(record::Deletion::KIND.record_kind()),
            subject: Some(record::subject(swarm)),
            newest_first: Some(true),
            ..RecordQuery::default()
        };
        let page = self.ledger.within(self.deadline).page(&query).await?;
        // Whoever can post to the ledger can post records of another form.
        let mut read = page.items.iter().filter_map(|found| {
            Some((found.log_index, record::Deletion::read(found).ok().filter(|d| d.swarm == swarm)?))
        });
        Ok(Life { begun_by: read.next() })
    }

    /// Whether anything was recorded of a swarm in this life.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn has_lived(&self, swarm: &str, life: &Life) -> Result<bool, SwarmError> {
        let query = RecordQuery { limit: Some(1), ..newest_of(swarm, life) };
        Ok(!self.ledger.within(self.deadline).page(&query).await?.items.is_empty())
    }

    /// Records that a life of a swarm has ended; the record's id.
    ///
    /// # Errors
    /// As [`SwarmLedger::record_interventions`].
    pub(crate) async fn record_deletion(&self, deletion: &record::Deletion) -> Result<String, SwarmError> {
        append(&self.ledger.within(self.deadline), &deletion.swarm, deletion).await?;
        Ok(deletion.id())
    }

    /// Up to `limit` anomalies of a swarm in this life, the oldest first, from after this place in the log on. The page's
    /// cursor is the place of its last record.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn anomalies(
        &self,
        swarm: &str,
        life: &Life,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<SwarmAnomaly>, SwarmError> {
        let query = RecordQuery {
            kind: Some(record::Anomaly::KIND.record_kind()),
            subject: Some(record::subject(swarm)),
            after_log_index: after.max(life.begins_after()),
            newest_first: Some(false),
            limit: u32::try_from(limit).ok(),
            ..RecordQuery::default()
        };
        let page = self.ledger.within(self.deadline).page(&query).await?;
        let last = page.items.last().map(|record| record.log_index.to_string());
        let read = page.items.iter().filter_map(|found| {
            // Whoever can post to the ledger can post records of another form.
            let record::Anomaly { window, anomaly, .. } = record::Anomaly::read(found).ok()?;
            Some(SwarmAnomaly { window, anomaly, recorded_at: Some(found.recorded_at), verdict: None })
        });
        let mut items: Vec<SwarmAnomaly> = read.collect();
        if !items.is_empty() {
            let verdicts = self.verdicts(swarm, life).await?;
            for anomaly in &mut items {
                anomaly.verdict = verdicts
                    .get(&anomaly.window)
                    .map(|verdict| Verdict { useful: verdict.useful, reason: verdict.reason.clone() });
            }
        }
        Ok(Page { items, next_cursor: page.next_cursor.and(last) })
    }

    /// The last verdict on each of a swarm's anomalies, by window.
    async fn verdicts(&self, swarm: &str, life: &Life) -> Result<BTreeMap<u64, record::Verdict>, SwarmError> {
        let kind = Some(record::Verdict::KIND.record_kind());
        let ledger = self.ledger.within(self.deadline);
        let mut recorded = ledger.bodies::<record::Verdict>(&RecordQuery {
            kind,
            newest_first: Some(false),
            ..newest_of(swarm, life)
        });
        let mut verdicts = BTreeMap::new();
        while let Some((_, verdict)) = recorded.next().await? {
            verdicts.insert(verdict.window, verdict);
        }
        Ok(verdicts)
    }

    /// Records a verdict on the anomaly that a window completed. The same one again is the same record; `false` where that
    /// was the last one already.
    ///
    /// # Errors
    /// [`SwarmError::NoAnomaly`], or the remembrancer is away.
    pub(crate) async fn record_verdict(
        &self,
        swarm: &str,
        window: u64,
        verdict: Verdict,
    ) -> Result<bool, SwarmError> {
        let kind = Some(record::Anomaly::KIND.record_kind());
        let ledger = self.ledger.within(self.deadline);
        let life = self.life(swarm).await?;
        let mut recorded = ledger.bodies::<record::Anomaly>(&RecordQuery { kind, ..newest_of(swarm, &life) });
        let lineage = loop {
            match recorded.next().await? {
                None => return Err(SwarmError::NoAnomaly { swarm: swarm.to_owned(), window }),
                Some((_, anomaly)) if anomaly.window == window => break anomaly.lineage,
                Some(_) => {}
            }
        };
        let last = self.verdicts(swarm, &life).await?.remove(&window).filter(|last| last.lineage == lineage);
        let Verdict { useful, reason } = verdict;
        if last.as_ref().is_some_and(|last| last.useful == useful && last.reason == reason) {
            return Ok(false);
        }
        let number = last.map_or(0, |last| last.number + 1);
        let swarm_of = swarm.to_owned();
        let body = record::Verdict { swarm: swarm_of, lineage, window, number, useful, reason };
        append(&ledger, swarm, &body).await?;
        Ok(true)
    }

    /// Records what a client wants to have recorded by its hash.
    ///
    /// # Errors
    /// The hash is recorded with other metadata, or the remembrancer is away.
    pub(crate) async fn record_trace(&self, trace: record::Trace) -> Result<(), SwarmError> {
        match self.ledger.within(self.deadline).append_body(&trace).await {
            Err(error) if error.is_conflict() => Err(SwarmError::TraceConflict(trace.id())),
            appended => Ok(appended.map(drop)?),
        }
    }

    /// Stores a snapshot and the record that names it.
    ///
    /// # Errors
    /// What was stored is the same when it comes again.
    pub(crate) async fn store_snapshot(&self, swarm: &str, snapshot: &Snapshot) -> Result<(), SwarmError> {
        let ledger = self.ledger.within(self.deadline);
        let content =
            serde_json::to_vec(snapshot).map_err(|error| SwarmError::Serialise(swarm.to_owned(), error))?;
        let size_bytes = content.len() as u64;
        let sha256 = ledger.put_artifact("application/json", content).await?;
        let stored = record::Snapshot::new(swarm.to_owned(), snapshot.next_window, sha256, size_bytes);
        append(&ledger, swarm, &stored).await
    }

    /// The field of the newest snapshot that was stored for the swarm in this life; with `at_most`, of the newest from which
    /// that window can still be reached. What is named there and is no snapshot of it is passed over: whoever can post to
    /// the ledger can name anything.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn newest_field(
        &self,
        swarm: &str,
        life: &Life,
        at_most: Option<u64>,
    ) -> Result<Option<Field>, SwarmError> {
        let ledger = self.ledger.within(self.deadline);
        let mut stored = ledger.bodies::<record::Snapshot>(&newest_of(swarm, life));
        while let Some((_, record::Snapshot { next_window, sha256, .. })) = stored.next().await? {
            if at_most.is_some_and(|most| next_window > most) {
                continue;
            }
            match field_of(swarm, next_window, ledger.artifact(&sha256).await?.as_deref()) {
                Ok(field) => return Ok(Some(field)),
                Err(what) => tracing::warn!(swarm, %sha256, what, "a snapshot is passed over"),
            }
        }
        Ok(None)
    }

    /// The operators' interventions that were recorded in this life for the swarm's windows from `from` on, oldest first:
    /// after a restart they must come again where they came before.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn operator_interventions(
        &self,
        swarm: &str,
        life: &Life,
        from: u64,
    ) -> Result<Vec<Intervention>, SwarmError> {
        let ledger = self.ledger.within(self.deadline);
        let mut recorded = ledger.bodies::<intervention::Intervention>(&newest_of(swarm, life));
        let mut found = Vec::new();
        while let Some((_, intervention::Intervention { record, .. })) = recorded.next().await? {
            let intervention = record.intervention;
            if record.status == InterventionStatus::Issued
                && intervention.by_operator
                && intervention.issued_at_window >= from
            {
                found.push(intervention);
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Whether the run that the swarm is of has ended. Whoever plays a run tells psi-field, but one that fails, or that
    /// went on without psi-field, may not have been able to.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn run_has_ended(&self, swarm: &str) -> Result<bool, SwarmError> {
        // a run that had to take another name appended a number to it
        let run = swarm.get(..RUN_ID_LENGTH).and_then(|id| Uuid::parse_str(id).ok());
        let Some(run) = run else { return Ok(false) };
        let query = RecordQuery {
            subject: Some(run::subject(run)),
            newest_first: Some(true),
            limit: Some(PAGE),
            ..RecordQuery::default()
        };
        let page = self.ledger.within(self.deadline).page(&query).await?;
        Ok(page.items.iter().any(|record| matches!(RunRecord::read(record), Some(RunRecord::Ended(_)))))
    }

    /// Fine when the remembrancer can serve; asked once.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) async fn ready(&self) -> Result<(), LedgerError> {
        self.ledger.ready().await
    }
}

fn newest_of(swarm: &str, life: &Life) -> RecordQuery {
    RecordQuery {
        subject: Some(record::subject(swarm)),
        after_log_index: life.begins_after(),
        newest_first: Some(true),
        limit: Some(PAGE),
        ..RecordQuery::default()
    }
}

/// The field of a snapshot's artifact, or what is wrong with it.
fn field_of(swarm: &str, next_window: u64, content: Option<&[u8]>) -> Result<Field, String> {
    let content = content.ok_or("the remembrancer does not have it")?;
    let snapshot: Snapshot = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    if snapshot.next_window != next_window {
        return Err(format!(
            "it stands before window {}, its record says {next_window}",
            snapshot.next_window
        ));
    }
    Field::restore(swarm, conversion::taken(snapshot)).map_err(|error| error.to_string())
}

async fn append(ledger: &Ledger, swarm: &str, body: &impl Body) -> Result<(), SwarmError> {
    match ledger.append_body(body).await {
        Err(error) if error.is_conflict() => {
            Err(SwarmError::RecordConflict { id: body.id(), swarm: swarm.to_owned() })
        }
        appended => Ok(appended.map(drop)?),
    }
}
