//! Of which requests a step consists.

use serde::{Deserialize, Serialize};

use super::Experts;

/// What a step keeps of the mix that was seen before; 1: the catalog's word.
const MIXES: [f64; 4] = [1.0, 0.97, 0.99, 0.93];
const TRUSTING_MIX: usize = 0;
const FIRST_MIX: usize = 1;

/// Of which requests a step consists: shares of all, `[tenant][position in its mix]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mix {
    catalog: Vec<Vec<f64>>,
    is_told: bool,
    /// `[rate]`
    shares: Vec<Vec<Vec<f64>>>,
    /// By negative log-likelihood.
    experts: Experts,
}

impl Mix {
    /// The catalog's word: requests in a step.
    pub(crate) fn new(demand: &[Vec<f64>], is_told: bool) -> Self {
        let all: f64 = demand.iter().flatten().sum();
        let catalog: Vec<Vec<f64>> =
            demand.iter().map(|mix| mix.iter().map(|requests| requests / all.max(1e-9)).collect()).collect();
        let shares = vec![catalog.clone(); MIXES.len()];
        Self { catalog, is_told, shares, experts: Experts::new(MIXES.len()) }
    }

    /// Whether the other one is of the same catalog.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let shape = |shares: &[Vec<f64>]| shares.iter().map(Vec::len).collect::<Vec<_>>();
        self.experts.is_like(&other.experts)
            && self.catalog == other.catalog
            && other.shares.len() == MIXES.len()
            && other.shares.iter().all(|shares| shape(shares) == shape(&self.catalog))
    }

    pub(crate) fn begin_episode(&mut self) {
        self.shares = vec![self.catalog.clone(); MIXES.len()];
        self.experts.begin_episode();
    }

    /// Follows a step with these requests, not all 0.
    pub(crate) fn observe(&mut self, requests: &[Vec<f64>], learns: bool) {
        let all: f64 = requests.iter().flatten().sum();
        let unlikely = |shares: &Vec<Vec<f64>>| -> f64 {
            let counted = shares.iter().flatten().zip(requests.iter().flatten());
            counted.map(|(share, count)| -count * share.max(1e-6).ln()).sum()
        };
        self.experts.observe(self.shares.iter().map(unlikely), learns);
        for (kept, shares) in MIXES.iter().zip(&mut self.shares) {
            for (share, count) in shares.iter_mut().flatten().zip(requests.iter().flatten()) {
                *share = kept * *share + (1.0 - kept) * count / all;
            }
        }
    }

    pub(crate) fn shares(&self) -> &[Vec<f64>] {
        &self.shares[self.experts.best(if self.is_told { TRUSTING_MIX } else { FIRST_MIX })]
    }

    /// The catalog's.
    pub(crate) fn catalog(&self) -> &[Vec<f64>] {
        &self.catalog
    }

    pub(crate) fn experts(&self) -> &Experts {
        &self.experts
    }

    pub(crate) fn experts_mut(&mut self) -> &mut Experts {
        &mut self.experts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_that_leans_is_followed_and_shares_stay_shares() {
        let mut mix = Mix::new(&[vec![30.0, 30.0], vec![40.0]], false);
        for _ in 0..200 {
            mix.observe(&[vec![10.0, 50.0], vec![40.0]], false);
        }
        let shares = mix.shares();
        assert!((shares[0][0] - 0.1).abs() < 0.01 && (shares[0][1] - 0.5).abs() < 0.01, "{shares:?}");
        assert!((shares.iter().flatten().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
