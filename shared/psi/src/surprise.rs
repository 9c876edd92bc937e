use garde::Validate;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use statrs::function::{
    beta::{beta_reg, ln_beta},
    gamma::ln_gamma,
};

use crate::{
    numbers::{COUNT_LIMIT, LIMIT},
    observation::{CHANNELS, Channels},
};

/// Degrees of freedom that compete to describe the innovations' tails.
const DOFS: [f64; 7] = [2.5, 3.5, 5.0, 7.0, 10.0, 20.0, 50.0];
/// Windows after which scatter and score forget.
const MEMORY: f64 = 500.0;
/// The scatter begins as the identity, worth so many windows.
const PRIOR_WINDOWS: f64 = 5.0;
/// How far the scatter is drawn to its diagonal: channels that always move together would make it singular.
const SHRINKAGE: f64 = 0.02;

/// The joint distribution of the channels' innovations: a multivariate Student t whose scatter is fitted
/// by online expectation-maximisation (weights (ν+k)/(ν+d²): Lange, Little and Taylor, 1989), and
/// whose ν is the one with the best fading likelihood. Whitening by that scatter is what makes channels
/// that move together count once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Whitener {
    #[garde(inner(inner(range(min = -LIMIT, max = LIMIT))))]
    scatter: [[f64; CHANNELS]; CHANNELS],
    #[garde(inner(range(min = -LIMIT, max = LIMIT)))]
    losses: [f64; DOFS.len()],
    #[garde(range(max = COUNT_LIMIT))]
    windows: u64,
}

/// A window's place in the distribution learned before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Surprise {
    /// Squared Mahalanobis distance.
    pub distance2: f64,
    /// −ln of its tail probability under the fitted t.
    pub neg_ln_p: f64,
}

impl Default for Whitener {
    fn default() -> Self {
        let mut scatter = [[0.0; CHANNELS]; CHANNELS];
        for (i, row) in scatter.iter_mut().enumerate() {
            row[i] = 1.0;
        }
        Self { scatter, losses: [0.0; DOFS.len()], windows: 0 }
    }
}

impl Whitener {
    /// Judges standardised innovations by what was learned before, then learns from them.
    /// `None` when no channel has one.
    pub(crate) fn observe(&mut self, z: &Channels) -> Option<Surprise> {
        let present: Vec<(usize, f64)> = z.iter().enumerate().filter_map(|(i, z)| Some((i, (*z)?))).collect();
        if present.is_empty() {
            return None;
        }
        let k = present.len() as f64;
        let distance2 = self.distance2(&present);
        let dof = self.dof();
        // The scatter is itself an estimate from so many windows, so the same distance means less early on.
        let n = self.windows as f64 + PRIOR_WINDOWS;
        let neg_ln_p = neg_ln_f_tail(distance2 / k * (n / (n + k)), k, dof);
        self.learn(&present, distance2, dof);
        Some(Surprise { distance2, neg_ln_p })
    }

    /// The likeliest ν, no larger than the windows seen can tell from a heavier tail.
    fn dof(&self) -> f64 {
        let most = (self.windows as f64 / 4.0).max(DOFS[1]);
        let mut best = 0;
        for (i, dof) in DOFS.iter().enumerate() {
            if *dof <= most && self.losses[i] < self.losses[best] {
                best = i;
            }
        }
        DOFS[best]
    }

    fn distance2(&self, present: &[(usize, f64)]) -> f64 {
        let z = DVector::from_iterator(present.len(), present.iter().map(|p| p.1));
        let scatter = DMatrix::from_fn(present.len(), present.len(), |a, b| {
            let (i, j) = (present[a].0, present[b].0);
            let entry = self.scatter[i][j];
            if a == b { entry.max(1e-6) } else { entry * (1.0 - SHRINKAGE) }
        });
        let diagonal: f64 = present.iter().map(|(i, z)| z * z / self.scatter[*i][*i].max(1e-6)).sum();
        match scatter.cholesky() {
            Some(cholesky) => match z.dot(&cholesky.solve(&z)) {
                d2 if d2.is_finite() => d2.max(0.0),
                _ => diagonal,
            },
            // Channels come and go, so blocks of different age may not fit together: then each counts alone.
            None => diagonal,
        }
    }

