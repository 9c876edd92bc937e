//! The stream of one policy's decisions: its swarm, and where it stands in the ledger.

use std::sync::Arc;

use api::remembrancer::RecordQuery;
use policy::{PolicyFile, Swarm};
use records::{Body as _, policy::subject, serving::Session as SessionRecord};
use routing_env::{Environment, Reward, Rewards};
use serde_json::Value;
use uuid::Uuid;

use super::{ServeError, Serving, TRIES};
use crate::policies::{Policy, Source, identity::Identity};

/// The highest number of a session: the ledger keeps episodes as signed numbers.
const MOST_SESSIONS: u32 = i32::MAX as u32;

/// A policy's decisions, and what makes them.
pub(super) struct Stream {
    pub(super) policy: Arc<Policy>,
    /// The sequence number of the next decision; `None` when only the ledger knows.
    next: Option<u64>,
    session: Option<Session>,
    pub(super) desk: Option<Desk>,
}

/// From one reading of the policy to the next. Its number and that of the call are the `episode` and the `step`
/// of a decision, so that no two calls ever make the same decision: whoever finds decisions of a call that
/// broke off in the ledger knows that nobody else was answered with them.
struct Session {
    number: u32,
    /// How many calls it has decided.
    calls: u32,
}

/// The place of a call's decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallPosition {
    pub(super) session: u32,
    pub(super) call: u32,
    pub(super) first_sequence: u64,
}

/// What decides.
pub(super) struct Desk {
    pub(super) environment: Environment,
    pub(super) swarm: Swarm,
    /// What its policy was trained for.
    pub(super) reward: Reward,
    /// What it decides for now.
    pub(super) wanted: Reward,
}

impl Stream {
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        Self { policy, next: None, session: None, desk: None }
    }

    /// The ledger may have moved on.
    pub(super) fn close(&mut self) {
        self.next = None;
    }

    /// The ledger stands here.
    pub(super) fn stands_at(&mut self, next: u64) {
        self.next = Some(next);
    }
}

impl Serving {
    /// Makes a stream ready to decide one call; the place of its decisions. Until the caller says where it
    /// stands then, the stream counts as closed.
    pub(super) async fn open(&self, stream: &mut Stream) -> Result<CallPosition, ServeError> {
        if stream.desk.is_none() {
            stream.desk = Some(self.desk(&stream.policy).await?);
        }
        let session = match &mut stream.session {
            Some(session) if session.calls < i32::MAX as u32 => session,
            none => none.insert(Session { number: self.begin_session(&stream.policy).await?, calls: 0 }),
        };
        let first_sequence = match stream.next.take() {
            Some(next) => next,
            None => {
                let digest = stream.policy.digest;
                self.ledger().run_head(&digest).await?.map_or(0, |head| head.next_sequence)
            }
        };
        let place = CallPosition { session: session.number, call: session.calls, first_sequence };
        session.calls += 1;
        Ok(place)
    }

    /// Claims the number after the last session's.
    async fn begin_session(&self, policy: &Policy) -> Result<u32, ServeError> {
        let query = RecordQuery {
            subject: Some(subject(policy.id)),
            newest_first: Some(true),
            limit: Some(20), // beside the sessions there is the import, and what others wrote about the policy
            ..RecordQuery::default()
        };
        let ledger = self.ledger();
        let last = ledger.bodies::<SessionRecord>(&query).next().await?;
        let mut session = last.map_or(Some(0), |(_, last)| last.session.checked_add(1));
        let mut taken = 0;
        loop {
            // Numbers only tell sessions apart. Who planted the last one there is, or those that come next, does not know
            // which one is drawn.
            let number =
                session.filter(|number| *number <= MOST_SESSIONS && taken < TRIES).unwrap_or_else(drawn);
            let configuration =
                Identity::new(None, policy.source, policy.environment_sha256).stream(policy.id);
            let begun = SessionRecord::new(policy.digest, number, Uuid::now_v7(), configuration);
            let record = begun.to_record().map_err(|error| ServeError::Internal(error.to_string()))?;
            match ledger.append(&record).await {
                Ok(_) => return Ok(number),
                // Somebody else was first; the deadline ends this.
                Err(error) if error.is_conflict() => {
                    taken += 1;
                    session = number.checked_add(1);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn desk(&self, policy: &Arc<Policy>) -> Result<Desk, ServeError> {
        let bytes = match policy.source {
            Source::Rule(_) => None,
            Source::Learned(name) => {
                Some(self.0.policies.file(name).await?.ok_or(ServeError::FileMissing(name))?)
            }
        };
        let policy = policy.clone();
        // A policy file may be large.
        tokio::task::spawn_blocking(move || desk(&policy, bytes.as_deref()))
            .await
            .map_err(|error| ServeError::Internal(error.to_string()))?
    }
}

impl Serving {
    /// What a policy decides in, what decides, and what it decides for: what is asked, or else what it was trained for.
    ///
    /// # Errors
    /// It cannot be made again, or cannot decide for what is asked.
    pub(crate) async fn made(
        &self,
        policy: &Arc<Policy>,
        preference: Option<&Value>,
    ) -> Result<(Environment, Swarm, Rewards), ServeError> {
        let mut desk = self.desk(policy).await?;
        let rewards = desk.prefer_by_tenant(preference).map_err(|wrong| ServeError::Invalid(vec![wrong]))?;
        let Desk { environment, swarm, .. } = desk;
        Ok((environment, swarm, rewards))
    }
}

/// The random end of a UUIDv7 as a session's number.
fn drawn() -> u32 {
    (Uuid::now_v7().as_u128() as u32) >> 1
}

fn desk(policy: &Policy, file: Option<&[u8]>) -> Result<Desk, ServeError> {
    let damaged = |what: &dyn std::fmt::Display| {
        ServeError::Internal(format!("the policy {} cannot be made again: {what}", policy.id))
    };
    let environment = policy.environment().map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect();
        damaged(&errors.join("; "))
    })?;
    let (swarm, reward) = match (policy.source, file) {
        (Source::Rule(rule), _) => (Swarm::of_rule(rule, &environment), Reward::default()),
        (Source::Learned(name), None) => return Err(ServeError::FileMissing(name)),
        (Source::Learned(_), Some(bytes)) => {
            let file = PolicyFile::parse(bytes).map_err(|error| damaged(&error))?;
            let named = file.training.reward.parse().unwrap_or_default();
            let reward = file.training.preference.map_or(named, Reward::Preference);
            (file.swarm(&environment).map_err(|error| damaged(&error))?, reward)
        }
    };
    Ok(Desk { environment, swarm, reward, wanted: reward })
}
