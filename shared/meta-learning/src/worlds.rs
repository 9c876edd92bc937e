//! Worlds at random: catalogs and workloads that nobody has seen, each under a preset and with a load of its own.
//!
//! What a world is for is a part of its type, and its seed is made of that: no world that a prior is tested in can have been
//! learned from, and whoever learns cannot be handed one.

use std::marker::PhantomData;

use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_pcg::Pcg64;
use routing_env::{Catalog, Environment, InputError, Preset, RandomFiles, Workloads};

/// The presets that are drawn from: those in which it matters who is served.
const PRESETS: [Preset; 5] =
    [Preset::Contended, Preset::Overloaded, Preset::Congested, Preset::Drifting, Preset::Unreliable];

/// How many providers and tenants a world has.
const PROVIDERS: std::ops::RangeInclusive<usize> = 3..=12;
const TENANTS: std::ops::RangeInclusive<usize> = 2..=8;

/// The least and the most that the usual load is multiplied by.
const LOADS: [f64; 2] = [0.6, 1.6];

/// What worlds are for.
pub trait Purpose: Send + Sync + 'static {
    /// Its name.
    const NAME: &'static str;

    /// The first of its 2^32 seeds, a multiple of that: no two purposes share any.
    const FIRST_SEED: u64;
}

/// Worlds that a prior is learned from.
#[derive(Clone, Copy, Debug)]
pub struct MetaTraining;

/// Worlds that decide between priors, and between ways of learning.
#[derive(Clone, Copy, Debug)]
pub struct MetaValidation;

/// Worlds that nothing is decided by: they show what a prior is worth.
#[derive(Clone, Copy, Debug)]
pub struct Test;

impl Purpose for MetaTraining {
    const NAME: &'static str = "meta-training";
    const FIRST_SEED: u64 = 1 << 40;
}

impl Purpose for MetaValidation {
    const NAME: &'static str = "meta-validation";
    const FIRST_SEED: u64 = 2 << 40;
}

impl Purpose for Test {
    const NAME: &'static str = "test";
    const FIRST_SEED: u64 = 3 << 40;
}

/// A world that is used for nothing but that.
#[derive(Clone, Debug)]
pub struct World<P> {
    seed: u64,
    env: Environment,
    purpose: PhantomData<P>,
}

impl<P: Purpose> World<P> {
    /// The world of this number.
    ///
    /// # Errors
    /// When files that were drawn are not valid, which a test rules out for thousands of them.
    pub fn draw(number: u32) -> Result<Self, InputError> {
        let seed = P::FIRST_SEED + u64::from(number);
        let mut rng = generator(seed);
        let (providers, tenants) = (rng.random_range(PROVIDERS), rng.random_range(TENANTS));
        let files = RandomFiles::draw(&mut rng, providers, tenants);
        let catalog = Catalog::from_value("providers", &files.providers)?;
        let workloads = Workloads::from_value("workloads", &files.workloads, &catalog)?;
        Self::with(&mut rng, seed, catalog, workloads)
    }

    /// The world of this number where the catalog and the workloads are those of this environment: a preset and a load.
    ///
    /// # Errors
    /// When a load makes a figure of the workloads leave its range.
    pub fn draw_in(of: &Environment, number: u32) -> Result<Self, InputError> {
        let seed = P::FIRST_SEED + u64::from(number);
        let mut rng = generator(seed);
        Self::with(&mut rng, seed, of.catalog().clone(), of.workloads().clone())
    }

    /// A preset and a load at random.
    fn with(
        rng: &mut Pcg64,
        seed: u64,
        catalog: Catalog,
        mut workloads: Workloads,
    ) -> Result<Self, InputError> {
        let preset = PRESETS.choose(rng).copied().unwrap_or_default();
        let load = LOADS[0] * (LOADS[1] / LOADS[0]).powf(rng.random::<f64>());
        workloads.tenants.iter_mut().for_each(|tenant| tenant.avg_requests_per_step *= load);
        Ok(Self { seed, env: Environment::new(catalog, workloads, preset)?, purpose: PhantomData })
    }

    /// The first so many worlds of this environment's catalog and workloads.
    ///
    /// # Errors
    /// As [`Self::draw_in`].
    pub fn first_in(of: &Environment, count: u32) -> Result<Vec<Self>, InputError> {
        (0..count).map(|number| Self::draw_in(of, number)).collect()
    }

    /// The worlds of the first so many numbers.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn first(count: u32) -> Result<Vec<Self>, InputError> {
        (0..count).map(Self::draw).collect()
    }

    /// What it was drawn by.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The environment.
    #[must_use]
    pub fn env(&self) -> &Environment {
        &self.env
    }
}

/// Any constant does, as long as it never changes.
fn generator(seed: u64) -> Pcg64 {
    Pcg64::new(u128::from(seed), 0x776f_726c_6473)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_world_that_is_drawn_is_valid_and_no_purpose_has_one_of_anothers() {
        let seeds = |seeds: Vec<u64>| (*seeds.iter().min().unwrap(), *seeds.iter().max().unwrap());
        let training = World::<MetaTraining>::first(300).unwrap().iter().map(World::seed).collect();
        let validation = World::<MetaValidation>::first(300).unwrap().iter().map(World::seed).collect();
        let test = World::<Test>::first(300).unwrap().iter().map(World::seed).collect();
        let [training, validation, test] = [training, validation, test].map(seeds);
        assert!(training.1 < validation.0 && validation.1 < test.0);
        // not even with as many numbers as there are
        assert!(MetaTraining::FIRST_SEED + u64::from(u32::MAX) < MetaValidation::FIRST_SEED);
        assert!(MetaValidation::FIRST_SEED + u64::from(u32::MAX) < Test::FIRST_SEED);
    }

    #[test]
    fn the_same_number_is_the_same_world_and_another_one_is_another() {
        let definition = |number| World::<Test>::draw(number).unwrap().env().definition();
        assert_eq!(definition(3), definition(3));
        assert_ne!(definition(3), definition(4));
    }
}
