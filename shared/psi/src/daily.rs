use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::numbers::{COUNT_LIMIT, LIMIT};

const DAY: i64 = 86_400;
/// A value is compared with those of so many days before.
const DAYS: i64 = 7;
/// The row of today and those of the days before.
const ROWS: usize = DAYS as usize + 1;
/// A day has so many slots at most: one each five minutes.
const MOST_SLOTS: i64 = 288;
/// The spacing of the windows is taken from so many.
const SPACING_FROM: u64 = 20;
/// The same time of day is so many slots around it.
const AROUND: i64 = 2;
/// Distances are averaged over so many windows.
const AVERAGED: usize = 15;
/// Averages that must have been seen before one above them all says anything.
const KNOWN_AFTER: u64 = 50;
/// No value yet. (JSON has no infinity.)
const EMPTY: f32 = f32::MAX;
/// A distance counts as at least so many parts of the series' range.
const LEAST_DISTANCE: f64 = 0.01;

/// What is usual at this time of day: the distance of a value from the nearest one at about the same time on the last
/// seven days, averaged, and the largest such average so far.
///
/// It notices what is usual for the series but not for the hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Daily {
    /// When the first window was, and how many told their time.
    #[garde(skip)]
    first: Option<i64>,
    #[garde(range(max = COUNT_LIMIT))]
    windows: u64,
    /// Slots a day; 0 until the spacing of the windows is known.
    #[garde(range(min = 0, max = MOST_SLOTS))]
    slots: i64,
    /// A row for each of the last days, at its number modulo [`ROWS`].
    #[garde(custom(|values: &Vec<f32>, (): &()| self.fits(values)))]
    values: Vec<f32>,
    /// The day of the last window.
    #[garde(range(min = -LAST_DAY, max = LAST_DAY))]
    day: i64,
    #[garde(range(min = -LIMIT, max = LIMIT))]
    low: f64,
    #[garde(range(min = -LIMIT, max = LIMIT))]
    high: f64,
    /// The last distances.
    #[garde(length(max = AVERAGED), inner(range(min = 0.0, max = 2.0 * LIMIT)))]
    distances: Vec<f64>,
    #[garde(range(max = COUNT_LIMIT))]
    averages: u64,
    #[garde(range(min = 0.0, max = 2.0 * LIMIT))]
    largest: f64,
}

/// The last day that a time can be on, and as far back: three million years.
const LAST_DAY: i64 = 1 << 30;

impl Daily {
    /// By how many parts of the largest average distance so far the one after this value is above it; 0 when it is not,
    /// or while too little is known. `time` is in seconds of any calendar whose days have 86,400 of them.
    pub(crate) fn observe(&mut self, time: i64, value: f64) -> f64 {
        let time = time.clamp(-LAST_DAY * DAY, LAST_DAY * DAY);
        let (day, second) = (time.div_euclid(DAY), time.rem_euclid(DAY));
        self.windows = self.windows.saturating_add(1);
        let first = *self.first.get_or_insert(time);
        (self.low, self.high) =
            if self.windows == 1 { (value, value) } else { (self.low.min(value), self.high.max(value)) };
        if self.slots == 0 {
            if self.windows < SPACING_FROM {
                return 0.0;
            }
            let spacing = (time.saturating_sub(first) / (SPACING_FROM as i64 - 1)).max(1);
            self.slots = (DAY / spacing).clamp(1, MOST_SLOTS);
            self.values = vec![EMPTY; ROWS * self.slots as usize];
            self.day = day;
        }
        let slot = second * self.slots / DAY;
        self.turn_to(day);
        let distance = self.nearest(day, slot, value);
        let place = self.place(day, slot);
        self.values[place] = (value as f32).clamp(-f32::MAX / 2.0, f32::MAX / 2.0);
        distance.map_or(0.0, |distance| self.above(distance))
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub(crate) fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.values.capacity() * size_of::<f32>()
            + self.distances.capacity() * size_of::<f64>()
    }

    /// Empties the rows of days that are not remembered any more. A clock that goes back begins anew.
    fn turn_to(&mut self, day: i64) {
        if day < self.day || day - self.day > DAYS {
            self.values.fill(EMPTY);
        } else {
            for next in self.day + 1..=day {
                let begin = self.place(next, 0);
                self.values[begin..begin + self.slots as usize].fill(EMPTY);
            }
        }
        self.day = day;
    }

    fn nearest(&self, day: i64, slot: i64, value: f64) -> Option<f64> {
        let mut nearest: Option<f64> = None;
        for before in 1..=DAYS {
            for around in -AROUND..=AROUND {
                let at = slot + around;
                let (at_day, at) = (day - before + at.div_euclid(self.slots), at.rem_euclid(self.slots));
                if at_day >= day || at_day < day - DAYS {
                    continue;
                }
                let known = self.values[self.place(at_day, at)];
                if known < EMPTY {
                    let distance = (value - f64::from(known)).abs();
                    nearest = Some(nearest.map_or(distance, |nearest| nearest.min(distance)));
                }
            }
        }
        nearest
    }

    fn above(&mut self, distance: f64) -> f64 {
        if self.distances.len() == AVERAGED {
            self.distances.remove(0);
        }
        self.distances.push(distance);
        if self.distances.len() < AVERAGED {
            return 0.0;
        }
        let average = crate::numbers::mean(self.distances.iter().copied()).unwrap_or(0.0);
        self.averages = self.averages.saturating_add(1);
        let least = (LEAST_DISTANCE * (self.high - self.low)).max(f64::MIN_POSITIVE);
        let excess = (average - self.largest) / self.largest.max(least);
        self.largest = self.largest.max(average);
        if self.averages <= KNOWN_AFTER { 0.0 } else { excess.max(0.0) }
    }

    fn place(&self, day: i64, slot: i64) -> usize {
        (day.rem_euclid(ROWS as i64) * self.slots + slot) as usize
    }

    fn fits(&self, values: &[f32]) -> garde::Result {
        if values.len() as i64 != ROWS as i64 * self.slots {
            return Err(garde::Error::new("expected a value for each slot of each day"));
        }
        match values
            .iter()
            .find(|value| **value != EMPTY && f64::from(value.abs()) > f64::from(f32::MAX) / 2.0)
        {
            Some(value) => {
                Err(garde::Error::new(format!("expected values within a float's half, found {value:e}")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Low by night and high by day, a value each five minutes.
    fn value(time: i64) -> f64 {
        let slot = time.rem_euclid(DAY) / 300;
        let wobble = (time / 300 * 7919 % 13) as f64 / 13.0;
        wobble + if (100..200).contains(&slot) { 80.0 } else { 20.0 }
    }

    #[test]
    fn a_usual_value_at_an_unusual_hour_is_noticed() {
        let mut daily = Daily::default();
        let night = 20 * DAY + 10 * 300;
        for time in (0..night).step_by(300) {
            assert!(daily.observe(time, value(time)) < 0.2, "{time}");
        }
        let found = (0..30).find(|i| daily.observe(night + i * 300, 80.5) > 0.2);
        assert!(found.is_some_and(|rows| rows < 10), "{found:?}");
    }

    #[test]
    fn a_day_without_windows_leaves_a_gap_and_a_clock_that_goes_back_begins_anew() {
        let mut daily = Daily::default();
        for time in (0..10 * DAY).step_by(300).filter(|time| !(4 * DAY..5 * DAY).contains(time)) {
            assert!(daily.observe(time, value(time)) < 0.2, "{time}");
        }
        for time in (DAY / 2..3 * DAY).step_by(300) {
            assert!(daily.observe(time, value(time)) < 0.2, "{time}");
        }
    }
}
