//! Importing a policy: checked, recorded, then known.

use std::sync::Arc;

use api::{FieldError, Hash, policies::NewPolicy, remembrancer::Record};
use axum::body::Bytes;
use chrono::Utc;
use client::LedgerError;
use policy::{Fingerprint, PolicyFile, Rule};
use records::{
    Body as _,
    policy::{Imported, subject},
};
use routing_env::Environment;

use super::{DescribeError, Origin, Policies, Policy, Source, identity::Identity};
use crate::{
    digest::{environment_sha256, sha256},
    ledger::{FILE_DEADLINE, REQUEST_DEADLINE},
    run_config::environment,
};

/// Why a policy was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Fields are wrong.
    #[error("the policy is not valid")]
    Invalid(Vec<FieldError>),
    /// It was trained for other providers or tenants than the environment's.
    #[error("{detail}")]
    OfAnotherCatalog {
        /// The field that it came in.
        pointer: &'static str,
        /// Names both.
        detail: String,
    },
    /// The remembrancer did not take it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The program is wrong.
    #[error("{0}")]
    Internal(String),
}

/// A policy that has been read and fits its environment.
struct Fitting {
    source: Source,
    algorithm: String,
    agents: u32,
    /// The file to be stored, when the remembrancer may not have it.
    content: Option<Bytes>,
}

impl Policies {
    /// Imports a policy, or finds the one that was imported so before; true when it is new. It is in the
    /// ledger before this returns, so that it is not forgotten from then on.
    ///
    /// # Errors
    /// Nothing was imported.
    pub async fn import(&self, new: NewPolicy) -> Result<(Arc<Policy>, bool), ImportError> {
        let internal = |error: &dyn ToString| ImportError::Internal(error.to_string());
        let NewPolicy { name, file, artifact, rule, environment: spec } = new;
        let environment = environment(&spec);
        let chosen = chosen(file, artifact, rule);
        let (environment, chosen) = match (environment, chosen) {
            (Ok(environment), Ok(chosen)) => (environment, chosen),
            (environment, chosen) => {
                let errors = [chosen.err(), environment.err()].into_iter().flatten().flatten();
                return Err(ImportError::Invalid(errors.collect()));
            }
        };
        let environment_sha256 = environment_sha256(&environment);
        let fitting = match chosen {
            Chosen::Rule(rule) => Fitting {
                source: Source::Rule(rule),
                algorithm: rule.name().to_owned(),
                agents: 1,
                content: None,
            },
            Chosen::File(file) => blocking(move || of_file(&file, &environment)).await?,
            Chosen::Artifact(name) => {
                let bytes = self.file(name).await?.ok_or_else(|| {
                    let detail = format!(
                        "the remembrancer has no artifact {name}: PUT the file there first, to /v1/artifacts/{name}"
                    );
                    invalid("/artifact", detail)
                })?;
                blocking(move || of_artifact(name, &bytes, &environment)).await?
            }
        };
        let id = Identity::new(name.as_deref(), fitting.source, environment_sha256)
            .policy_id()
            .map_err(|error| internal(&error))?;
        if let Some(known) = self.get(id) {
            return Ok((known, false));
        }
        if let Some(content) = fitting.content {
            self.0.ledger.within(FILE_DEADLINE).put_artifact("application/json", content).await?;
        }
        let policy = Policy::describe(Origin {
            id,
            name,
            source: fitting.source,
            algorithm: fitting.algorithm,
            agents: fitting.agents,
            run: None,
            environment: spec,
            created_at: Utc::now(),
            record_id: subject(id), // an import has no other record
        })
        .map_err(|error| match error {
            DescribeError::Environment(errors) => ImportError::Invalid(errors),
            DescribeError::Canonical(error) => internal(&error),
        })?;
        let imported = policy.imported().map_err(|error| internal(&error))?;
        // The ledger says who was first: others may import the same at this moment.
        let ledger = self.0.ledger.within(REQUEST_DEADLINE);
        let record = imported.to_record().map_err(|error| internal(&error))?;
        // Under this id there can be no other policy: what says so was planted.
        let is_own = |there: &Record| {
            Imported::read(there).is_ok_and(|there| {
                (&there.name, &there.algorithm, there.policy_sha256, there.environment_sha256)
                    == (
                        &imported.name,
                        &imported.algorithm,
                        imported.policy_sha256,
                        imported.environment_sha256,
                    )
            })
        };
        let (receipt, is_new) = ledger.append_own(&record, is_own).await?;
        let policy = Policy { record_id: receipt.id, ..policy };
        tracing::info!(policy = %policy.id, algorithm = policy.algorithm, is_new, "policy imported");
        let (policy, _) = self.insert(policy);
        Ok((policy, is_new))
    }
}

