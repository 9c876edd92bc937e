//! Evidence that may be looked at at any time: confidence sequences of a mean, and limits that a mean is beyond.
//!
//! Both are bets. Whoever bets at fair odds that a mean is not what is claimed, and never owes anything, has multiplied his
//! capital by 1/α at any time at all with a probability of at most α while the claim is true (Ville 1939). So nobody has to
//! say beforehand when it is looked at, and to stop when it looks good is no mistake. Waudby-Smith and Ramdas (2024,
//! "Estimating means of bounded random variables by betting") make confidence sequences of it.

/// The probability with which it may ever be said of a mean that it is above 0 while it is not, or below while it is not.
pub(crate) const ALPHA: f64 = 0.005;

/// The same for each end of an interval. With its sign, all of it is right at all times with a probability of 99 %.
const END_ALPHA: f64 = ALPHA / 2.0;

/// How boldly is betted: the share of 1/reward that is at stake on each. The capital is the mean over all of them, so that
/// one of them is right for whatever there is to be found.
const BETS: [f64; 8] = [0.8, 0.4, 0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625];

/// Of what can be lost at once, no more than this share is at stake.
const MOST_AT_STAKE: f64 = 0.9;

/// A confidence sequence of the mean of figures of which it is known before each how far it can be from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MeanSequence {
    count: u64,
    sum: f64,
    /// Bets that the mean is above, and that it is below.
    above: [Bet; BETS.len()],
    below: [Bet; BETS.len()],
}

/// A bet on the figures of a stream, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bet {
    /// Logarithm of the capital of the one who bets against a mean of 0.
    log_capital: f64,
    /// Sums over the stakes, over what they would have won on their own, and over what is lost by spread: with them the capital
    /// against any other mean is bounded from below.
    stakes: f64,
    gains: f64,
    spread: f64,
}

impl Bet {
    /// `figure` is at least `-most`.
    fn add(&mut self, boldness: f64, figure: f64, most: f64) {
        let stake = boldness.min(MOST_AT_STAKE / most);
        self.stakes += stake;
        if figure == 0.0 {
            return;
        }
        self.log_capital += (stake * figure).ln_1p();
        self.gains += stake * figure;
        // log(1 + y) ≥ y − y²·ψ for y ≥ −stake·most (Fan, Grama and Liu 2015), whatever mean is subtracted (Howard, Ramdas,
        // McAuliffe and Sekhon 2021, appendix A.8)
        let share = stake * most;
        self.spread += (-(-share).ln_1p() - share) / (most * most) * figure * figure;
    }

    /// At most the logarithm of the capital against this mean.
    fn log_against(&self, mean: f64) -> f64 {
        self.gains - mean * self.stakes - self.spread
    }
}

impl MeanSequence {
    /// Takes one more figure, which is at least `-below` and at most `above`, as was known before it was there.
    pub(crate) fn add(&mut self, figure: f64, (below, above): (f64, f64)) {
        self.count += 1;
        self.sum += figure;
        for (bet, boldness) in self.above.iter_mut().zip(BETS) {
            bet.add(boldness, figure, below);
        }
        for (bet, boldness) in self.below.iter_mut().zip(BETS) {
            bet.add(boldness, -figure, above);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The mean is above 0, beyond doubt.
    pub(crate) fn is_above_zero(&self) -> bool {
        log_mean(self.above.iter().map(|bet| bet.log_capital)) >= -ALPHA.ln()
    }

    /// The mean is below 0, beyond doubt.
    pub(crate) fn is_below_zero(&self) -> bool {
        log_mean(self.below.iter().map(|bet| bet.log_capital)) >= -ALPHA.ln()
    }

    /// Where the mean is, at all times with a probability of 99 %. `None` where nothing is known. The sign is that of the bets;
    /// beyond that the interval is a little wider than theirs, which has no formula.
    pub(crate) fn interval(&self) -> Option<(f64, f64)> {
        if self.count == 0 {
            return None;
        }
        let low = edge(&self.above);
        let high = -edge(&self.below);
        let low = if self.is_above_zero() { low.max(0.0) } else { low };
        let high = if self.is_below_zero() { high.min(0.0) } else { high };
        Some((low, high))
    }
}

/// Below which mean the capital against it is enough.
fn edge(bets: &[Bet]) -> f64 {
    let is_refuted = |mean: f64| log_mean(bets.iter().map(|bet| bet.log_against(mean))) >= -END_ALPHA.ln();
    let (mut low, mut high) = (-1.0, 1.0);
    while !is_refuted(low) {
        low *= 2.0;
    }
    while is_refuted(high) {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if is_refuted(middle) { low = middle } else { high = middle }
    }
    low
}

/// The logarithm of the mean of what has these logarithms.
fn log_mean(logs: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let (count, most) = (logs.len() as f64, logs.clone().fold(f64::NEG_INFINITY, f64::max));
    most + (logs.map(|log| (log - most).exp()).sum::<f64>() / count).ln()
}

/// Evidence that the mean of figures that are at least 0 is above a limit now. A new bet is begun in every window, so that
/// what was good for long and is bad now is found at once too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AboveLimit {
    limit: f64,
    windows: u64,
    /// The capitals of those that bet boldly, and less so.
    capitals: [f64; STAKES.len()],
}

/// What is at stake of a capital.
const STAKES: [f64; 4] = [0.9, 0.3, 0.1, 0.03];

impl AboveLimit {
    /// No evidence yet.
    pub(crate) fn new(limit: f64) -> Self {
        let mut new = Self { limit, windows: 0, capitals: [0.0; STAKES.len()] };
        new.begin_window();
        new
    }

