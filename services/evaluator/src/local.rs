//! Evaluations in the caller's own process, with policies that only the caller can play. Nothing of them is recorded.

use std::collections::BTreeMap;

use api::{
    FieldError, Hash,
    evaluator::{EvaluationResult, NewEvaluation},
};
use evaluation::{
    episodes::{Contestant, with_never_trained},
    evaluate::{Found, evaluate, limit_keys},
    origin::Provenance,
    plan::Plan,
    progress::Progress,
};

use crate::{conversion::to_wire, fronts, plan::plan, policies, results_csv::results_csv};

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
    /// What was found cannot be told.
    #[error("{0}")]
    Broken(String),
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
                plan.kind.preferences(),
                !plan.constraints.is_empty(),
                &plan.seeds,
            )
            .map_err(|error| wrong(&error))
        };
        let of_policy = |trainings: &Vec<[u8; 32]>| {
            let trainings = trainings.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            policies::contestant(trainings).map_err(|error| wrong(&error))
        };
        let learned = plan.policies.iter().map(of_policy).collect::<Result<Vec<_>, _>>()?;
        let learned = with_never_trained(learned, &plan.environment, plan.kind.first_preference())
            .map_err(|error| wrong(&error))?;
        Ok(Self { plan, learned })
    }

    /// What is to be played.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Plays the others, solves the limit, and judges all; `played` were played by the caller on the plan's seeds, under one
    /// preference.
    ///
    /// # Errors
    /// A seed is missing. Under many preferences, the limit cannot be solved, or the caller has played.
    pub fn judge(self, mut played: Vec<Contestant>, progress: &Progress) -> Result<LocalResult, LocalError> {
        let Self { plan, learned } = self;
        played.extend(learned);
        let keys = limit_keys(&plan, progress).ok_or(LocalError::SeedsMissing)?;
        let known = vec![None; keys.len()];
        let found = evaluate(&plan, played, &keys, known, progress).ok_or(LocalError::SeedsMissing)?;
        let broken = |error: &dyn ToString| LocalError::Broken(error.to_string());
        let (result, unsolved) = match found.map_err(|error| broken(&error))? {
            Found::Comparison(found) => {
                (to_wire(&found.report), found.unsolved.map(|error| error.to_string()))
            }
            Found::Fronts(found) => (fronts::to_wire(&plan, &found), None),
        };
        let csv = results_csv(&result).map_err(|error| broken(&error))?;
        Ok(LocalResult { result, csv, unsolved })
    }
}
