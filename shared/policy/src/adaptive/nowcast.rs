//! How many requests a step has brought to all, said by one who knows its own of this step and those of all only of an
//! earlier one (a nowcast: Giannone, Reichlin and Small 2008).
//!
//! Its own requests are new but few, those of all are many but old. The logarithms of both levels are averaged, with the
//! weight that has come closest to the truth whenever that became known.

use std::collections::VecDeque;

/// Weights of what is new; the first is believed until one has come closer.
const WEIGHTS: [f64; 5] = [0.5, 0.25, 0.75, 0.0, 1.0];

/// No level is taken to be lower: it has a logarithm.
const LEAST_LEVEL: f64 = 1e-3;

/// The nowcasts of an episode.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nowcast {
    /// Nowcasts by weight of the steps of which the truth is not known yet, the oldest first.
    made: VecDeque<Option<[f64; WEIGHTS.len()]>>,
    /// Sums of their squared errors.
    losses: [f64; WEIGHTS.len()],
}

impl Nowcast {
    /// The level of the step, where one's own requests have this level, and that of all had that level so many steps ago:
    /// `None` until something is known of it.
    pub(crate) fn level(&mut self, own: f64, all: Option<f64>, delay: usize) -> f64 {
        let own = own.max(LEAST_LEVEL).ln();
        let all = all.map(|all| all.max(LEAST_LEVEL).ln());
        let nowcasts = all.map(|all| WEIGHTS.map(|weight| weight * own + (1.0 - weight) * all));
        self.made.push_back(nowcasts);
        if self.made.len() > delay
            && let (Some(Some(then)), Some(truth)) = (self.made.pop_front(), all)
        {
            self.losses.iter_mut().zip(then).for_each(|(loss, then)| *loss += (then - truth).powi(2));
        }
        let better = |best: usize, i: usize| if self.losses[i] < self.losses[best] { i } else { best };
        let best = (0..WEIGHTS.len()).fold(0, better);
        nowcasts.map_or(own, |nowcasts| nowcasts[best]).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of the squared errors of the second half of 100 nowcasts, of a level that goes up and down like this and of
    /// which one's own share is off by this.
    fn error(height: f64, noise: f64) -> f64 {
        let levels: Vec<f64> = (0..100).map(|t| 1.0 + height * (f64::from(t) / 2.0).sin()).collect();
        let mut nowcast = Nowcast::default();
        let mut errors = 0.0;
        for (t, level) in levels.iter().enumerate() {
            let own = level * (1.0 + if t * t % 7 < 3 { noise } else { -noise });
            let made = nowcast.level(own, t.checked_sub(5).map(|then| levels[then]), 5);
            errors += if t >= 50 { (made / level - 1.0).powi(2) / 50.0 } else { 0.0 };
        }
        errors
    }

    #[test]
    fn where_the_level_stands_still_what_is_old_is_believed() {
        assert!(error(0.0, 0.2) < 1e-12, "{}", error(0.0, 0.2));
    }

    #[test]
    fn where_one_sees_the_level_exactly_oneself_what_is_new_is_believed() {
        assert!(error(0.5, 0.0) < 1e-12, "{}", error(0.5, 0.0));
    }

    #[test]
    fn a_level_of_which_nothing_is_known_is_ones_own() {
        assert!((Nowcast::default().level(1.3, None, 1) - 1.3).abs() < 1e-12);
    }
}
