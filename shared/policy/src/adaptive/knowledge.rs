//! What `adaptive` knows. All of it is sums over what was seen, and two are merged by **adding** them: what is known then
//! is what one would know that had seen both.

use serde::{Deserialize, Serialize};

use crate::{
    adaptive::{model::Memory, tuning::Tuning},
    knowledge::Learned,
};

/// What it has learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Knowledge {
    pub(crate) tuning: Tuning,
    pub(crate) model: Memory,
}

impl Learned for Knowledge {
    const VERSION: u32 = 1;

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        self.tuning.add(&other.tuning)?;
        self.model.add(&other.model)
    }
}
