//! From values to places on the paper, and which values get a tick.

/// A linear axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// `low` is at `start`, `high` at `end`.
    pub(crate) fn new((low, high): (f64, f64), (start, end): (f64, f64)) -> Self {
        Self { low, high, start, end }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
    }

    /// Round values within the axis, about `most` of them but no fewer than [`LEAST_TICKS`], with a distance of 1, 2 or 5 times a
    /// power of ten, or half of that, and as they are written. An axis of whole things has as many ticks as there are.
    pub(crate) fn ticks(&self, most: usize, whole: bool) -> Vec<(f64, String)> {
        let least = (self.high - self.low) / most.max(1) as f64;
        let power = 10f64.powf(least.log10().floor());
        let mut step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= least * 0.999);
        if whole {
            step = step.map(|step| step.max(1.0));
        }
        let Some(mut step) = step.filter(|step| step.is_finite() && *step > 0.0) else { return Vec::new() };
        let within = |step: f64| ((self.low / step - 1e-9).ceil(), (self.high / step + 1e-9).floor());
        for _ in 0..HALVINGS {
            let (first, last) = within(step);
            if !whole && last - first + 1.0 < LEAST_TICKS {
                step /= 2.0;
            }
        }
        let (first, last) = within(step);
        let count = (last - first).clamp(-1.0, 100.0) as i64;
        (0..=count).map(|i| (first + i as f64) * step).map(|tick| (tick, written(tick, step))).collect()
    }
}

/// With fewer a reader cannot tell how the axis goes on.
const LEAST_TICKS: f64 = 3.0;

/// As often a distance is halved at most to have so many.
const HALVINGS: u32 = 3;

/// A tick as text, with the decimals that its distance to the next one needs.
fn written(tick: f64, step: f64) -> String {
    if tick.abs() >= 1e7 || step < 1e-6 {
        return if tick == 0.0 { "0".into() } else { format!("{tick:.1e}") };
    }
    let is_written = |decimals: &usize| {
        let shifted = step * 10f64.powi(*decimals as i32);
        (shifted - shifted.round()).abs() < 1e-6 * shifted
    };
    let decimals = (0..12).find(is_written).unwrap_or(12);
    format!("{:.decimals$}", tick + 0.0)
}

/// The range of values with a little room around them; `None` without values.
pub(crate) fn span(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values
        .into_iter()
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return None;
    }
    // a curve that stands still is drawn in the middle, not blown up to its rounding errors
    let room = ((high - low) * 0.06).max(high.abs().max(low.abs()) * 1e-3).max(1e-6);
    let (low, high) = (low - room, high + room);
    // values so large that their distance is no number any more cannot be drawn
    (high - low).is_finite().then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(low: f64, high: f64, most: usize) -> Vec<String> {
        let ticks = Scale::new((low, high), (0.0, 1.0)).ticks(most, false);
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_within_the_axis_and_alike() {
        assert_eq!(ticks(0.0, 1.0, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks(38.7, 41.6, 4), ["39", "40", "41"]);
        assert_eq!(ticks(-0.3, 0.9, 3), ["-0.25", "0.00", "0.25", "0.50", "0.75"]);
        assert_eq!(ticks(0.0, 1999.0, 5), ["0", "500", "1000", "1500"]);
        assert_eq!(ticks(0.9465, 0.9485, 3), ["0.9465", "0.9470", "0.9475", "0.9480", "0.9485"]);
    }

    #[test]
    fn every_axis_has_three_ticks_at_least() {
        for low in [-1.0, 0.0, 0.013, 39.95, 316.2] {
            for width in [0.011, 0.2, 0.97, 1.3, 17.0, 600.0] {
                for most in 2..8 {
                    let found = ticks(low, low + width, most);
                    assert!((3..=12).contains(&found.len()), "{low} + {width}, {most}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn an_axis_of_episodes_has_whole_ticks_only() {
        let ticks = Scale::new((-0.5, 1.5), (0.0, 1.0)).ticks(8, true);
        assert_eq!(ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["0", "1"]);
    }

    #[test]
    fn whatever_the_values_the_ticks_are_few() {
        for (low, high) in [(0.0, 1e308), (1e300, 1.0001e300), (-1e-300, 1e-300), (5.0, 5.0 + 1e-12)] {
            assert!(ticks(low, high, 5).len() <= 7, "{low} to {high}");
        }
    }

    #[test]
    fn a_span_has_room_around_one_value_and_none_without_values() {
        let (low, high) = span([2.0]).unwrap();
        assert!(low < 2.0 && high > 2.0);
        assert_eq!(span([f64::NAN, f64::INFINITY]), None);
        assert_eq!(span([f64::MAX, f64::MIN]), None);
    }

    #[test]
    fn a_scale_may_run_either_way() {
        let scale = Scale::new((0.0, 10.0), (100.0, 0.0));
        assert!((scale.at(2.5) - 75.0).abs() < 1e-12);
    }
}