    /// Begins a bet. All bets together begin with a capital of 1, of which each next one has a smaller part.
    pub(crate) fn begin_window(&mut self) {
        let window = self.windows as f64;
        let part = 1.0 / ((window + 1.0) * (window + 2.0)) / STAKES.len() as f64;
        self.capitals.iter_mut().for_each(|capital| *capital += part);
        self.windows += 1;
    }

    /// Takes one more figure.
    pub(crate) fn add(&mut self, figure: f64) {
        for (capital, stake) in self.capitals.iter_mut().zip(STAKES) {
            *capital = (*capital * (1.0 + stake * (figure / self.limit - 1.0))).min(1e300);
        }
    }

    /// Whether the mean is above the limit: said falsely at any time at all with this probability at most.
    pub(crate) fn is_above(&self, alpha: f64) -> bool {
        self.capitals.iter().sum::<f64>() >= 1.0 / alpha
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// How many of so many sequences ever say what is false of a mean of 0, of figures that are drawn like this.
    fn false_alarms(
        sequences: u64,
        length: u64,
        ends: (f64, f64),
        mut draw: impl FnMut(&mut StdRng) -> f64,
    ) -> (u64, u64) {
        let (mut signs, mut ends_wrong) = (0, 0);
        for seed in 0..sequences {
            let (mut rng, mut sequence) = (StdRng::seed_from_u64(seed), MeanSequence::default());
            let (mut is_said, mut is_left_out) = (false, false);
            for n in 0..length {
                sequence.add(draw(&mut rng), ends);
                is_said |= sequence.is_above_zero() || sequence.is_below_zero();
                if n % 50 == 49 {
                    let (low, high) = sequence.interval().unwrap();
                    is_left_out |= low > 0.0 || high < 0.0;
                }
            }
            signs += u64::from(is_said);
            ends_wrong += u64::from(is_left_out);
        }
        (signs, ends_wrong)
    }

    /// A fair coin, a rare loss that small gains make good, and a rare gain.
    #[test]
    fn a_mean_that_is_zero_is_hardly_ever_said_not_to_be_however_often_it_is_looked_at() {
        let coin = false_alarms(100, 1000, (1.0, 1.0), |rng| if rng.random::<bool>() { 1.0 } else { -1.0 });
        let loss =
            false_alarms(100, 1000, (1.9, 0.1), |rng| if rng.random::<f64>() < 0.05 { -1.9 } else { 0.1 });
        let gain =
            false_alarms(100, 1000, (0.1, 1.9), |rng| if rng.random::<f64>() < 0.05 { 1.9 } else { -0.1 });
        // of 100, one may be wrong on average: more than 5 are an accident of one in a thousand
        for (signs, ends) in [coin, loss, gain] {
            assert!(signs <= 5 && ends <= 5, "{signs} and {ends} of 100 were wrong");
        }
    }

    #[test]
    fn an_interval_holds_the_mean_and_shrinks_around_it() {
        let (mut rng, mut sequence) = (StdRng::seed_from_u64(3), MeanSequence::default());
        let mut widths = Vec::new();
        for n in 1..=20_000 {
            sequence.add(0.3 + rng.random_range(-0.5..0.5), (0.2, 0.8));
            let (low, high) = sequence.interval().filter(|_| n % 500 == 0).unwrap_or((0.3, 0.3));
            assert!((low..=high).contains(&0.3), "after {n}: {low} to {high}");
            if [500, 5000, 20_000].contains(&n) {
                widths.push(high - low);
            }
        }
        assert!(widths[0] < 0.25 && widths[1] < 0.1 && widths[2] < 0.06, "{widths:?}");
        assert!(sequence.is_above_zero() && !sequence.is_below_zero());
        assert!((sequence.mean().unwrap() - 0.3).abs() < 0.01);
    }

    #[test]
    fn figures_of_zero_say_nothing_of_the_sign_and_bring_the_ends_to_zero() {
        let mut sequence = MeanSequence::default();
        (0..10_000).for_each(|_| sequence.add(0.0, (0.0, 0.0)));
        let (low, high) = sequence.interval().unwrap();
        assert!(!sequence.is_above_zero() && !sequence.is_below_zero());
        assert!(low > -0.002 && low < 0.0 && high < 0.002 && high > 0.0, "{low} to {high}");
    }

    /// A rate that is at the limit for 720 windows of 10 jobs: a month of hours.
    #[test]
    fn a_rate_at_its_limit_is_hardly_ever_said_to_be_beyond_it() {
        let alpha = 0.05; // so that there is something to be counted
        let is_said = |seed: u64| {
            let (mut rng, mut guard) = (StdRng::seed_from_u64(seed), AboveLimit::new(0.05));
            (0..720).any(|_| {
                guard.begin_window();
                (0..10).any(|_| {
                    guard.add(f64::from(u8::from(rng.random::<f64>() < 0.05)));
                    guard.is_above(alpha)
                })
            })
        };
        let said = (0..400).filter(|seed| is_said(*seed)).count();
        assert!(said <= 30, "{said} of 400 months, of which 20 may be"); // 2.3 deviations
    }

    #[test]
    fn what_becomes_bad_after_a_good_month_is_found_in_one_window() {
        let mut guard = AboveLimit::new(0.05);
        for n in 0..7200 {
            if n % 10 == 0 {
                guard.begin_window();
            }
            guard.add(f64::from(u8::from(n % 40 == 0))); // half of what may fail
        }
        guard.begin_window();
        let needed = (1..100).find(|n| {
            guard.add(f64::from(u8::from(n % 2 == 0)));
            guard.is_above(ALPHA / 3.0)
        });
        assert!(needed.is_some_and(|needed| needed <= 40), "{needed:?}");
    }
}
