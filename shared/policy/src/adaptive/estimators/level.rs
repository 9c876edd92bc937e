//! How many requests a step brings.

use serde::{Deserialize, Serialize};

use super::Experts;

/// Rates at which the level of demand follows what is seen, and how much of it is left a step later.
const LEVELS: [(f64, f64); 11] = [
    (0.0, 0.0),
    (0.8, 1.0),
    (0.9, 0.95),
    (0.8, 0.95),
    (0.6, 0.95),
    (0.9, 0.9),
    (0.7, 0.9),
    (0.9, 0.8),
    (0.6, 0.8),
    (0.6, 1.0),
    (0.4, 1.0),
];

/// The level that trusts the catalog and no calendar, and the one that is believed first where the catalog does not tell
/// all.
const TRUSTING_LEVEL: usize = LEVELS.len();
const FIRST_LEVEL: usize = 1;

/// What is expected of the error where the catalog does not tell all, until it is known.
const FIRST_SPREAD: f64 = 0.15;

/// How many steps what is believed first counts for.
const FIRST_STEPS: f64 = 20.0;

/// The number of requests in a step / the catalog's, as a logarithm: what is usual at this time of the week, and how far
/// this episode is off.
///
/// What comes back is looked for in the calendar (the hour of the day and the day of the week), never in how many steps an
/// episode has had: a stream that is replayed would be learned by heart. Where the catalog tells the law of demand, nothing
/// comes back, and nothing is looked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Level {
    calendar: Calendar,
    /// That of others, which is heeded beside one's own.
    others: Option<Calendar>,
    experts: Experts,
    /// What is left to know of a step when all else is known.
    least_spread: f64,
    is_told: bool,
    /// What is usual at each hour of the day, and on each day of the week.
    usual: [Vec<f64>; 2],
    /// The times that are going on: the hour of the day, and the day of the week.
    visits: [Option<Visit>; 2],
    /// How far this episode is off, as expected of the next step: by rate, first of those that look into the calendar, then
    /// of those that do not.
    offsets: [f64; EXPERTS],
}

/// What was usual at which time of the week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calendar {
    /// By hour of the day.
    hours: Vec<Visits>,
    /// By day of the week.
    days: Vec<Visits>,
}

/// The mean levels that a time of the calendar has had, one for each time that it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Visits {
    count: f64,
    sum: f64,
    sum_of_squares: f64,
}

/// An hour or a day that is going on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Visit {
    time: usize,
    steps: f64,
    sum: f64,
}

/// Each rate with the calendar and without: what came back in one world need not in another.
const EXPERTS: usize = 2 * LEVELS.len();

const HOURS: usize = 24;
const DAYS: usize = 7;

impl Calendar {
    fn new() -> Self {
        Self { hours: vec![Visits::default(); HOURS], days: vec![Visits::default(); DAYS] }
    }

    /// # Errors
    /// Says what does not fit.
    fn check(&self) -> Result<(), String> {
        let Self { hours, days } = self;
        let is_sound = |visits: &Visits| visits.count >= 0.0 && visits.sum.is_finite();
        if (hours.len(), days.len()) != (HOURS, DAYS) || !hours.iter().chain(days).all(is_sound) {
            return Err(format!("calendar: expected finite sums over {HOURS} hours and {DAYS} days"));
        }
        Ok(())
    }

    /// Adds what another one remembers.
    pub(crate) fn add(&mut self, other: &Self) {
        let own = self.hours.iter_mut().chain(&mut self.days);
        for (visits, more) in own.zip(other.hours.iter().chain(&other.days)) {
            visits.count += more.count;
            visits.sum += more.sum;
            visits.sum_of_squares += more.sum_of_squares;
        }
    }
}

impl Level {
    /// Nothing seen yet; `is_told` where the catalog tells the law of demand.
    pub(crate) fn new(least_spread: f64, is_told: bool) -> Self {
        Self {
            calendar: Calendar::new(),
            others: None,
            experts: Experts::new(EXPERTS),
            least_spread,
            is_told,
            usual: [Vec::new(), Vec::new()],
            visits: [None; 2],
            offsets: [0.0; EXPERTS],
        }
    }

