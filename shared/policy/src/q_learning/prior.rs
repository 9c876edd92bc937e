//! What `q-learning` carries from one world into another: what it knows of the states of a catalog and its tenants, across
//! presets and loads of these. In another catalog the same states mean something else.

use routing_env::Environment;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{fingerprint::Fingerprint, knowledge::Learned as _, q_learning::knowledge::Knowledge};

/// What it begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    learned_for: Fingerprint,
    known: Value,
}

/// How it learns from there: as without a prior.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ways {}

impl Start {
    /// All that was learned in worlds of one catalog.
    pub(crate) fn pool(met: &[(&Environment, Knowledge)]) -> Result<Self, String> {
        let ((env, known), others) = met.split_first().ok_or("expected at least one world")?;
        let learned_for = Fingerprint::of(env);
        let mut pooled = known.clone();
        for (env, known) in others {
            if Fingerprint::of(env) != learned_for {
                return Err(
                    "expected worlds of one catalog and its tenants: q-learning's states are of these".into(),
                );
            }
            pooled.merge(known)?;
        }
        let known = serde_json::to_value(pooled).map_err(|error| error.to_string())?;
        Ok(Self { learned_for, known })
    }

    /// What it knows, in a form of this version, where this is its catalog.
    pub(crate) fn known(self, env: &Environment, version: u32) -> Result<Knowledge, String> {
        let here = Fingerprint::of(env);
        if here != self.learned_for {
            return Err(format!(
                "it was learned for the providers {}, this environment has {}: q-learning's states are of one catalog and \
                 its tenants",
                self.learned_for.providers.join(", "),
                here.providers.join(", ")
            ));
        }
        Knowledge::read(version, &self.known)
    }
}
