use std::collections::VecDeque;

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::{
    daily::Daily,
    level::{Innovation, LocalLevel},
    numbers::{LIMIT, all_within, mean},
    order::Order,
    range::{MOST_MARGINS, Margin, Patience, Range, Tails},
};

/// Innovations that a channel must have shown before it has a say.
const CHANNEL_WARM_UP: u64 = 8;
/// When a value beyond the range is a surprise, …
const RANGE_MARGIN: Margin = Margin { none: 0.02, one: 0.015 };
/// (of a provider's share, which demand alone moves, a little more)
const SHARE_MARGIN: Margin = Margin { none: 0.06, one: 0.015 };
/// … a mean of a few windows beyond the range of such means, for a level that shifted by much, …
const FEW_WINDOWS: usize = 4;
const FEW_MARGIN: Margin = Margin { none: 0.08, one: 0.06 };
/// … and one of many, for a level that shifted by little, …
const MANY_WINDOWS: usize = 20;
const MANY_MARGIN: Margin = Margin { none: 0.04, one: 0.03 };
/// … a code that is longer than all before by so many bits, …
const ORDER_MARGIN_BITS: f64 = 0.5;
/// … and a distance from the same time of earlier days that is larger than all before by so many parts.
const DAILY_MARGIN: f64 = 0.1;

/// A channel beside its forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// The distance in scales.
    pub z: f64,
    /// What came.
    pub observed: f64,
    /// What was forecast.
    pub expected: f64,
}

/// Everything that is remembered of one channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Series {
    #[garde(dive)]
    level: LocalLevel,
    #[garde(dive)]
    range: Range,
    #[garde(length(max = MANY_WINDOWS), custom(|recent: &VecDeque<f64>, (): &()| all_within(LIMIT, recent)))]
    recent: VecDeque<f64>,
    #[garde(dive)]
    means_of_few: Range,
    #[garde(dive)]
    means_of_many: Range,
    /// Of open channels only: a swarm's own figures are averages of many requests, whose order says nothing, and a
    /// thousand swarms with twenty providers could not afford it.
    #[garde(dive)]
    order: Option<Box<Order>>,
    /// Of open channels whose windows tell the time.
    #[garde(dive)]
    daily: Option<Box<Daily>>,
    /// The last window that had a value.
    #[garde(skip)]
    pub(crate) last_window: u64,
}

/// A window as a channel sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The window's number.
    pub(crate) window: u64,
    /// Its time in seconds, if it tells it.
    pub(crate) time: Option<i64>,
    /// How many channels the window has.
    pub(crate) channels: usize,
    /// What its values far out are taken for.
    pub(crate) tails: Tails,
    /// Changes below this surprise nobody.
    pub(crate) resolution: f64,
    /// Windows beyond the range after which a level is believed.
    pub(crate) believed_after: u64,
}

/// Which memory of a channel a value contradicts most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Memory {
    /// The forecast from the windows just before.
    Innovation,
    /// All values so far.
    Range,
    /// All means of four, or of twenty, windows so far.
    Mean,
    /// What usually follows what.
    Order,
    /// What is usual at this time of day.
    TimeOfDay,
}

/// What a value says against what was remembered of its channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Evidence {
    /// The distance from the forecast; `None` while there are too few.
    pub(crate) innovation: Option<Innovation>,
    /// The memory that is contradicted most, …
    pub(crate) memory: Memory,
    /// … and by how many margins: 1 is a surprise.
    pub(crate) margins: f64,
    /// Whether values, or their means, fell below their range.
    pub(crate) fell: bool,
    /// The distance from the mean of the windows before.
    pub(crate) change: f64,
}

impl Series {
    /// What is remembered of an open channel.
    #[must_use]
    pub(crate) fn open(timed: bool) -> Self {
        Self { order: Some(Box::default()), daily: timed.then(Box::default), ..Self::default() }
    }

    /// What is remembered of a provider's share: a swarm that learns begins by trying everything.
    #[must_use]
    pub(crate) fn share() -> Self {
        Self { range: Range::forgetting(), ..Self::default() }
    }

