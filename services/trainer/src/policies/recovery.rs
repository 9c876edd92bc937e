//! Finding the imported policies again.

use std::{sync::atomic::Ordering, time::Duration};

use api::remembrancer::{Record, RecordKind, RecordQuery};
use client::{ClientError, retry_while_transient};

use super::{Origin, Policies, Policy, record::Imported};

/// Records asked for at once.
const PAGE: u32 = 1000;

/// The pause after an answer that asking again at once would not change.
const PAUSE: Duration = Duration::from_secs(2);

impl Policies {
    /// Reads every imported policy from the ledger. Ends when that is done or the trainer shuts down.
    pub async fn recover(self) {
        let shutdown = self.0.shutdown.clone();
        let mut cursor = None;
        loop {
            let query = RecordQuery {
                kind: Some(RecordKind::Deployment),
                limit: Some(PAGE),
                cursor: cursor.clone(),
                ..RecordQuery::default()
            };
            match retry_while_transient(&shutdown, || self.0.remembrancer.records(&query), |_| ()).await {
                Ok(page) => {
                    page.items.iter().for_each(|record| self.take_over(record));
                    match page.next_cursor {
                        Some(next) => cursor = Some(next),
                        None => break,
                    }
                }
                Err(ClientError::Cancelled) => return,
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

    fn take_over(&self, record: &Record) {
        let Some(imported) = Imported::parse(record) else { return };
        let (source, environment) = match (imported.source(), imported.environment()) {
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
            Ok(policy) if policy.environment_sha256 == imported.environment_sha256 => {
                self.insert(policy);
            }
            Ok(_) => tracing::error!(
                record = record.id,
                "the imported policy's environment means something else in this version of the program; import it \
                 again"
            ),
            Err(error) => tracing::error!(record = record.id, %error, "the imported policy cannot be used"),
        }
    }
}
