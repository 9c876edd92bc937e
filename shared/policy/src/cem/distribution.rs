//! The distribution that members are drawn from, and how the best of them make it anew.

use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::score::{WEIGHTS, first_spread};

/// The share of a generation that is its elite.
const ELITE: f64 = 0.2;

/// Generations until no noise is added any more.
const NOISY_GENERATIONS: f64 = 20.0;

/// A member of the population: weights of the score, and what they earned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) weights: Vec<f64>,
    /// Over its steps, what it earned beyond what was expected of each, in points per request.
    pub(crate) credit: f64,
    /// How many steps were played by it.
    pub(crate) steps: u32,
}

impl Member {
    pub(crate) fn new(weights: Vec<f64>) -> Self {
        Self { weights, credit: 0.0, steps: 0 }
    }

    /// # Errors
    /// Says what cannot be.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.weights.len() != WEIGHTS {
            return Err(format!("member: expected {WEIGHTS} weights, found {}", self.weights.len()));
        }
        let is_finite = self.weights.iter().chain([&self.credit]).all(|x| x.is_finite());
        if is_finite { Ok(()) } else { Err("member: expected finite weights and credit".into()) }
    }

    /// Its mean credit, drawn to 0 where fewer steps than expected speak for it.
    fn merit(&self, expected_steps: f64) -> f64 {
        self.credit / f64::from(self.steps).max(expected_steps)
    }
}

/// Independent normal distributions, one for each weight.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Distribution {
    pub(super) mean: Vec<f64>,
    pub(super) spread: Vec<f64>,
    /// How many generations have made it.
    pub(super) generation: u32,
}

impl Distribution {
    /// Around no charge at all: there the score is the reward alone.
    pub(super) fn first() -> Self {
        Self { mean: vec![0.0; WEIGHTS], spread: (0..WEIGHTS).map(first_spread).collect(), generation: 0 }
    }

    /// Draws weights with the spread times `widening`.
    pub(super) fn draw(&self, widening: f64, rng: &mut Pcg64) -> Vec<f64> {
        let normals = self.mean.iter().zip(&self.spread);
        normals
            .map(|(mean, spread)| {
                let draw: f64 = StandardNormal.sample(rng);
                mean + widening * spread * draw
            })
            .collect()
    }

    /// The mean of spread / first spread, at most 1.
    pub(super) fn relative_spread(&self) -> f64 {
        let shares = self.spread.iter().enumerate().map(|(i, spread)| spread / first_spread(i));
        (shares.sum::<f64>() / self.spread.len() as f64).min(1.0)
    }

    /// Makes it anew from the best of a generation, of which each should have had so many steps: mean and variance move by
    /// `rate` of the way to the elite's. The variance is made larger by (noise · first spread)², with a noise that falls linearly to 0 (Szita and Lőrincz 2006, section 4),
    /// so that it does not vanish before the mean has arrived.
    pub(super) fn refit(&mut self, members: &[Member], expected_steps: f64, noise: f64, rate: f64) {
        let elite = (members.len() as f64 * ELITE) as usize;
        if elite < 2 {
            return; // too few were tried to tell the good from the lucky
        }
        let mut ranked: Vec<&Member> = members.iter().collect();
        ranked.sort_by(|a, b| b.merit(expected_steps).total_cmp(&a.merit(expected_steps)));
        let elite = &ranked[..elite];
        self.generation += 1;
        let noise = noise * (1.0 - f64::from(self.generation) / NOISY_GENERATIONS).max(0.0);
        let count = elite.len() as f64;
        for i in 0..self.mean.len() {
            let mean = elite.iter().map(|m| m.weights[i]).sum::<f64>() / count;
            let squares = elite.iter().map(|m| (m.weights[i] - mean).powi(2)).sum::<f64>();
            let variance = squares / (count - 1.0) + (noise * first_spread(i)).powi(2);
            self.mean[i] += rate * (mean - self.mean[i]);
            let before = self.spread[i].powi(2);
            self.spread[i] = (before + rate * (variance - before)).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(weight: f64, credit: f64, steps: u32) -> Member {
        Member { weights: vec![weight; WEIGHTS], credit, steps }
    }

    #[test]
    fn the_best_fifth_makes_mean_and_spread_anew() {
        let mut members: Vec<Member> = (0..8).map(|i| member(9.0, -f64::from(i), 3)).collect();
        members.extend([member(1.0, 6.0, 3), member(2.0, 30.0, 3)]);
        let mut distribution = Distribution::first();
        distribution.refit(&members, 3.0, 0.0, 0.8);
        // the elite's mean is 1.5 and its variance 2·.5² = .5; both count .8
        assert!((distribution.mean[0] - 0.8 * 1.5).abs() < 1e-12);
        assert!((distribution.spread[0] - (0.2 * 0.75 * 0.75 + 0.8 * 0.5f64).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn noise_widens_the_spread_less_with_every_generation_and_then_no_more() {
        let members = vec![member(1.0, 1.0, 1); 10];
        let mut distribution = Distribution::first();
        for generation in 1..=21 {
            let before = distribution.spread[3].powi(2);
            distribution.refit(&members, 1.0, 0.4, 0.8);
            // the elite agrees, so that only noise keeps the spread up
            let noise = 0.4 * (1.0 - f64::from(generation) / 20.0f64).max(0.0) * 0.75;
            let expected = 0.2 * before + 0.8 * noise.powi(2);
            assert!((distribution.spread[3].powi(2) - expected).abs() < 1e-12, "generation {generation}");
        }
    }

    #[test]
    fn a_member_with_fewer_steps_has_to_earn_as_much_in_them() {
        // 5 in one step of three are worth less than 2 in each of three
        let members = [member(1.0, 5.0, 1), member(2.0, 6.0, 3), member(3.0, 0.0, 3), member(4.0, 7.0, 4)];
        let merits = members.map(|m| m.merit(3.0));
        assert_eq!(merits, [5.0 / 3.0, 2.0, 0.0, 7.0 / 4.0]);
    }
}
