//! One turn as a request-aware agent remembers it.

use serde::{Deserialize, Serialize};

use crate::q_learning::request::state::StateAction;

/// What was done, what it earned, and what could be done at the agent's next turn with a request of the tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experience {
    #[serde(rename = "s")]
    pub(crate) at: StateAction,
    /// What the tenant's requests lost until then, beyond what the choice promised.
    #[serde(rename = "r")]
    pub(crate) earned: f64,
    /// Empty at the step's end. Of each choice what it promises, beyond the best offer at the step's start.
    #[serde(rename = "n")]
    pub(crate) next: Vec<(StateAction, f64)>,
}
