//! What is said to a policy command and what it answers: one JSON object a line.

use serde::{Deserialize, Serialize};

/// The protocol's name and version.
pub(super) const PROTOCOL: &str = "ai-mesh-policy/1";

/// The first line: what is played.
#[derive(Serialize)]
pub(super) struct Hello<'a> {
    pub(super) protocol: &'static str,
    /// The preset.
    pub(super) environment: &'a str,
    /// Steps of an episode.
    pub(super) steps: u32,
    /// What each entry of an observation is called.
    pub(super) features: &'a [String],
    /// What each action is called.
    pub(super) actions: &'a [String],
}

/// The answer to it.
#[derive(Deserialize)]
pub(super) struct Welcome {
    pub(super) protocol: String,
    /// What the policy shall be called.
    #[serde(default)]
    pub(super) name: Option<String>,
}

/// A turn of the episodes that go on.
#[derive(Default, Serialize)]
pub(crate) struct TurnLine<'a> {
    /// Which of the episodes, numbered from 0.
    pub(crate) episodes: Vec<usize>,
    /// Their seeds.
    pub(crate) seeds: Vec<u64>,
    /// The steps that they are in, from 0.
    pub(crate) steps: Vec<u32>,
    /// The requests to decide.
    pub(crate) observations: Vec<&'a [f32]>,
    /// Which actions are allowed.
    pub(crate) action_masks: Vec<&'a [bool]>,
}

/// The answer to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choices {
    pub(super) choices: Vec<usize>,
}