    fn learn(&mut self, present: &[(usize, f64)], distance2: f64, dof: f64) {
        let k = present.len() as f64;
        self.windows += 1;
        let rate = (1.0 / (self.windows as f64 + PRIOR_WINDOWS)).max(1.0 / MEMORY);
        for (loss, dof) in self.losses.iter_mut().zip(DOFS) {
            *loss += rate * (neg_log_density(distance2, k, dof) - *loss);
        }
        let weight = (dof + k) / (dof + distance2);
        for (i, zi) in present {
            for (j, zj) in present {
                let entry = &mut self.scatter[*i][*j];
                *entry += rate * (weight * zi * zj - *entry);
            }
        }
    }
}

/// −ln density of a k-variate t at squared distance d², up to what does not depend on ν.
fn neg_log_density(distance2: f64, k: f64, dof: f64) -> f64 {
    ln_gamma(dof / 2.0) - ln_gamma((dof + k) / 2.0)
        + 0.5 * k * dof.ln()
        + 0.5 * (dof + k) * (distance2 / dof).ln_1p()
}

/// −ln P(F > f) for F with (k, ν) degrees of freedom, finite for every finite f:
/// the tail is I_x(ν/2, k/2) at x = ν/(ν + k·f) (DLMF 8.17.2), which underflows long before its logarithm does.
fn neg_ln_f_tail(f: f64, k: f64, dof: f64) -> f64 {
    let (a, b) = (dof / 2.0, k / 2.0);
    let x = dof / (dof + k * f.max(0.0));
    if x >= 1.0 {
        return 0.0;
    }
    let tail = if x > 1e-4 {
        -beta_reg(a, b, x).ln()
    } else {
        // The leading terms of DLMF 8.17.7: x^a / (a B(a, b)) · (1 + a(1 − b)/(a + 1) x + …)
        a.ln() + ln_beta(a, b) - a * x.ln() - (a * (1.0 - b) / (a + 1.0) * x).ln_1p()
    };
    tail.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_f_is_that_of_the_tables_and_goes_on_where_they_end() {
        // F(0.999; 3, 20) = 8.098, F(0.95; 5, 5) = 5.050 and t²(0.999 two-sided; 5) = 6.869² (standard tables)
        assert!((neg_ln_f_tail(8.098, 3.0, 20.0) - 1e3_f64.ln()).abs() < 1e-3);
        assert!((neg_ln_f_tail(5.0503, 5.0, 5.0) - 20_f64.ln()).abs() < 1e-3);
        assert!((neg_ln_f_tail(6.8688 * 6.8688, 1.0, 5.0) - 1e3_f64.ln()).abs() < 1e-3);
        assert_eq!(neg_ln_f_tail(0.0, 3.0, 5.0), 0.0);
        let far = neg_ln_f_tail(1e24, 7.0, 50.0);
        assert!(far.is_finite() && far > 700.0, "a p that underflows still has a logarithm: {far}");
    }

    #[test]
    fn the_tail_is_smooth_where_the_series_takes_over() {
        let f = |x: f64| (1.0 - x) / x * 5.0 / 3.0; // the f whose x is given, for k = 3 and ν = 5
        let (below, above) = (neg_ln_f_tail(f(0.99e-4), 3.0, 5.0), neg_ln_f_tail(f(1.01e-4), 3.0, 5.0));
        assert!(below > above && below - above < 0.06, "{above} {below}");
    }

    #[test]
    fn channels_that_move_together_count_once() {
        let mut whitener = Whitener::default();
        for i in 0..500 {
            let common = f64::from(i % 7 - 3);
            let own = f64::from(i % 5 - 2) * 0.1;
            let mut z = [None; CHANNELS];
            (z[0], z[1]) = (Some(common + own), Some(common - own));
            whitener.observe(&z);
        }
        let together = whitener.distance2(&[(0, 3.0), (1, 3.0)]);
        let apart = whitener.distance2(&[(0, 3.0), (1, -3.0)]);
        assert!(apart > 10.0 * together, "together {together}, apart {apart}");
    }

    #[test]
    fn an_absent_channel_changes_nothing() {
        let mut whitener = Whitener::default();
        assert_eq!(whitener.observe(&[None; CHANNELS]), None);
        assert_eq!(whitener, Whitener::default());
    }
}