/// Which policy is imported.
enum Chosen {
    File(serde_json::Value),
    Artifact(Hash),
    Rule(Rule),
}

/// The one source that is given.
fn chosen(
    file: Option<serde_json::Value>,
    artifact: Option<Hash>,
    rule: Option<String>,
) -> Result<Chosen, Vec<FieldError>> {
    let wrong = |pointer: &str, detail: String| vec![FieldError { pointer: pointer.to_owned(), detail }];
    match (file, artifact, rule) {
        (Some(file), None, None) => Ok(Chosen::File(file)),
        (None, Some(artifact), None) => Ok(Chosen::Artifact(artifact)),
        (None, None, Some(rule)) => match rule.parse() {
            Ok(rule) => Ok(Chosen::Rule(rule)),
            Err(error) => Err(wrong("/rule", error.to_string())),
        },
        (None, None, None) => {
            Err(wrong("", "expected one of `file`, `artifact` and `rule`: none says which policy".into()))
        }
        (file, artifact, rule) => {
            let given =
                [("/file", file.is_some()), ("/artifact", artifact.is_some()), ("/rule", rule.is_some())];
            let given = given.into_iter().filter(|(_, given)| *given);
            let detail = "expected only one of `file`, `artifact` and `rule`";
            Err(given.flat_map(|(pointer, _)| wrong(pointer, detail.to_owned())).collect())
        }
    }
}

/// A file that came in the body. What is stored are the bytes that a run writes of the same policy.
fn of_file(file: &serde_json::Value, environment: &Environment) -> Result<Fitting, ImportError> {
    let internal = |error: serde_json::Error| ImportError::Internal(error.to_string());
    let bytes = serde_json::to_vec(file).map_err(internal)?;
    let file = fitting_file("/file", &bytes, environment)?;
    let content = serde_json::to_vec(&file).map_err(internal)?;
    Ok(Fitting {
        source: Source::Learned(sha256(&content)),
        algorithm: file.swarm.algorithm.name().to_owned(),
        agents: file.swarm.agents,
        content: Some(content.into()),
    })
}

fn of_artifact(name: Hash, bytes: &[u8], environment: &Environment) -> Result<Fitting, ImportError> {
    let file = fitting_file("/artifact", bytes, environment)?;
    Ok(Fitting {
        source: Source::Learned(name),
        algorithm: file.swarm.algorithm.name().to_owned(),
        agents: file.swarm.agents,
        content: None,
    })
}

/// Reads a policy file and makes its swarm once, so that it can be made again.
fn fitting_file(
    pointer: &'static str,
    bytes: &[u8],
    environment: &Environment,
) -> Result<PolicyFile, ImportError> {
    let file = PolicyFile::parse(bytes).map_err(|error| invalid(pointer, error.to_string()))?;
    match file.swarm(environment) {
        Ok(_) => Ok(file),
        Err(error) if file.trained_for != Fingerprint::of(environment) => {
            Err(ImportError::OfAnotherCatalog { pointer, detail: error.to_string() })
        }
        Err(error) => Err(invalid(pointer, error.to_string())),
    }
}

fn invalid(pointer: &str, detail: String) -> ImportError {
    ImportError::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail }])
}

/// A policy file may be large.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ImportError::Internal(error.to_string()))?
}
