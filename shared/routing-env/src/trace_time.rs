//! When the requests of a trace came: which column says it, in which unit, and from where it counts.

use std::fmt;

use crate::{calendar::Calendar, trace::MAX_STEPS};
use chrono::{DateTime, SecondsFormat, Utc};

/// From so many seconds on a time is one of the clock, since 1970: no trace is three years long.
const FIRST_CLOCK_SECONDS: f64 = 1e8;

/// From so many on it is none in seconds: it would lie beyond the year 5000.
const FIRST_NOT_SECONDS: f64 = 1e11;

/// What a row has in the columns that may say when a request came.
#[derive(Clone, Debug)]
pub(crate) struct TimeColumns {
    pub(crate) step: Option<f64>,
    pub(crate) arrival_s: Option<f64>,
    pub(crate) arrival_ms: Option<f64>,
    pub(crate) arrival_at: Option<String>,
}

/// Where step 0 of a trace begins.
///
/// Times of a stopwatch count from 0, so that the steps before the first request are empty. Times of the clock (seconds or
/// milliseconds since 1970, or ISO 8601) have no such beginning: step 0 begins with the first request.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// The file numbers the steps itself.
    Steps,
    /// At 0; the first request comes so many seconds after it.
    Zero {
        /// When the first request comes, in seconds.
        first_s: f64,
    },
    /// With the first request, which came then.
    First(DateTime<Utc>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => f.write_str("as the trace numbers its steps"),
            Self::Zero { first_s } => {
                write!(f, "at 0 s; the first request comes {first_s} s after it")
            }
            Self::First(time) => {
                let time = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                write!(f, "with the first request, at {time}")
            }
        }
    }
}

/// The column and what was expected there.
pub(crate) type Wrong = (&'static str, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Steps,
    Seconds,
    Milliseconds,
    Iso8601,
}

impl Unit {
    const ALL: [Self; 4] = [Self::Steps, Self::Seconds, Self::Milliseconds, Self::Iso8601];

    fn column(self) -> &'static str {
        match self {
            Self::Steps => "step",
            Self::Seconds => "arrival_s",
            Self::Milliseconds => "arrival_ms",
            Self::Iso8601 => "arrival_at",
        }
    }
}

/// Turns the times of a trace's rows, in their order, into steps.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    unit: Unit,
    /// 1 where the file numbers the steps.
    step_seconds: f64,
    origin: Option<Origin>,
    /// What the origin is subtracted from, in seconds.
    from: f64,
    last: f64,
}

impl Clock {
    /// # Errors
    /// No column says when requests came, or more than one could, or the length of a step is missing.
    pub(crate) fn new(header: &csv::StringRecord, step_seconds: Option<f64>) -> Result<Self, Wrong> {
        let there = |unit: &Unit| header.iter().any(|name| name == unit.column());
        let mut units: Vec<Unit> = Unit::ALL.into_iter().filter(there).collect();
        // without the length of a step only steps can be meant, and with it only times
        if units.contains(&Unit::Steps) && units.len() > 1 {
            units.retain(|unit| (*unit == Unit::Steps) != step_seconds.is_some());
        }
        let unit = match units.as_slice() {
            [unit] => *unit,
            [] => {
                let expected = "expected a column `step`, `arrival_s`, `arrival_ms` or `arrival_at`";
                return Err(("", expected.into()));
            }
            [one, other, ..] => {
                let expected = format!(
                    "expected one column that says when a request came, found `{}` and `{}`: remove one",
                    one.column(),
                    other.column()
                );
                return Err((one.column(), expected));
            }
        };
        let step_seconds = match (unit, step_seconds) {
            (Unit::Steps, None) => 1.0,
            (Unit::Steps, Some(_)) => {
                let expected = "a trace with step needs no length of a step: leave it out";
                return Err((unit.column(), expected.into()));
            }
            (_, Some(seconds)) => seconds,
            (_, None) => {
                let expected =
                    format!("a trace with {} needs the length of a step in seconds", unit.column());
                return Err((unit.column(), expected));
            }
        };
        Ok(Self { unit, step_seconds, origin: None, from: 0.0, last: f64::NEG_INFINITY })
    }

