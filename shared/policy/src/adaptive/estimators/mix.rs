//! Of which requests a step consists.

use super::{best, check_losses};

/// What a step keeps of the mix that was seen before; 1: the catalog's word.
const MIXES: [f64; 4] = [1.0, 0.97, 0.99, 0.93];
const TRUSTING_MIX: usize = 0;
const FIRST_MIX: usize = 1;

/// Of which requests a step consists: shares of all, `[tenant][position in its mix]`.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    catalog: Vec<Vec<f64>>,
    is_told: bool,
    /// `[rate]`
    shares: Vec<Vec<Vec<f64>>>,
    /// `[rate]`: sum of the negative log-likelihoods.
    losses: Vec<f64>,
}

impl Mix {
    /// The catalog's word: requests in a step.
    pub(crate) fn new(demand: &[Vec<f64>], is_told: bool) -> Self {
        let all: f64 = demand.iter().flatten().sum();
        let catalog: Vec<Vec<f64>> =
            demand.iter().map(|mix| mix.iter().map(|requests| requests / all.max(1e-9)).collect()).collect();
        let shares = vec![catalog.clone(); MIXES.len()];
        Self { catalog, is_told, shares, losses: vec![0.0; MIXES.len()] }
    }

    pub(crate) fn begin_episode(&mut self) {
        self.shares = vec![self.catalog.clone(); MIXES.len()];
    }

    /// Follows a step with these requests, not all 0.
    pub(crate) fn observe(&mut self, requests: &[Vec<f64>], learns: bool) {
        let all: f64 = requests.iter().flatten().sum();
        for ((kept, shares), loss) in MIXES.iter().zip(&mut self.shares).zip(&mut self.losses) {
            for (share, count) in shares.iter_mut().flatten().zip(requests.iter().flatten()) {
                if learns {
                    *loss -= count * share.max(1e-6).ln();
                }
                *share = kept * *share + (1.0 - kept) * count / all;
            }
        }
    }

    pub(crate) fn shares(&self) -> &[Vec<f64>] {
        &self.shares[best(&self.losses, if self.is_told { TRUSTING_MIX } else { FIRST_MIX })]
    }

    pub(crate) fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, losses: Vec<f64>) -> Result<(), String> {
        check_losses(&losses, MIXES.len()).map_err(|what| format!("mix: {what}"))?;
        self.losses = losses;
        Ok(())
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
