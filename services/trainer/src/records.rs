//! A run's life in the ledger: the records from which the trainer finds its runs again.

use api::{
    Hash,
    remembrancer::{NewRecord, Record, RecordKind, run_subject},
    trainer::{Checkpoint, EnvironmentSpec, Labels, NewRun, RunStatus},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A record about a run.
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
    /// It ended.
    Ended(Ended),
}

/// Body of `{run}:created`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The run.
    pub run_id: Uuid,
    /// Its digest: the `run` of its decisions.
    pub digest: Hash,
    /// SHA-256 of its environment's definition.
    pub environment_sha256: Hash,
    /// What was asked for.
    pub config: NewRun,
    /// The configuration's environment as JSON text, when it brings files of its own: the order of a
    /// workload mix has a meaning, and canonical JSON does not keep the order of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_json: Option<String>,
    /// The caller's key for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The run that was rewound to begin it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewound_from: Option<Uuid>,
}

/// Body of `{run}:checkpoint:{episodes_done}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpointed {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// Episodes done.
    pub episodes_done: u32,
    /// Decisions made.
    pub decisions: u64,
    /// RFC 6962 root over the decisions.
    pub run_root: Hash,
    /// The artifact that holds the checkpoint.
    pub checkpoint_sha256: Hash,
    /// The artifact that lists the interventions applied so far, when there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interventions_sha256: Option<Hash>,
    /// False when the run went on without psi-field at some time.
    pub reproducible: bool,
}

/// Body of `{run}:labelled:{change}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// Which change of its labels.
    pub change: Uuid,
    /// Its labels from now on.
    pub labels: Labels,
}

/// Body of `{run}:paused:{number}` and of `{run}:resumed:{number}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// Which of its pauses, from 1.
    pub number: u32,
    /// False when the pause begins, true when it ends.
    pub resumed: bool,
}

/// Body of `{run}:{status}`: the record that binds the run's id to its digest and its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// How it ended.
    pub status: RunStatus,
    /// RFC 6962 root over its decisions; absent when it made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_root: Option<Hash>,
    /// Decisions made.
    pub decisions: u64,
    /// Episodes done.
    pub episodes_done: u32,
    /// The learned policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// Its last checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_sha256: Option<Hash>,
    /// False when the run went on without psi-field at some time.
    pub reproducible: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Created {
    /// The configuration exactly as it was asked for.
    ///
    /// # Errors
    /// When `environment_json` is not what this trainer writes.
    pub fn exact_config(&self) -> Result<NewRun, serde_json::Error> {
        let mut config = self.config.clone();
        if let Some(text) = &self.environment_json {
            config.environment = serde_json::from_str(text)?;
        }
        Ok(config)
    }

    /// The environment's text, when its files' order must be kept.
    #[must_use]
    pub fn environment_json(environment: &EnvironmentSpec) -> Option<String> {
        let own_files = environment.providers.is_some() || environment.workloads.is_some();
        own_files.then(|| serde_json::to_string(environment).ok()).flatten()
    }
}

impl Checkpointed {
    /// The checkpoint as the API shows it.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            sha256: self.checkpoint_sha256,
            episodes_done: self.episodes_done,
            decisions: self.decisions,
            run_root: self.run_root,
        }
    }
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
            Self::Ended(body) => body.run_id,
        }
    }

    /// Its id: the same event has the same id, so that it is recorded once.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Created(body) => format!("{}:created", body.run_id),
            Self::Checkpointed(body) => format!("{}:checkpoint:{}", body.run_id, body.episodes_done),
            Self::Labelled(body) => format!("{}:labelled:{}", body.run_id, body.change),
            Self::Pause(body) if body.resumed => format!("{}:resumed:{}", body.run_id, body.number),
            Self::Pause(body) => format!("{}:paused:{}", body.run_id, body.number),
            Self::Ended(body) => format!("{}:{}", body.run_id, status_name(body.status)),
        }
    }

    /// The record to append.
    #[must_use]
    pub fn to_new_record(&self) -> NewRecord {
        let body = match self {
            Self::Created(body) => serde_json::to_value(body),
            Self::Checkpointed(body) => serde_json::to_value(body),
            Self::Labelled(body) => serde_json::to_value(body),
            Self::Pause(body) => serde_json::to_value(body),
            Self::Ended(body) => serde_json::to_value(body),
        };
        let body = match body {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(), // structs of texts and finite numbers are always objects
        };
        NewRecord { id: Some(self.id()), kind: RecordKind::Run, subject: run_subject(self.run()), body }
    }

    /// Reads a record; `None` when it is none of a trainer's.
    #[must_use]
    pub fn parse(record: &Record) -> Option<Self> {
        if record.kind != RecordKind::Run {
            return None;
        }
        let (run, event) = record.id.split_once(':')?;
        let run: Uuid = run.parse().ok()?;
        let body = serde_json::Value::Object(record.body.clone());
        let parsed = match event {
            "created" => Self::Created(serde_json::from_value(body).ok()?),
            _ if event.starts_with("checkpoint:") => Self::Checkpointed(serde_json::from_value(body).ok()?),
            _ if event.starts_with("labelled:") => Self::Labelled(serde_json::from_value(body).ok()?),
            _ if event.starts_with("paused:") || event.starts_with("resumed:") => {
                Self::Pause(serde_json::from_value(body).ok()?)
            }
            _ => Self::Ended(serde_json::from_value(body).ok()?),
        };
        (parsed.run() == run && parsed.id() == record.id).then_some(parsed)
    }
}

