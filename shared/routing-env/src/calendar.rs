//! Which time of the week a step is: demand comes back by the clock, not by how many steps an episode has had.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};

const SECONDS_PER_HOUR: f64 = 3600.0;

/// The clock of an episode's steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Calendar {
    /// Where step 0 begins, in seconds since Monday 00:00 UTC.
    origin_s: f64,
    /// How long a step is.
    step_seconds: f64,
}

impl Calendar {
    /// A step is an hour, and an episode begins on a Monday at midnight: what is simulated, and traces that number their
    /// steps without saying how long they are.
    pub(crate) const SIMULATED: Self = Self { origin_s: 0.0, step_seconds: SECONDS_PER_HOUR };

    /// Steps of so many seconds, the first of which begins then; with a stopwatch's time, on a Monday at midnight.
    pub(crate) fn new(origin: Option<DateTime<Utc>>, step_seconds: f64) -> Self {
        let origin_s = origin.map_or(0.0, |time| {
            let days = f64::from(time.weekday().num_days_from_monday());
            days * 24.0 * SECONDS_PER_HOUR + f64::from(time.num_seconds_from_midnight())
        });
        Self { origin_s, step_seconds }
    }

    /// The hour of the week in which a step begins: 0 is Monday 00:00 to 01:00 UTC, 167 the last.
    pub(crate) fn hour_of_week(self, step: u32) -> u32 {
        let seconds = self.origin_s + f64::from(step) * self.step_seconds;
        ((seconds / SECONDS_PER_HOUR) as u64 % u64::from(crate::HOURS_OF_WEEK)) as u32 // below 168
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_an_hour_where_nobody_says_otherwise_and_weeks_come_back() {
        let hours = [0, 1, 23, 24, 167, 168, 337].map(|step| Calendar::SIMULATED.hour_of_week(step));
        assert_eq!(hours, [0, 1, 23, 24, 167, 0, 1]);
    }

    #[test]
    fn a_time_of_the_clock_has_its_day_of_the_week() {
        // 2026-11-28 is a Saturday
        let origin = DateTime::parse_from_rfc3339("2026-11-28T13:30:00Z").unwrap().to_utc();
        let calendar = Calendar::new(Some(origin), 600.0);
        let at = |step| calendar.hour_of_week(step);
        assert_eq!([at(0), at(2), at(3), at(9)], [5 * 24 + 13, 5 * 24 + 13, 5 * 24 + 14, 5 * 24 + 15]);
        assert_eq!(Calendar::new(None, 10.0).hour_of_week(359), 0);
    }
}
