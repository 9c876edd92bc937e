//! Asking a policy for decisions about real requests: each is in the ledger before it is answered.
//!
//! The decisions of a policy are one stream: a run of the ledger whose digest is over the policy
//! ([`crate::policies::identity`]) and whose sequence numbers go on over restarts, because the ledger says where
//! they stand. One call at a time decides in a stream; a call that breaks off anywhere leaves a stream
//! that is opened again at the ledger's head.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{
    FieldError, Hash,
    policies::{Alternative, DecisionRequest, ServedDecisions},
    remembrancer::{BatchReceipts, Decision, DecisionBatch},
};
use client::{Ledger, LedgerError};
use service_kit::Metrics;
use uuid::Uuid;

use crate::{
    digest::sha256,
    ledger::REQUEST_DEADLINE,
    policies::{Policies, Policy},
    serving::{answer::answer, kept::Kept, meters::Meters, stream::Stream},
};

mod alternatives;
mod answer;
mod kept;
mod meters;
mod outcomes;
mod requests;
mod step;
mod stream;

pub(crate) use alternatives::alternatives_of;
pub(crate) use answer::{evidence_url, served};
pub use outcomes::OutcomeError;
pub(crate) use requests::{request_of, state_of, unknown};

/// The streams of so many policies are in memory; a policy that is asked again is read again.
const STREAMS_KEPT: usize = 16;

/// How often a call decides anew when somebody else wrote to its stream.
const TRIES: u32 = 3;

/// Providers looked at in a call, over all its requests: what the answer names, and what it takes to make it.
const MOST_LOOKS: usize = 100_000;

/// Asks policies. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Serving(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    /// Where callers reach the remembrancer, which may be another address than the trainer's.
    ledger_url: String,
    policies: Policies,
    meters: Meters,
    /// The longest unused first.
    streams: Mutex<Vec<(Uuid, Arc<tokio::sync::Mutex<Stream>>)>>,
}

/// Why there are no decisions.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Fields are wrong.
    #[error("the requests are not valid")]
    Invalid(Vec<FieldError>),
    /// The key was used for other requests.
    #[error("this Idempotency-Key was used for other requests to this policy")]
    KeyReused,
    /// The policy file is not in the remembrancer any more.
    #[error("the remembrancer does not have the policy file {0} any more")]
    FileMissing(Hash),
    /// Others are being decided.
    #[error("the policy was busy with other calls for {} s", REQUEST_DEADLINE.as_secs())]
    Busy,
    /// The remembrancer did not take the decisions.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The program is wrong, or what it reads again is damaged.
    #[error("{0}")]
    Internal(String),
}

impl Serving {
    /// Over these policies, and no stream open yet.
    #[must_use]
    pub fn new(ledger: Ledger, ledger_url: String, policies: Policies, metrics: &Metrics) -> Self {
        let (meters, streams) = (Meters::new(metrics), Mutex::default());
        Self(Arc::new(Inner { ledger, ledger_url, policies, meters, streams }))
    }

    /// Decides requests, in order. With a key the same requests again get the same answer, also after a
    /// restart.
    ///
    /// # Errors
    /// Nothing is answered. Without a key, decisions may be in the ledger that nobody was told of.
    pub async fn decide(
        &self,
        policy: &Arc<Policy>,
        asked: DecisionRequest,
        key: Option<&str>,
    ) -> Result<ServedDecisions, ServeError> {
        let internal = |error: &dyn ToString| ServeError::Internal(error.to_string());
        let request = sha256(&serde_json::to_vec(&asked).map_err(|error| internal(&error))?);
        let asked = Arc::new(asked);
        let stream = self.stream(policy);
        let turn = tokio::time::timeout(REQUEST_DEADLINE, stream.lock_owned()).await;
        let mut stream = turn.map_err(|_| ServeError::Busy)?;
        let mut tries = 0;
        loop {
            let mut attempt = 0;
            if let Some(key) = key {
                let earlier = self.earlier(policy, key).await?;
                attempt = earlier.next_attempt;
                if let Some((asked_before, kept)) = earlier.last {
                    if asked_before != request {
                        return Err(ServeError::KeyReused);
                    }
                    stream.close();
                    match self.record(&kept.decisions).await {
                        Ok(receipts) => {
                            return self.answer(policy, &kept.decisions, kept.alternatives, &receipts);
                        }
                        // They never came into the ledger, so they were never answered.
                        Err(LedgerError::Refused(_)) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            let place = self.open(&mut stream).await?;
            let decided;
            (stream, decided) = step::decide(stream, asked.clone(), place).await?;
            let kept = Kept::new(policy.id, asked.as_ref().clone(), decided);
            if let Some(key) = key {
                match self.keep(policy, key, attempt, request, &kept).await {
                    Ok(()) => {}
                    Err(ServeError::Ledger(error)) if error.is_conflict() && tries < TRIES => {
                        tries += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            match self.record(&kept.decisions).await {
                Ok(receipts) => {
                    stream.stands_at(place.first_sequence + kept.decisions.len() as u64);
                    return self.answer(policy, &kept.decisions, kept.alternatives, &receipts);
                }
                Err(error) if error.is_conflict() && tries < TRIES => {
                    tracing::warn!(policy = %policy.id, %error, "somebody else decided in this stream; deciding again");
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The policy's stream; the same one for everybody who asks at the same time.
    fn stream(&self, policy: &Arc<Policy>) -> Arc<tokio::sync::Mutex<Stream>> {
        let mut streams = self.streams();
        if let Some(known) = streams.iter().position(|(id, _)| *id == policy.id) {
            let known = streams.remove(known);
            let stream = known.1.clone();
            streams.push(known);
            return stream;
        }
        let stream = Arc::new(tokio::sync::Mutex::new(Stream::new(policy.clone())));
        streams.push((policy.id, stream.clone()));
        if streams.len() > STREAMS_KEPT {
            // One that somebody uses must stay the only one of its policy.
            if let Some(unused) = streams.iter().position(|(_, stream)| Arc::strong_count(stream) == 1) {
                streams.remove(unused);
            }
        }
        stream
    }

    /// Appends decisions to the ledger; the same ones again change nothing.
    async fn record(&self, decisions: &[Decision]) -> Result<BatchReceipts, LedgerError> {
        let batch = DecisionBatch { decisions: decisions.to_vec(), frontier: None };
        self.ledger().append_decisions(&batch).await
    }

    /// The ledger, for the next of a request's steps.
    fn ledger(&self) -> Ledger {
        self.0.ledger.within(REQUEST_DEADLINE)
    }

    fn answer(
        &self,
        policy: &Policy,
        decisions: &[Decision],
        alternatives: Vec<Vec<Alternative>>,
        receipts: &BatchReceipts,
    ) -> Result<ServedDecisions, ServeError> {
        if receipts.recorded > 0 {
            self.0.meters.served(decisions);
        }
        answer(&self.0.ledger_url, policy, decisions, alternatives, &receipts.receipts).ok_or_else(|| {
            ServeError::Internal("the ledger's receipts do not cover the decisions".to_owned())
        })
    }

    fn streams(&self) -> MutexGuard<'_, Vec<(Uuid, Arc<tokio::sync::Mutex<Stream>>)>> {
        // Nothing panics between two changes of the list.
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
