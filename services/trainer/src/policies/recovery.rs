//! Finding the imported policies again, and those that are imported on other trainers meanwhile.

use std::sync::atomic::Ordering;

use api::remembrancer::{Record, RecordQuery};
use client::LedgerError;
use records::{Body as _, policy::Imported};
use tokio_util::sync::CancellationToken;

use super::{Origin, Policies, Policy, Source};
use crate::{ledger::GLANCE, recovery::PAUSE};

impl Policies {
    /// Reads every imported policy from the ledger. Ends when that is done or the trainer shuts down.
    pub async fn recover(self, shutdown: CancellationToken) {
        let mut bodies = self.0.ledger.bodies::<Imported>(&RecordQuery::default());
        loop {
            match bodies.next().await {
                Ok(Some((record, imported))) => {
                    let mut position = self.0.position.lock().await;
                    *position = (*position).max(Some(record.log_index));
                    self.take_over(&record, imported);
                }
                Ok(None) => break,
                Err(LedgerError::ShuttingDown) => return,
                Err(error) => {
                    // A wrong key or a wrong address: an operator may set it right on the other side.
                    tracing::error!(%error, "the imported policies cannot be read from the remembrancer");
                    if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                        return;
                    }
                }
            }
        }
        self.0.recovered.store(true, Ordering::Release);
    }

    /// Reads which policies were imported since, for somebody who asks: as long as the remembrancer is away, those that
    /// are known must do.
    pub async fn glance(&self) {
        let read = async {
            let mut position = self.0.position.lock().await;
            let query = RecordQuery {
                kind: Some(Imported::KIND.record_kind()),
                after_log_index: *position,
                ..RecordQuery::default()
            };
            let mut records = self.0.ledger.within(GLANCE).records(query);
            while let Some(record) = records.next().await? {
                match Imported::read(&record) {
                    Ok(imported) => self.take_over(&record, imported),
                    Err(error) => tracing::warn!(%error, "a record is passed over"),
                }
                *position = Some(record.log_index);
            }
            Ok::<_, LedgerError>(())
        };
        if let Err(error) = read.await {
            tracing::warn!(%error, "the remembrancer does not say which policies were imported; those that are known are shown");
        }
    }

    fn take_over(&self, record: &Record, imported: Imported) {
        let (source, environment) = match (source(&imported), imported.environment()) {
            (Some(source), Ok(environment)) => (source, environment),
            _ => {
                tracing::error!(record = record.id, "the imported policy cannot be read");
                return;
            }
        };
        let described = Policy::describe(Origin {
            id: imported.policy_id,
            name: imported.name,
            source,
            algorithm: imported.algorithm,
            agents: imported.agents,
            run: None,
            environment,
            created_at: record.recorded_at,
            record_id: record.id.clone(),
        });
        match described {
            Ok(policy) if policy.environment_sha256 != imported.environment_sha256 => tracing::error!(
                record = record.id,
                "the imported policy's environment means something else in this version of the program; import it \
                 again"
            ),
            // Somebody planted it: under this id another policy may be imported.
            Ok(policy) if !policy.is_named_rightly() => {
                tracing::warn!(
                    record = record.id,
                    "an imported policy with the id of another one is passed over"
                );
            }
            Ok(policy) => {
                self.insert(policy);
            }
            Err(error) => tracing::error!(record = record.id, %error, "the imported policy cannot be used"),
        }
    }
}

/// What an imported policy decides by; `None` when no rule has the name.
fn source(imported: &Imported) -> Option<Source> {
    match imported.policy_sha256 {
        Some(sha256) => Some(Source::Learned(sha256)),
        None => imported.algorithm.parse().ok().map(Source::Rule),
    }
}
