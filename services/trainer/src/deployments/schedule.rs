//! When a deployment's windows begin and end.

use api::deployments::NewDeployment;
use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};

/// The windows of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    starts_at: DateTime<Utc>,
    step_seconds: u32,
    settle_seconds: u32,
    outcome_deadline_seconds: u32,
    hold_seconds: u32,
}

impl Schedule {
    /// That of these settings, whose first window begins at `starts_at`.
    pub(crate) fn new(settings: &NewDeployment, starts_at: DateTime<Utc>) -> Self {
        Self {
            starts_at,
            step_seconds: settings.step_seconds,
            settle_seconds: settings.settle_seconds,
            outcome_deadline_seconds: settings.outcome_deadline_seconds,
            hold_seconds: settings.hold_seconds.unwrap_or(settings.step_seconds),
        }
    }

    /// The window of a moment: the first one for all that is before it.
    pub(crate) fn window_at(&self, now: DateTime<Utc>) -> u32 {
        let seconds = (now - self.starts_at).num_seconds().max(0);
        u32::try_from(seconds / i64::from(self.step_seconds)).unwrap_or(i32::MAX as u32).min(i32::MAX as u32)
    }

    /// Whether those that wait for the end of this window are to be decided.
    pub(crate) fn settles(&self, window: u32, now: DateTime<Utc>) -> bool {
        now >= self.settles_at(window)
    }

    /// When those that wait for the end of this window are decided.
    pub(crate) fn settles_at(&self, window: u32) -> DateTime<Utc> {
        self.ends_at(window) - TimeDelta::seconds(self.settle_seconds.into())
    }

    /// When it begins.
    pub(crate) fn starts_at(&self, window: u32) -> DateTime<Utc> {
        self.starts_at + TimeDelta::seconds(i64::from(window) * i64::from(self.step_seconds))
    }

    /// Its number by the clock: windows of so many seconds since 1970, the same for all deployments whose windows are as long.
    pub(crate) fn step(&self, window: u32) -> u64 {
        let seconds = u64::try_from(self.starts_at(window).timestamp()).unwrap_or_default();
        seconds / u64::from(self.step_seconds)
    }

    /// When it ends.
    pub(crate) fn ends_at(&self, window: u32) -> DateTime<Utc> {
        self.starts_at(window) + TimeDelta::seconds(self.step_seconds.into())
    }

    /// The hour of the week in which it begins, from 0 (Monday 00:00 UTC) to 167.
    pub(crate) fn hour_of_week(&self, window: u32) -> u32 {
        let start = self.starts_at(window);
        start.weekday().num_days_from_monday() * 24 + start.hour()
    }

    /// For how many windows after its own an outcome is waited for.
    pub(crate) fn outcome_windows(&self) -> u32 {
        self.outcome_deadline_seconds.div_ceil(self.step_seconds)
    }

    /// For how many windows, its own included, a job holds what it was sent for.
    pub(crate) fn hold_windows(&self) -> u32 {
        self.hold_seconds.div_ceil(self.step_seconds)
    }

    /// When the outcome of a job of this window is missing.
    pub(crate) fn missing_at(&self, window: u32) -> DateTime<Utc> {
        self.ends_at(window + self.outcome_windows())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        let settings = serde_json::json!({
            "name": "x", "policy_id": uuid::Uuid::nil(), "step_seconds": 600, "settle_seconds": 60,
            "outcome_deadline_seconds": 1801
        });
        Schedule::new(&serde_json::from_value(settings).unwrap(), at("2026-11-28T13:30:00Z"))
    }

    fn at(time: &str) -> DateTime<Utc> {
        time.parse().unwrap()
    }

    #[test]
    fn a_moment_has_its_window_and_one_before_the_first_has_that() {
        let windows = ["2026-11-28T13:39:59Z", "2026-11-28T13:40:00Z", "2020-01-01T00:00:00Z"];
        assert_eq!(windows.map(|time| schedule().window_at(at(time))), [0, 1, 0]);
        assert_eq!(schedule().window_at(DateTime::<Utc>::MAX_UTC), i32::MAX as u32);
    }

    #[test]
    fn windows_of_two_deployments_have_one_number_where_they_begin_in_the_same_step_of_the_clock() {
        let later = Schedule { starts_at: at("2026-11-28T14:05:00Z"), ..schedule() };
        assert_eq!(schedule().step(3), later.step(0), "from 14:00, and from 14:05");
        assert_eq!(schedule().step(4), later.step(0) + 1);
        let before_1970 = Schedule { starts_at: at("1960-01-01T00:00:00Z"), ..schedule() };
        assert_eq!(before_1970.step(0), 0);
    }

    #[test]
    fn the_end_of_a_window_is_for_those_that_waited() {
        assert!(!schedule().settles(0, at("2026-11-28T13:38:59Z")));
        assert!(schedule().settles(0, at("2026-11-28T13:39:00Z")));
    }

    /// 2026-11-28 is a Saturday.
    #[test]
    fn a_window_knows_its_hour_of_the_week() {
        assert_eq!(
            [0, 2, 3].map(|window| schedule().hour_of_week(window)),
            [5 * 24 + 13, 5 * 24 + 13, 5 * 24 + 14]
        );
    }

    #[test]
    fn an_outcome_is_waited_for_in_whole_windows() {
        assert_eq!((schedule().outcome_windows(), schedule().hold_windows()), (4, 1));
        assert_eq!(schedule().missing_at(0), at("2026-11-28T14:20:00Z"));
    }
}
