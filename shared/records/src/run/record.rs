use api::{
    Hash,
    remembrancer::{NewRecord, Record},
};
use uuid::Uuid;

use super::{Cancelling, Checkpointed, Created, Ended, Labelled, Pause};
use crate::{Body as _, own_id};

/// Any of the records about a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunRecord {
    /// It was asked for.
    Created(Box<Created>),
    /// It was checkpointed.
    Checkpointed(Checkpointed),
    /// It was given other labels.
    Labelled(Labelled),
    /// It was paused, or resumed.
    Pause(Pause),
    /// It was cancelled.
    Cancelling(Cancelling),
    /// It ended.
    Ended(Ended),
}

impl RunRecord {
    /// The run that it is about.
    #[must_use]
    pub fn run(&self) -> Uuid {
        match self {
            Self::Created(body) => body.run_id,
            Self::Checkpointed(body) => body.run_id,
            Self::Labelled(body) => body.run_id,
            Self::Pause(body) => body.run_id,
            Self::Cancelling(body) => body.run_id,
            Self::Ended(body) => body.run_id,
        }
    }

    /// The digest of that run.
    #[must_use]
    pub fn digest(&self) -> Hash {
        match self {
            Self::Created(body) => body.digest,
            Self::Checkpointed(body) => body.digest,
            Self::Labelled(body) => body.digest,
            Self::Pause(body) => body.digest,
            Self::Cancelling(body) => body.digest,
            Self::Ended(body) => body.digest,
        }
    }

    /// The record's id.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Created(body) => body.id(),
            Self::Checkpointed(body) => body.id(),
            Self::Labelled(body) => body.id(),
            Self::Pause(body) => body.id(),
            Self::Cancelling(body) => body.id(),
            Self::Ended(body) => body.id(),
        }
    }

    /// The record to append.
    ///
    /// # Errors
    /// As [`crate::Body::to_record`].
    pub fn to_record(&self) -> Result<NewRecord, serde_json::Error> {
        match self {
            Self::Created(body) => body.to_record(),
            Self::Checkpointed(body) => body.to_record(),
            Self::Labelled(body) => body.to_record(),
            Self::Pause(body) => body.to_record(),
            Self::Cancelling(body) => body.to_record(),
            Self::Ended(body) => body.to_record(),
        }
    }

    /// Reads a record; `None` when it is none of a run's. The id tells which, for all of them were of the kind `run`
    /// once.
    #[must_use]
    pub fn read(record: &Record) -> Option<Self> {
        let (_, event) = own_id(&record.id).split_once(':')?;
        let body = match event.split_once(':').map_or(event, |(event, _)| event) {
            "created" => Created::read(record).map(|body| Self::Created(Box::new(body))),
            "checkpoint" => Checkpointed::read(record).map(Self::Checkpointed),
            "labelled" => Labelled::read(record).map(Self::Labelled),
            "paused" | "resumed" => Pause::read(record).map(Self::Pause),
            "cancelling" => Cancelling::read(record).map(Self::Cancelling),
            _ => Ended::read(record).map(Self::Ended),
        };
        body.ok()
    }
}
