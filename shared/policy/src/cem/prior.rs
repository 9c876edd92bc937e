//! What `cem` carries from the worlds that it has met into a new one: a distribution of the weights, and how to search
//! around it.
//!
//! No weight is of a provider or a tenant, but what a GPU-hour or a USD is worth depends on how large and how dear requests
//! are, so that the weights of these are carried in points for a mean request's hours and costs. The spread is that of
//! weights drawn for a world drawn at random: what worlds differ in stays wide, and what holds in all of them is narrow.

use routing_env::Environment;
use serde::{Deserialize, Serialize};

use crate::{
    cem::{
        distribution::Distribution,
        knowledge::Knowledge,
        score::{NAMES, Unit, unit},
    },
    knowledge::Learned as _,
};

/// What it begins with: what it knows, in points for a mean request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Start(Knowledge);

/// How wide and how fast it searches; a prior may say it otherwise than it is done without one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// How many steps a generation has.
    pub(crate) generation_steps: u32,
    /// How far mean and variance move to the elite's.
    pub(crate) refit_rate: f64,
    /// So many times as wide as the start is the search around it at first.
    pub(crate) widening: f64,
    /// Whether noise keeps the spread up while generations are few.
    pub(crate) noisy: bool,
}

impl Default for Search {
    /// Three steps for each of the least number of members.
    fn default() -> Self {
        Self { generation_steps: 150, refit_rate: 0.8, widening: 1.0, noisy: true }
    }
}

impl Search {
    /// What is tried in meta-training; in its rounds, the first: as without a prior, which moves most.
    pub(crate) fn candidates() -> Vec<Self> {
        let of = |widening, refit_rate| Self { widening, refit_rate, noisy: false, ..Self::default() };
        vec![Self::default(), of(0.5, 0.8), of(0.25, 0.8), of(0.1, 0.8), of(0.1, 0.4)]
    }

    /// # Errors
    /// Says what cannot be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { generation_steps, refit_rate, widening, .. } = *self;
        if (10..=100_000).contains(&generation_steps)
            && refit_rate > 0.0
            && refit_rate <= 1.0
            && (0.0..=100.0).contains(&widening)
        {
            return Ok(());
        }
        Err("learning: expected 10 to 100000 generation_steps, a refit_rate above 0 and at most 1, and a widening from 0 to \
             100"
            .into())
    }
}

impl Start {
    /// What holds for worlds like these: the mixture of what it came to in each.
    pub(crate) fn pool(met: &[(&Environment, Knowledge)]) -> Result<Self, String> {
        let mut pooled: Option<Knowledge> = None;
        for (env, known) in met {
            let known = scaled(known.clone(), env, |value, unit| value * unit)?;
            match &mut pooled {
                Some(pooled) => pooled.merge(&known)?,
                None => pooled = Some(known),
            }
        }
        pooled.map(Self).ok_or_else(|| "expected at least one world".into())
    }

    /// Where to search in this world. It counts as no generation: none was seen here.
    pub(super) fn distribution(self, env: &Environment, widening: f64) -> Result<Distribution, String> {
        let mut distribution = Distribution::try_from(scaled(self.0, env, |value, unit| value / unit)?)?;
        distribution.generation = 0;
        distribution.spread.iter_mut().for_each(|spread| *spread *= widening);
        Ok(distribution)
    }
}

/// All weights in another unit.
fn scaled(known: Knowledge, env: &Environment, to: impl Fn(f64, f64) -> f64) -> Result<Knowledge, String> {
    let mut distribution = Distribution::try_from(known)?;
    for (weight, name) in NAMES.iter().enumerate() {
        let unit = match unit(name) {
            Unit::Request => 1.0,
            Unit::Hours => env.mean_gpu_hours(),
            Unit::Cost => env.mean_list_cost_usd().max(f64::MIN_POSITIVE),
        };
        distribution.mean[weight] = to(distribution.mean[weight], unit);
        distribution.spread[weight] = to(distribution.spread[weight], unit);
    }
    Ok(Knowledge::from(&distribution))
}
