//! The policy file: a learned policy with all that is needed to act on it and to judge it.

use routing_env::{Environment, Preference, Reward};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    error::SwarmError,
    fingerprint::Fingerprint,
    knowledge::Knowledge,
    registry::Algorithm,
    swarm::{Swarm, SwarmConfig},
};

/// The file's format and version. Version 1, in which every algorithm had the settings of all, is read too.
pub const POLICY_FORMAT: &str = "ai-mesh-policy/2";

/// As many agents as a run may have.
const MOST_AGENTS: u32 = 1000;

/// A learned policy (`swarm_final.json`). Same training, same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// [`POLICY_FORMAT`].
    pub format: String,
    /// How the swarm was made.
    pub swarm: SwarmConfig,
    /// The catalog and the tenants that it was trained for.
    pub trained_for: Fingerprint,
    /// What it was trained on.
    pub training: Training,
    /// Each agent's knowledge.
    pub agents: Vec<Knowledge>,
}

/// What a policy was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The preset.
    pub preset: String,
    /// The reward.
    pub reward: String,
    /// What was wanted, where it was not what `excess-cost` wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<Preference>,
    /// SHA-256 of the prior that it began with, in hexadecimal digits; absent where it began with none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// The seed of episode 0; episode e had this plus e.
    pub first_seed: u64,
    /// How many episodes.
    pub episodes: u32,
    /// Decisions made in training.
    pub decisions: u64,
}

impl PolicyFile {
    /// The file of a trained swarm.
    #[must_use]
    pub fn new(swarm: &Swarm, env: &Environment, training: Training) -> Self {
        Self {
            format: POLICY_FORMAT.into(),
            swarm: swarm.config().clone(),
            trained_for: Fingerprint::of(env),
            training,
            agents: swarm.acted_on(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not a policy file of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, SwarmError> {
        let not_a_file =
            |what: String| SwarmError::Mismatch(format!("expected a policy file (swarm_final.json): {what}"));
        let mut file: Value = json_input::from_slice(bytes).map_err(|e| not_a_file(e.to_string()))?;
        match file.get("format").and_then(Value::as_str) {
            Some(POLICY_FORMAT) => {}
            Some(VERSION_1) => upgrade(&mut file).map_err(not_a_file)?,
            Some(other) => {
                let what = format!("expected the format {POLICY_FORMAT} or {VERSION_1}, found `{other}`");
                return Err(SwarmError::Mismatch(what));
            }
            None => return Err(not_a_file("it has no `format`".into())),
        }
        json_input::from_value(&file).map_err(|e| not_a_file(e.to_string()))
    }

    /// The swarm, ready to act: it neither learns nor explores.
    ///
    /// # Errors
    /// When it was trained for other providers or tenants, or the file is damaged.
    pub fn swarm(&self, env: &Environment) -> Result<Swarm, SwarmError> {
        let here = Fingerprint::of(env);
        for (what, trained, found) in [
            ("providers", &self.trained_for.providers, &here.providers),
            ("tenants", &self.trained_for.tenants, &here.tenants),
        ] {
            if trained != found {
                return Err(SwarmError::Mismatch(format!(
                    "the policy was trained for the {what} {}, this environment has {}: train one for this catalog",
                    trained.join(", "),
                    found.join(", ")
                )));
            }
        }
        // Before as many agents are made as the file says that there are.
        if !(1..=MOST_AGENTS).contains(&self.swarm.agents) {
            let found = self.swarm.agents;
            return Err(SwarmError::Mismatch(format!("expected 1 to {MOST_AGENTS} agents, found {found}")));
        }
        let mut swarm = Swarm::new(self.swarm.clone(), env)?;
        if let Some(preference) = self.training.preference {
            swarm.prefer(preference, env);
        }
        swarm.absorb(&self.agents)?;
        swarm.freeze();
        Ok(swarm)
    }

    /// The swarm, ready to act for those who want this, whatever it was trained for.
    ///
    /// # Errors
    /// As [`Self::swarm`], and when what it has learned are the values of what it was trained for.
    pub fn swarm_for(&self, wanted: Preference, env: &Environment) -> Result<Swarm, SwarmError> {
        let mut swarm = self.swarm(env)?;
        let trained = self.training.preference.unwrap_or(Preference::EXCESS_COST);
        if swarm.prefer(wanted, env) || wanted == trained {
            return Ok(swarm);
        }
        let name = self.swarm.algorithm.name();
        let (wanted, trained) = (Reward::Preference(wanted), Reward::Preference(trained));
        Err(SwarmError::Mismatch(format!(
            "what {name} learns are the values of what it was trained for ({trained}), so that it cannot be asked for \
             another preference ({wanted}): train one for it, or ask a policy of adaptive or cem"
        )))
    }

    /// Whether both were trained in the same way, each on seeds of its own: with the same algorithm, settings and
    /// prior, as many agents and episodes, for the same catalog, tenants, preset and reward. Then luck alone makes them differ.
    #[must_use]
    pub fn is_trained_like(&self, other: &Self) -> bool {
        let way = |file: &Self| {
            let Training { preset, reward, preference, prior, episodes, .. } = &file.training;
            (preset.clone(), reward.clone(), *preference, prior.clone(), *episodes)
        };
        let (mine, its) = (self.training_seeds(), other.training_seeds());
        self.swarm == other.swarm
            && self.trained_for == other.trained_for
            && way(self) == way(other)
            && (mine.end <= its.start || its.end <= mine.start)
    }

    /// The seeds that it was trained on, which a test may not use.
    #[must_use]
    pub fn training_seeds(&self) -> std::ops::Range<u64> {
        let first = self.training.first_seed;
        first..first.saturating_add(self.training.episodes.into())
    }
}

/// The format before this one.
const VERSION_1: &str = "ai-mesh-policy/1";

/// Makes a file of version 1 one of this version: its swarm had the settings of all algorithms beside each other.
fn upgrade(file: &mut Value) -> Result<(), String> {
    let Some(Value::Object(swarm)) = file.get("swarm") else { return Err("it has no `swarm`".into()) };
    let mut settings = swarm.clone();
    let name = settings.remove("algorithm").and_then(|name| name.as_str().map(str::to_owned));
    let name = name.ok_or("expected the name of the swarm's `algorithm`")?;
    let agents = settings.remove("agents").unwrap_or_default();
    let replay = match settings.remove("replay") {
        Some(Value::Object(mut replay)) => {
            replay.insert("enabled".into(), true.into());
            replay
        }
        _ => Map::from_iter([("enabled".to_owned(), false.into())]),
    };
    settings.insert("replay".into(), replay.into());
    let algorithm = Algorithm::of_union(&name, &settings).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("its swarm's {}", told.join("; "))
    })?;
    file["swarm"] = json!({"algorithm": algorithm, "agents": agents});
    file["format"] = POLICY_FORMAT.into();
    Ok(())
}
