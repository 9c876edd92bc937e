//! What `cem` knows: the distribution that it has come to. Two are merged as a **mixture weighted by their generations**:
//! the means' weighted mean, and the variance that draws from both would have. Generations add up.

use serde::{Deserialize, Serialize};

use super::{
    distribution::Distribution,
    score::{NAMES, WEIGHTS},
};
use crate::knowledge::{Learned, weighted_mean};

/// What it has learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Knowledge {
    generation: u32,
    weights: Vec<Weight>,
}

/// One weight's normal distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weight {
    name: String,
    mean: f64,
    spread: f64,
}

impl Learned for Knowledge {
    const VERSION: u32 = 1;

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        if !self.weights.iter().map(|weight| &weight.name).eq(other.weights.iter().map(|weight| &weight.name))
        {
            return Err("expected the same weights".into());
        }
        if other.generation == 0 {
            return Ok(()); // it knows nothing
        }
        let (own, others) = (f64::from(self.generation), f64::from(other.generation));
        for (weight, other) in self.weights.iter_mut().zip(&other.weights) {
            let second_moment = |of: &Weight| of.spread.powi(2) + of.mean.powi(2);
            let moment = weighted_mean((second_moment(weight), own), (second_moment(other), others));
            weight.mean = weighted_mean((weight.mean, own), (other.mean, others));
            weight.spread = (moment - weight.mean.powi(2)).max(0.0).sqrt();
        }
        self.generation = self.generation.saturating_add(other.generation);
        Ok(())
    }
}

impl From<&Distribution> for Knowledge {
    fn from(distribution: &Distribution) -> Self {
        let normals = distribution.mean.iter().zip(&distribution.spread).zip(NAMES);
        let weights =
            normals.map(|((&mean, &spread), name)| Weight { name: name.into(), mean, spread }).collect();
        Self { generation: distribution.generation, weights }
    }
}

impl TryFrom<Knowledge> for Distribution {
    type Error = String;

    fn try_from(knowledge: Knowledge) -> Result<Self, String> {
        if knowledge.weights.len() != WEIGHTS {
            return Err(format!("weights: expected {WEIGHTS}, found {}", knowledge.weights.len()));
        }
        for (weight, expected) in knowledge.weights.iter().zip(NAMES) {
            let Weight { name, mean, spread } = weight;
            if name != expected {
                return Err(format!("weights: expected `{expected}`, found `{name}`"));
            }
            if !mean.is_finite() || !spread.is_finite() || *spread < 0.0 {
                return Err(format!("weight `{name}`: expected a mean and a spread of at least 0"));
            }
        }
        let (mean, spread) = knowledge.weights.iter().map(|w| (w.mean, w.spread)).unzip();
        Ok(Self { mean, spread, generation: knowledge.generation })
    }
}