    /// Whether the other one is of the same kind.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let usual = |level: &Self| level.usual.each_ref().map(Vec::len);
        let is_in_time = |visit: &Option<Visit>, times: usize| visit.is_none_or(|visit| visit.time < times);
        self.experts.is_like(&other.experts)
            && usual(self) == usual(other)
            && other.calendar.check().is_ok()
            && is_in_time(&other.visits[0], HOURS)
            && is_in_time(&other.visits[1], DAYS)
    }

    pub(crate) fn begin_episode(&mut self) {
        self.visits = [None; 2];
        if !self.is_told {
            let mut all = self.calendar.clone();
            self.others.iter().for_each(|others| all.add(others));
            self.usual = [usual(&all.hours), usual(&all.days)];
        }
        self.experts.begin_episode();
        self.offsets = [0.0; EXPERTS];
    }

    /// Follows a step, and returns the error of what was predicted.
    pub(crate) fn observe(&mut self, hour_of_week: u32, level: f64, learns: bool) -> f64 {
        let seen = level.max(1e-3).ln();
        let expected = self.expected(hour_of_week);
        let innovations = expected.map(|expected| seen - expected);
        let error = innovations[self.best()];
        self.experts.observe(innovations.iter().map(|innovation| innovation * innovation), learns);
        let rates = LEVELS.iter().cycle();
        for ((offset, innovation), (gain, kept)) in self.offsets.iter_mut().zip(innovations).zip(rates) {
            *offset = kept * (*offset + gain * innovation);
        }
        if learns && !self.is_told {
            self.remember(hour_of_week, seen);
        }
        error
    }

    /// The level of a step, and how far it may be off: a standard deviation, as a share.
    pub(crate) fn predict(&self, hour_of_week: u32) -> (f64, f64) {
        let best = self.best();
        let first = if self.is_told { self.least_spread } else { FIRST_SPREAD };
        let (losses, steps) = self.experts.record(best);
        let errors = first * first * FIRST_STEPS + losses;
        let spread = (errors / (FIRST_STEPS + steps)).sqrt().max(self.least_spread);
        (self.expected(hour_of_week)[best].exp(), spread)
    }

    /// Times of the calendar that it knows.
    pub(crate) fn size(&self) -> u64 {
        let times = self.calendar.hours.iter().chain(&self.calendar.days);
        times.filter(|visits| visits.count > 0.0).count() as u64
    }

    pub(crate) fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    pub(crate) fn experts(&self) -> &Experts {
        &self.experts
    }

    pub(crate) fn experts_mut(&mut self) -> &mut Experts {
        &mut self.experts
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, calendar: Calendar) -> Result<(), String> {
        calendar.check()?;
        self.calendar = calendar;
        Ok(())
    }

    /// Heeds the calendar of others too, in the place of what it heeded before, from the next episode on.
    ///
    /// # Errors
    /// Says what does not fit.
    pub(crate) fn heed(&mut self, others: Option<Calendar>) -> Result<(), String> {
        others.iter().try_for_each(Calendar::check)?;
        self.others = others;
        Ok(())
    }

    fn best(&self) -> usize {
        self.experts.best(if self.is_told { TRUSTING_LEVEL } else { FIRST_LEVEL })
    }

    /// What each expects.
    fn expected(&self, hour_of_week: u32) -> [f64; EXPERTS] {
        let at = times(hour_of_week);
        let usual =
            self.usual.iter().zip(at).map(|(usual, time)| usual.get(time).copied().unwrap_or_default());
        let usual: f64 = usual.sum();
        let mut expected = self.offsets;
        expected[..LEVELS.len()].iter_mut().for_each(|expected| *expected += usual);
        expected
    }

    /// Counts a step to the hour and the day that go on; those that have ended are remembered by their means.
    fn remember(&mut self, hour_of_week: u32, seen: f64) {
        let remembered = [&mut self.calendar.hours, &mut self.calendar.days];
        for ((visit, time), remembered) in self.visits.iter_mut().zip(times(hour_of_week)).zip(remembered) {
            match visit {
                Some(visit) if visit.time == time => {
                    // the step belongs to what is going on: its mean is counted anew
                    remembered[time].remove(visit.mean());
                    visit.steps += 1.0;
                    visit.sum += seen;
                    remembered[time].add(visit.mean());
                }
                _ => {
                    *visit = Some(Visit { time, steps: 1.0, sum: seen });
                    remembered[time].add(seen);
                }
            }
        }
    }
}

