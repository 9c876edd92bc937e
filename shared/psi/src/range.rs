use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::numbers::{COUNT_LIMIT, LIMIT};

/// Values that must have been seen before one beyond them all says anything.
const KNOWN_AFTER: u64 = 50;
/// A range counts as at least so wide, in units of the largest value in it: a channel that never moved has none.
const NARROWEST: f64 = 0.05;
/// And as so many times the smallest change that matters.
const NARROWEST_CHANGES: f64 = 20.0;
const ABSOLUTE_FLOOR: f64 = 1e-12;
/// Excess is cut here, in margins: beyond it there is nothing left to tell apart.
pub(crate) const MOST_MARGINS: f64 = 100.0;

/// What a channel's values far out are taken for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tails {
    /// Shares of many requests are near enough to normal.
    Normal,
    /// Anything else may not be.
    Exponential,
}

/// Which values beyond a range are no part of it yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Those beyond by a margin, while they go on, for so many windows: a level that left is news for as long.
    Windows(u64),
    /// Those beyond by less than a margin, until one is beyond by more: what creeps away is told by the margin.
    UntilTold,
    /// The same, until one is beyond by two margins, or a second by one: what was told once is not taken for usual
    /// before another window can confirm it.
    UntilConfirmed,
}

/// What creeps more slowly than a margin in so many windows is believed.
const LONGEST_UNTOLD: u64 = 20;

/// How far beyond a range is how surprising, in parts of the range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Margin {
    /// So far is no news.
    pub(crate) none: f64,
    /// And so far beyond that is a surprise of 1, twice as far one of 2.
    pub(crate) one: f64,
}

impl Margin {
    /// The margin when any of many channels may exceed its range.
    #[must_use]
    pub(crate) fn with(self, allowance: f64) -> Self {
        Self { one: self.one + allowance, ..self }
    }

    fn of(self, excess: f64) -> f64 {
        ((excess.abs() - self.none).max(0.0) / self.one).min(MOST_MARGINS).copysign(excess)
    }
}

/// The lowest and the highest value so far, and how far a new one is beyond them.
///
/// The nth of n exchangeable values is the highest or the lowest of all with probability 2/n, whatever their
/// distribution (Rényi, 1962): a record needs no model to be rare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Range {
    #[garde(range(min = -LIMIT, max = LIMIT))]
    low: f64,
    #[garde(range(min = -LIMIT, max = LIMIT))]
    high: f64,
    #[garde(range(max = COUNT_LIMIT))]
    seen: u64,
    /// Values on end that were beyond.
    #[garde(range(max = COUNT_LIMIT))]
    beyond: u64,
    /// One of those was beyond by a margin.
    #[garde(skip)]
    told: bool,
    /// The furthest of those, below and above; within the range when there are none.
    #[garde(inner(range(min = -LIMIT, max = LIMIT)))]
    furthest: [f64; 2],
    /// The same of the later values only, where the earlier ones are forgotten.
    #[garde(inner(inner(range(min = -LIMIT, max = LIMIT))))]
    later: Option<[f64; 2]>,
}

impl Range {
    /// A range that forgets how a life began: whenever the number of values has doubled, it is of the second half of them.
    #[must_use]
    pub(crate) fn forgetting() -> Self {
        Self { later: Some([0.0; 2]), ..Self::default() }
    }

