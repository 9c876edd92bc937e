//! An intervention, from its issue to its assessment. It is part of a snapshot: its names there never change.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

/// What an intervention does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum InterventionKind {
    /// Reset: the targets forget what no longer holds.
    Nigredo,
    /// Explore: the targets' ε rises for a while.
    Albedo,
}

impl InterventionKind {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Where an intervention stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterventionStatus {
    /// Sent in an answer.
    Issued,
    /// The swarm applied it.
    Acknowledged,
    /// The reward after it was compared with the reward before.
    Assessed,
    /// Never acknowledged in its time.
    Expired,
    /// The swarm tried it in forks of itself, and did without it.
    Declined,
}

/// How an intervention is to be carried out. Which fields are there depends on the kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterventionParameters {
    /// Nigredo: the share of the weight of what the targets learned that stays; without it they start afresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_kept: Option<f64>,
    /// Albedo: ε becomes min(`epsilon_max`, `epsilon_factor`·ε).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon_factor: Option<f64>,
    /// Albedo: the highest ε that it may lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon_max: Option<f64>,
    /// Albedo: for how many windows ε stays raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_windows: Option<u64>,
}

/// A command to the swarm, in the answer to a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intervention {
    /// Derived from swarm, window and kind, so that the same windows give the same ids.
    pub id: Uuid,
    /// What it does.
    pub kind: InterventionKind,
    /// The agents it is for.
    pub targets: Vec<u32>,
    /// How.
    pub parameters: InterventionParameters,
    /// Why, in a sentence.
    pub reason: String,
    /// The figures behind the reason.
    pub evidence: serde_json::Map<String, serde_json::Value>,
    /// The window whose answer carried it.
    pub issued_at_window: u64,
    /// In how many windows it must be acknowledged.
    pub expires_after_windows: u64,
    /// Issued by hand, not by the field.
    pub by_operator: bool,
}

/// The reward before and after an intervention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// How many windows on each side.
    pub windows: u64,
    /// Mean reward before.
    pub reward_before: f64,
    /// Mean reward after.
    pub reward_after: f64,
    /// 95 % interval of the difference (Welch), low end.
    pub difference_ci_low: f64,
    /// 95 % interval of the difference (Welch), high end.
    pub difference_ci_high: f64,
}

/// What an intervention was worth in forks of the swarm: so many pairs, of which one had it and the other had not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Pairs of forks.
    pub forks: u64,
    /// Windows that each fork played.
    pub windows: u64,
    /// Mean reward without it.
    pub reward_without: f64,
    /// Mean reward with it.
    pub reward_with: f64,
    /// 95 % interval of the paired difference (Student's t), low end.
    pub difference_ci_low: f64,
    /// 95 % interval of the paired difference (Student's t), high end.
    pub difference_ci_high: f64,
}

/// An intervention and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterventionRecord {
    /// The command.
    #[serde(flatten)]
    pub intervention: Intervention,
    /// Where it stands.
    pub status: InterventionStatus,
    /// The window that acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at_window: Option<u64>,
    /// What it brought, once enough windows have passed; not where forks have shown that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Assessment>,
    /// What it was worth in forks, where it was tried in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}