/// A status as it stands on the wire.
#[must_use]
pub fn status_name(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Paused => "paused",
        RunStatus::Completed => "completed",
        RunStatus::Stopped => "stopped",
        RunStatus::Cancelled => "cancelled",
        RunStatus::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::json;

    use super::*;

    const RUN: Uuid = Uuid::from_u128(7);

    /// What the ledger gives back: canonical JSON, whose objects are sorted by key.
    fn recorded(record: &RunRecord) -> Record {
        let new = record.to_new_record();
        let bytes = merkle_log::canonical_json(&new.body).unwrap();
        Record {
            log_index: 1,
            id: new.id.unwrap(),
            kind: new.kind,
            subject: new.subject,
            recorded_at: Utc::now(),
            body: serde_json::from_slice(&bytes).unwrap(),
        }
    }

    #[test]
    fn every_record_is_read_back() {
        let hash = Hash([1; 32]);
        let records = [
            RunRecord::Checkpointed(Checkpointed {
                run_id: RUN,
                digest: hash,
                episodes_done: 20,
                decisions: 5,
                run_root: hash,
                checkpoint_sha256: hash,
                interventions_sha256: None,
                reproducible: true,
            }),
            RunRecord::Labelled(Labelled {
                run_id: RUN,
                digest: hash,
                change: RUN,
                labels: Labels { name: Some("n".into()), tags: vec!["t".into()], notes: None },
            }),
            RunRecord::Pause(Pause { run_id: RUN, digest: hash, number: 2, resumed: false }),
            RunRecord::Pause(Pause { run_id: RUN, digest: hash, number: 2, resumed: true }),
            RunRecord::Ended(Ended {
                run_id: RUN,
                digest: hash,
                status: RunStatus::Cancelled,
                run_root: None,
                decisions: 0,
                episodes_done: 0,
                policy_sha256: None,
                checkpoint_sha256: None,
                reproducible: false,
                error: None,
            }),
        ];
        let labelled = format!("labelled:{RUN}");
        for (record, id) in
            records.iter().zip(["checkpoint:20", &labelled, "paused:2", "resumed:2", "cancelled"])
        {
            let there = recorded(record);
            assert_eq!(there.id, format!("{RUN}:{id}"));
            assert_eq!(there.subject, format!("run:{RUN}"));
            assert_eq!(RunRecord::parse(&there).as_ref(), Some(record));
        }
    }

    #[test]
    fn the_order_of_a_workload_mix_survives_the_ledger() {
        let text = r#"{"preset":null,"workloads":{"mix":{"zeta":0.5,"alpha":0.5}}}"#;
        let environment: EnvironmentSpec = serde_json::from_str(text).unwrap();
        let created = RunRecord::Created(Box::new(Created {
            run_id: RUN,
            digest: Hash([1; 32]),
            environment_sha256: Hash([2; 32]),
            environment_json: Created::environment_json(&environment),
            config: NewRun { environment, ..NewRun::default() },
            idempotency_key: Some("k".into()),
            rewound_from: None,
        }));
        let Some(RunRecord::Created(back)) = RunRecord::parse(&recorded(&created)) else { panic!() };
        let config = back.exact_config().unwrap();
        assert_eq!(serde_json::to_string(&config.environment).unwrap(), text);
    }

    #[test]
    fn records_of_others_are_passed_over() {
        let other = |id: &str, body: serde_json::Value| Record {
            log_index: 0,
            id: id.into(),
            kind: RecordKind::Run,
            subject: "x".into(),
            recorded_at: Utc::now(),
            body: body.as_object().unwrap().clone(),
        };
        assert_eq!(RunRecord::parse(&other("note", json!({}))), None);
        assert_eq!(RunRecord::parse(&other(&format!("{RUN}:created"), json!({"run_id": RUN}))), None);
    }
}
