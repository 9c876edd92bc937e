//! Evaluations in the caller's own process, with policies that only the caller can play. Nothing of them is recorded.

use std::collections::BTreeMap;

use api::{
    FieldError, Hash,
    evaluator::{EvaluationResult, NewEvaluation},
};
use evaluation::{
    bounds,
    csv::to_csv,
    episodes::{Contestant, with_never_trained},
    evaluate::evaluate,
    origin::Provenance,
    plan::Plan,
    progress::Progress,
};

use crate::{conversion::to_wire, plan::plan, policies};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The request is wrong, which is told field by field.
    #[error("{}", .0.iter().map(|field| format!("{}: {}", field.pointer, field.detail)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// A policy cannot be played.
    #[error("{0}")]
    Policy(String),
    /// A policy that was played elsewhere lacks a seed.
    #[error("the policies that were played elsewhere lack seeds of the evaluation")]
    SeedsMissing,
}

/// An evaluation that can be done.
pub struct LocalEvaluation {
    plan: Plan,
    learned: Vec<Contestant>,
}

/// What was found.
pub struct LocalResult {
    /// As the evaluator would tell it.
    pub result: EvaluationResult,
    /// The same as CSV.
    pub csv: String,
    /// Why the limit could not be solved; the result is then without it.
    pub unsolved: Option<String>,
}

impl LocalEvaluation {
    /// Checks a request whose policy files are these.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn new(request: &NewEvaluation, files: &BTreeMap<Hash, Vec<u8>>) -> Result<Self, LocalError> {
        let plan = plan(request).map_err(LocalError::Invalid)?;
        let wrong = |error: &dyn ToString| LocalError::Policy(error.to_string());
        let read = |artifact: &[u8; 32]| {
            let name = Hash(*artifact);
            let bytes =
                files.get(&name).ok_or_else(|| LocalError::Policy(format!("there is no file {name}")))?;
            policies::read(
                name,
                bytes,
                Provenance::Unverified,
                &plan.environment,
                plan.preference,
                &plan.seeds,
            )
            .map_err(|error| wrong(&error))
        };
        let of_policy = |trainings: &Vec<[u8; 32]>| {
            let trainings = trainings.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            policies::contestant(trainings).map_err(|error| wrong(&error))
        };
        let learned = plan.policies.iter().map(of_policy).collect::<Result<Vec<_>, _>>()?;
        let learned =
            with_never_trained(learned, &plan.environment, plan.preference).map_err(|error| wrong(&error))?;
        Ok(Self { plan, learned })
    }

    /// What is to be played.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Plays the others, solves the limit, and judges all; `played` were played by the caller on the plan's seeds.
    ///
    /// # Errors
    /// A seed is missing.
    pub fn judge(self, mut played: Vec<Contestant>, progress: &Progress) -> Result<LocalResult, LocalError> {
        let Self { plan, learned } = self;
        played.extend(learned);
        let keys = plan
            .sample
            .as_ref()
            .map(|sample| bounds::keys(&plan.environment, plan.preference, sample, &plan.seeds, progress));
        let keys = keys.flatten().unwrap_or_default();
        let known = vec![None; keys.len()];
        let found = evaluate(&plan, played, &keys, known, progress).ok_or(LocalError::SeedsMissing)?;
        let csv = to_csv(&found.report).map_err(|error| LocalError::Policy(error.to_string()))?;
        let unsolved = found.unsolved.map(|error| error.to_string());
        Ok(LocalResult { result: to_wire(&found.report), csv, unsolved })
    }
}