    /// The step of the next row.
    ///
    /// # Errors
    /// It has no time, or one that is none, or comes before the row before it, or too late.
    pub(crate) fn step(&mut self, row: &TimeColumns) -> Result<u32, Wrong> {
        let column = self.unit.column();
        let at = self.seconds(row).map_err(|expected| (column, expected))?;
        if self.origin.is_none() {
            let origin = self.begins(at);
            self.from = if matches!(origin, Origin::First(_)) { at } else { 0.0 };
            self.origin = Some(origin);
        }
        if at < self.last {
            let expected = match self.unit {
                Unit::Steps => format!("step {at} comes after step {}", self.last),
                _ => format!("this request came {} s before the one above it", self.last - at),
            };
            return Err((
                column,
                format!("expected rows in order of time: {expected}; sort the file by {column}"),
            ));
        }
        self.last = at;
        let step = (at - self.from) / self.step_seconds;
        if step < f64::from(MAX_STEPS) {
            return Ok(step as u32);
        }
        let expected = match self.unit {
            Unit::Steps => format!("expected a step below {MAX_STEPS}, found {at}"),
            _ => format!(
                "expected at most {MAX_STEPS} steps, but {} s after the beginning come later than that; make the steps longer \
                 than {} s",
                at - self.from,
                self.step_seconds
            ),
        };
        Err((column, expected))
    }

    /// Where step 0 begins; that of an empty trace is anywhere.
    pub(crate) fn origin(self) -> Origin {
        self.origin.unwrap_or(Origin::Steps)
    }

    /// Which time of the week its steps are.
    pub(crate) fn calendar(&self) -> Calendar {
        match self.origin {
            _ if self.unit == Unit::Steps => Calendar::SIMULATED,
            Some(Origin::First(time)) => Calendar::new(Some(time), self.step_seconds),
            _ => Calendar::new(None, self.step_seconds),
        }
    }

    fn begins(&self, first: f64) -> Origin {
        let time = DateTime::from_timestamp_micros((first * 1e6).round() as i64);
        match (self.unit, time) {
            (Unit::Steps, _) => Origin::Steps,
            (Unit::Iso8601, Some(time)) => Origin::First(time),
            (_, Some(time)) if first >= FIRST_CLOCK_SECONDS => Origin::First(time),
            _ => Origin::Zero { first_s: first },
        }
    }

    /// The row's time in seconds; a step counts as one here.
    fn seconds(&self, row: &TimeColumns) -> Result<f64, String> {
        let number = |value: Option<f64>, per_second: f64, smaller: &str| {
            let value = value.ok_or("expected a time, found nothing")?;
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("expected a time from 0 on, found {value}"));
            }
            if value / per_second >= FIRST_NOT_SECONDS {
                return Err(format!(
                    "expected a time before the year 5000, found {value}, which seems to be in {smaller}"
                ));
            }
            Ok(value / per_second)
        };
        match self.unit {
            Unit::Steps => match row.step {
                None => Err("expected a step, found nothing".into()),
                Some(step) if step >= 0.0 && step.fract() == 0.0 => Ok(step),
                Some(step) => Err(format!("expected a whole number from 0 on, found {step}")),
            },
            Unit::Seconds => {
                number(row.arrival_s, 1.0, "milliseconds or less: name the column arrival_ms, or divide")
            }
            Unit::Milliseconds => number(row.arrival_ms, 1e3, "microseconds or less: divide"),
            Unit::Iso8601 => {
                let text = row.arrival_at.as_deref().unwrap_or_default();
                let time = DateTime::parse_from_rfc3339(text).map_err(|_| {
                    format!(
                        "expected a time in ISO 8601 with its zone, such as 2026-03-01T12:00:00Z or \
                         2026-03-01T13:00:00.250+01:00, found `{text}`"
                    )
                })?;
                Ok(time.timestamp_micros() as f64 / 1e6)
            }
        }
    }
}