    /// What the value says against the past; then it is part of it.
    pub(crate) fn observe(&mut self, value: f64, moment: Moment) -> Evidence {
        self.last_window = moment.window;
        let innovation = self
            .level
            .observe(value, moment.resolution)
            .filter(|innovation| innovation.seen >= CHANNEL_WARM_UP);
        let Moment { channels, tails, resolution, believed_after, .. } = moment;
        let allowance = self.range.allowance(channels, tails);
        let margin = match tails {
            Tails::Normal => SHARE_MARGIN,
            Tails::Exponential => RANGE_MARGIN,
        };
        let margin = margin.with(allowance);
        let range = self.range.observe(value, margin, resolution, Patience::Windows(believed_after));
        let change = mean(self.recent.iter().copied()).map_or(0.0, |before| value - before);
        if self.recent.len() == MANY_WINDOWS {
            self.recent.pop_front();
        }
        self.recent.push_back(value);
        let mut mean_margins = 0.0_f64;
        for (means, windows, margin, patience) in [
            (&mut self.means_of_few, FEW_WINDOWS, FEW_MARGIN, Patience::UntilConfirmed),
            (&mut self.means_of_many, MANY_WINDOWS, MANY_MARGIN, Patience::UntilTold),
        ] {
            if self.recent.len() >= windows
                && let Some(mean) = mean(self.recent.iter().rev().take(windows).copied())
            {
                let margin = margin.with(means.allowance(channels, tails));
                let margins = means.observe(mean, margin, resolution, patience);
                if margins.abs() > mean_margins.abs() {
                    mean_margins = margins;
                }
            }
        }
        let order_margin = ORDER_MARGIN_BITS * (1.0 + (channels.max(1) as f64).log2());
        let order = self.order.as_mut().map_or(0.0, |order| order.observe(value) / order_margin);
        let daily_margin = DAILY_MARGIN + allowance;
        let daily = match (&mut self.daily, moment.time) {
            (Some(daily), Some(time)) => daily.observe(time, value) / daily_margin,
            _ => 0.0,
        };
        let mut most = (Memory::Range, range.abs());
        for other in [(Memory::Mean, mean_margins.abs()), (Memory::Order, order), (Memory::TimeOfDay, daily)]
        {
            if other.1 > most.1 {
                most = other;
            }
        }
        Evidence {
            innovation,
            memory: most.0,
            margins: most.1.min(MOST_MARGINS),
            fell: range <= -1.0 || mean_margins <= -1.0,
            change,
        }
    }

    /// A window without a value.
    pub(crate) fn skip(&mut self) {
        self.level.skip();
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub(crate) fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.recent.capacity() * size_of::<f64>()
            + self.order.as_ref().map_or(0, |order| order.size_bytes())
            + self.daily.as_ref().map_or(0, |daily| daily.size_bytes())
    }
}

impl Evidence {
    /// The channel beside its forecast; a forecast there is from the second value on.
    #[must_use]
    pub(crate) fn deviation(&self, observed: f64) -> Option<Deviation> {
        self.innovation.map(|i| Deviation { z: i.z, observed, expected: i.expected })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn moment(window: u64) -> Moment {
        Moment {
            window,
            time: None,
            channels: 1,
            tails: Tails::Exponential,
            resolution: 0.0,
            believed_after: 300,
        }
    }

    #[test]
    fn a_small_shift_that_stays_contradicts_the_means_and_not_the_values() {
        let mut generator = rand_pcg::Pcg64Mcg::seed_from_u64(8);
        let mut series = Series::default();
        let mut found = None;
        for window in 0..1100_u64 {
            let noise: f64 = StandardNormal.sample(&mut generator);
            let shift = if window >= 1000 { 1.0 } else { 0.0 };
            let evidence = series.observe(100.0 + noise + shift, moment(window));
            if window >= 1000 && evidence.margins >= 1.0 && found.is_none() {
                found = Some((window, evidence.memory));
            }
        }
        let (window, memory) = found.unwrap();
        assert_eq!(memory, Memory::Mean);
        assert!(window < 1030, "{window}");
    }

    #[test]
    fn a_fall_is_told_from_a_rise() {
        let mut series = Series::default();
        for window in 0..100 {
            series.observe((window % 5) as f64, moment(window));
        }
        assert!(!series.clone().observe(30.0, moment(100)).fell);
        assert!(series.observe(-30.0, moment(100)).fell);
    }
}