impl Visit {
    fn mean(&self) -> f64 {
        self.sum / self.steps
    }
}

impl Visits {
    fn add(&mut self, level: f64) {
        self.count += 1.0;
        self.sum += level;
        self.sum_of_squares += level * level;
    }

    fn remove(&mut self, level: f64) {
        self.count -= 1.0;
        self.sum -= level;
        self.sum_of_squares -= level * level;
    }
}

/// The hour of the day and the day of the week.
fn times(hour_of_week: u32) -> [usize; 2] {
    let hour = hour_of_week as usize;
    [hour % HOURS, hour / HOURS % DAYS]
}

/// What is usual at each time, as far as they are seen to differ: their means, drawn towards their own mean by the share
/// of their spread that chance explains (James and Stein 1961).
fn usual(times: &[Visits]) -> Vec<f64> {
    let seen: Vec<&Visits> = times.iter().filter(|visits| visits.count >= 2.0).collect();
    if seen.len() < 2 {
        return Vec::new();
    }
    let count = seen.len() as f64;
    let means: Vec<f64> = seen.iter().map(|visits| visits.sum / visits.count).collect();
    let mean = means.iter().sum::<f64>() / count;
    let between = means.iter().map(|m| (m - mean) * (m - mean)).sum::<f64>() / (count - 1.0);
    let chance = seen.iter().zip(&means).map(|(visits, mean)| {
        let variance = (visits.sum_of_squares / visits.count - mean * mean).max(0.0);
        variance / (visits.count - 1.0)
    });
    let chance = chance.sum::<f64>() / count;
    let signal = if between > 0.0 { (1.0 - chance / between).max(0.0) } else { 0.0 };
    let of_time = |visits: &Visits| {
        if visits.count >= 2.0 { signal * (visits.sum / visits.count - mean) } else { 0.0 }
    };
    times.iter().map(of_time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_catalog_tells_all_no_noise_is_followed() {
        let mut level = Level::new(0.04, true);
        for episode in 0..10_u32 {
            level.begin_episode();
            for step in 0..50_u32 {
                // ±4 %, without any pattern over steps
                let up = (step * 7 + episode * 13 + step * step * 3) % 5 < 2;
                level.observe(step, if up { 1.04 } else { 0.97 }, true);
            }
        }
        level.begin_episode();
        level.observe(0, 1.04, false);
        let (predicted, spread) = level.predict(1);
        assert!((predicted - 1.0).abs() < 0.02, "{predicted}");
        assert!((0.03..0.06).contains(&spread), "{spread}");
    }

    #[test]
    fn what_comes_back_in_every_episode_is_expected() {
        let mut level = Level::new(0.04, false);
        for episode in 0..20 {
            level.begin_episode();
            for step in 0..48_u32 {
                let wave = 1.0 + 0.3 * (f64::from(step) * std::f64::consts::TAU / 24.0).sin();
                let noise = if (episode + step).is_multiple_of(2) { 1.02 } else { 0.98 };
                level.observe(step, wave * noise, true);
            }
        }
        level.begin_episode();
        let (at_its_height, _) = level.predict(6);
        let (at_its_depth, _) = level.predict(18);
        // e^(mean of the logarithm) of 1.3 and 0.7, relative to the usual level of an episode
        assert!((at_its_height / at_its_depth - 1.3 / 0.7).abs() < 0.05, "{at_its_height} {at_its_depth}");
    }

    #[test]
    fn a_level_that_lasts_is_followed() {
        let mut level = Level::new(0.04, false);
        level.begin_episode();
        for step in 0..10 {
            level.observe(step, 1.5, false);
        }
        assert!((level.predict(10).0 - 1.5).abs() < 0.01);
    }
}