    /// How surprising it is that the value is beyond the range before it, 1 by a margin: positive above, negative below,
    /// 0 within it or while too little is known. Changes below `resolution` surprise nobody. The range takes the value in, or waits, as `patience` says.
    pub(crate) fn observe(&mut self, value: f64, margin: Margin, resolution: f64, patience: Patience) -> f64 {
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            let later = self.later.map(|_| [value; 2]);
            *self = Self { low: value, high: value, furthest: [value; 2], later, ..*self };
            return 0.0;
        }
        let excess = self.excess(value, resolution);
        let margins = margin.of(excess);
        self.furthest = [self.furthest[0].min(value), self.furthest[1].max(value)];
        let known = self.seen > KNOWN_AFTER;
        let far = margins.abs() >= 1.0;
        let (waits, limit) = match patience {
            Patience::Windows(limit) => (far, limit),
            Patience::UntilTold => (excess != 0.0 && !far, LONGEST_UNTOLD),
            Patience::UntilConfirmed => {
                (excess != 0.0 && !(far && (self.told || margins.abs() >= 2.0)), LONGEST_UNTOLD)
            }
        };
        if known && waits && self.beyond < limit {
            self.beyond += 1;
            self.told |= far;
        } else {
            (self.beyond, self.told) = (0, false);
            [self.low, self.high] = self.furthest;
            if let Some(later) = &mut self.later {
                *later = [later[0].min(value), later[1].max(value)];
                if self.seen.is_power_of_two() && self.seen > KNOWN_AFTER {
                    ([self.low, self.high], self.furthest) = (*later, *later);
                    *later = [value; 2];
                }
            }
        }
        if known { margins } else { 0.0 }
    }

    /// What a margin must be wider when it is one of so many channels that exceeds its range by chance, so that k channels
    /// exceed theirs no more often than one does. With normal tails the nth value exceeds n others by a share e of their
    /// range with a probability of about n^−(1 + 2e)², with exponential ones of n^−(1 + 2e), both to first order in ln n:
    /// among a few hundred normal values it is up to three times that.
    pub(crate) fn allowance(&self, channels: usize, tails: Tails) -> f64 {
        let share = (channels.max(1) as f64).ln() / (self.seen.max(KNOWN_AFTER) as f64).ln();
        match tails {
            Tails::Normal => ((1.0 + share).sqrt() - 1.0) / 2.0,
            Tails::Exponential => share / 2.0,
        }
    }

    /// The distance from the range in parts of it.
    fn excess(&self, value: f64, resolution: f64) -> f64 {
        let largest = self.low.abs().max(self.high.abs());
        let narrowest = (NARROWEST * largest).max(NARROWEST_CHANGES * resolution).max(ABSOLUTE_FLOOR);
        let width = (self.high - self.low).max(narrowest);
        if value > self.high {
            (value - self.high) / width
        } else if value < self.low {
            (value - self.low) / width
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Patience = Patience::Windows(300);
    const TENTH: Margin = Margin { none: 0.0, one: 0.1 };

    /// Between 0 and 10, a hundred times.
    fn known() -> Range {
        let mut range = Range::default();
        for i in 0..100 {
            assert_eq!(range.observe(f64::from(i % 11), TENTH, 0.0, Patience::Windows(300)), 0.0);
        }
        range
    }

    #[test]
    fn a_value_beyond_all_others_counts_by_its_distance_in_margins_of_the_range() {
        // 12 is 2 beyond 10, a fifth of the range, two margins of a tenth.
        assert!((known().observe(12.0, TENTH, 0.0, LONG) - 2.0).abs() < 1e-12);
        assert!((known().observe(-0.5, TENTH, 0.0, LONG) + 0.5).abs() < 1e-12);
        assert_eq!(known().observe(5.0, TENTH, 0.0, LONG), 0.0);
    }

    #[test]
    fn a_level_that_left_the_range_is_news_until_it_is_believed() {
        let mut range = known();
        let news: Vec<bool> =
            (0..30).map(|_| range.observe(20.0, TENTH, 0.0, Patience::Windows(20)).abs() >= 1.0).collect();
        assert_eq!(news.iter().filter(|news| **news).count(), 21, "20 on end, and the one that is believed");
        assert!(news[..21].iter().all(|news| *news));
        assert_eq!(range.observe(20.0, TENTH, 0.0, LONG), 0.0);
    }

    #[test]
    fn what_creeps_away_by_less_than_a_margin_at_a_time_is_told_by_the_margin() {
        let mut range = known();
        let told = |value| range.observe(value, TENTH, 0.0, Patience::UntilTold) >= 1.0;
        let steps = (0..40).map(|i| 10.0 + 0.1 * f64::from(i));
        assert_eq!(
            steps.map(told).filter(|told| *told).count(),
            3,
            "at 11, at 12.1, a tenth of 11 on, and at 13.4"
        );
    }

    #[test]
    fn a_spike_that_is_over_is_within_the_range_from_then_on() {
        let mut range = known();
        assert!(range.observe(20.0, TENTH, 0.0, LONG) > 1.0);
        assert_eq!(range.observe(5.0, TENTH, 0.0, LONG), 0.0);
        assert_eq!(range.observe(20.0, TENTH, 0.0, LONG), 0.0);
    }

    #[test]
    fn a_range_that_forgets_is_of_the_second_half_of_what_was_seen() {
        let (mut forgetting, mut other) = (Range::forgetting(), Range::default());
        for i in 0..256 {
            // Wild until 60 values were seen, and between 0 and 10 from then on.
            let value = if i < 60 { f64::from(i * 7 % 50) } else { f64::from(i % 11) };
            forgetting.observe(value, TENTH, 0.0, LONG);
            other.observe(value, TENTH, 0.0, LONG);
        }
        assert_eq!(other.observe(30.0, TENTH, 0.0, LONG), 0.0);
        assert!(forgetting.observe(30.0, TENTH, 0.0, LONG) > 10.0);
    }

    #[test]
    fn nothing_is_said_while_little_is_known() {
        let mut range = Range::default();
        assert!((0..50).all(|i| range.observe(f64::from(i), TENTH, 0.0, LONG) == 0.0));
        assert!(range.observe(1000.0, TENTH, 0.0, LONG) > 1.0);
    }

    /// How often any of twenty channels exceeds its range, in units of how often one does.
    fn of_twenty(tails: Tails, mut draw: impl FnMut() -> f64) -> f64 {
        let (mut together, mut expected) = (0, 0.0);
        for _ in 0..50 {
            let mut ranges = [Range::default(); 20];
            for n in 1..1000 {
                let mut any = false;
                for range in &mut ranges {
                    let margin = Margin { none: 0.0, one: range.allowance(20, tails) };
                    any |= range.observe(draw(), margin, 0.0, Patience::UntilTold).abs() >= 1.0;
                }
                if n > 50 {
                    together += u32::from(any);
                    expected += 2.0 / f64::from(n);
                }
            }
        }
        f64::from(together) / expected
    }

    #[test]
    fn twenty_channels_exceed_their_ranges_together_about_as_often_as_one_and_not_twenty_times_as_often() {
        use rand::{RngExt, SeedableRng};
        use rand_distr::{Distribution, StandardNormal};
        let mut generator = rand_pcg::Pcg64Mcg::seed_from_u64(3);
        let laplace = of_twenty(Tails::Exponential, || {
            let exponential = -(1.0 - generator.random::<f64>()).ln();
            if generator.random::<bool>() { exponential } else { -exponential }
        });
        assert!((0.5..2.0).contains(&laplace), "{laplace}");
        let normal = of_twenty(Tails::Normal, || StandardNormal.sample(&mut generator));
        assert!((0.5..4.0).contains(&normal), "{normal}");
    }
}
