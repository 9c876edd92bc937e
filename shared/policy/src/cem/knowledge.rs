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
        let generations = [self.generation, other.generation];
        for (weight, other) in self.weights.iter_mut().zip(&other.weights) {
            let normals = [(weight.mean, weight.spread), (other.mean, other.spread)];
            (weight.mean, weight.spread) = mixture(normals, generations);
        }
        self.generation = self.generation.saturating_add(other.generation);
        Ok(())
    }
}

impl Distribution {
    /// Becomes the mixture of it and another one.
    pub(super) fn mix(&mut self, other: &Self) {
        let generations = [self.generation, other.generation];
        let own = self.mean.iter_mut().zip(&mut self.spread);
        for ((mean, spread), other) in own.zip(other.mean.iter().zip(&other.spread)) {
            (*mean, *spread) = mixture([(*mean, *spread), (*other.0, *other.1)], generations);
        }
        self.generation = self.generation.saturating_add(other.generation);
    }
}

/// Mean and spread of the mixture of two normal distributions, weighted by their generations. One of none knows nothing.
fn mixture([own, other]: [(f64, f64); 2], generations: [u32; 2]) -> (f64, f64) {
    if generations[1] == 0 {
        return own;
    }
    let second_moment = |(mean, spread): (f64, f64)| spread.powi(2) + mean.powi(2);
    let mean_of =
        |own, other| weighted_mean((own, f64::from(generations[0])), (other, f64::from(generations[1])));
    let mean = mean_of(own.0, other.0);
    (mean, (mean_of(second_moment(own), second_moment(other)) - mean.powi(2)).max(0.0).sqrt())
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
