//! The control variate: what a step could be expected to earn, whoever plays it.

use nalgebra::{Matrix4, Vector4};
use serde::{Deserialize, Serialize};

/// What is known of a step's difficulty: 1, its requests and its GPU-hours over those that were expected, and what the
/// distribution's mean would have earned in it by the catalog's word, in points per request.
pub(crate) type Difficulty = [f64; 4];

/// Keeps the equations solvable before there are enough steps.
const RIDGE: f64 = 1e-3;

/// A least-squares fit of a step's reward over its difficulty (control variates: Lavenberg and Welch 1981). It is
/// fitted to the difference to the rehearsed reward, so that it predicts this one as long as it knows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// Σ x·xᵀ.
    squares: [[f64; 4]; 4],
    /// Σ x·y.
    products: [f64; 4],
}

impl Control {
    pub(crate) fn new() -> Self {
        Self {
            squares: std::array::from_fn(|i| std::array::from_fn(|j| if i == j { RIDGE } else { 0.0 })),
            products: [0.0; 4],
        }
    }

    /// The reward per request that is expected of a step.
    pub(crate) fn expected(&self, difficulty: &Difficulty) -> f64 {
        let squares = Matrix4::from_fn(|i, j| self.squares[i][j]);
        let products = Vector4::from(self.products);
        let fit = squares.cholesky().map_or_else(Vector4::zeros, |squares| squares.solve(&products));
        difficulty[3] + fit.dot(&Vector4::from(*difficulty))
    }

    /// Takes account of a step.
    pub(crate) fn observe(&mut self, difficulty: &Difficulty, reward: f64) {
        for i in 0..4 {
            for j in 0..4 {
                self.squares[i][j] += difficulty[i] * difficulty[j];
            }
            self.products[i] += difficulty[i] * (reward - difficulty[3]);
        }
    }

    /// # Errors
    /// Says what cannot be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_finite = self.squares.iter().flatten().chain(&self.products).all(|x| x.is_finite());
        if is_finite { Ok(()) } else { Err("control: expected finite sums".into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_experience_the_rehearsed_reward_is_expected() {
        assert_eq!(Control::new().expected(&[1.0, 0.9, 1.1, 42.0]), 42.0);
    }

    #[test]
    fn what_depends_on_the_difficulty_is_taken_out() {
        // reward = 3 − 2·requests + .5·hours + .8·rehearsed
        let reward = |d: &Difficulty| 3.0 - 2.0 * d[1] + 0.5 * d[2] + 0.8 * d[3];
        let step = |i: i32| -> Difficulty {
            let at = |k: i32| f64::from(i * k % 7) / 7.0;
            [1.0, 0.8 + 0.4 * at(3), 0.7 + 0.6 * at(5), 40.0 + 5.0 * at(2)]
        };
        let mut control = Control::new();
        for i in 0..200 {
            control.observe(&step(i % 7), reward(&step(i % 7)));
        }
        let new = [1.0, 1.05, 0.95, 43.0];
        assert!((control.expected(&new) - reward(&new)).abs() < 0.01, "{}", control.expected(&new));
    }
}
