//! How the Numenta Anomaly Benchmark scores alarms (Lavin and Ahmad, *Evaluating Real-Time Anomaly Detection
//! Algorithms*, 2015, section II; its scorer's `sweeper.py` where the paper leaves something open).
//!
//! A labelled window earns what its earliest alarm is worth, by a sigmoid of where in the window that is; every alarm
//! outside costs, less right after a window; a window without one costs a miss. The first rows are for learning and are
//! not scored.

use std::ops::RangeInclusive;

/// Share of a series that is not scored, …
const PROBATION: f64 = 0.15;
/// … of so many rows at most.
const PROBATION_OF: f64 = 5000.0;
/// This many window widths behind a window an alarm costs in full.
const FAR: f64 = 3.0;

/// What a false alarm and a miss cost; a hit earns up to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// The profile's name.
    pub name: &'static str,
    /// A false alarm's cost.
    pub false_alarm: f64,
    /// A miss's cost.
    pub miss: f64,
}

/// The benchmark's three profiles.
pub const PROFILES: [Costs; 3] = [
    Costs { name: "standard", false_alarm: 0.11, miss: 1.0 },
    Costs { name: "low_fp", false_alarm: 0.22, miss: 1.0 },
    Costs { name: "low_fn", false_alarm: 0.11, miss: 2.0 },
];

/// How the alarms of a series fare.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Windows with an alarm.
    pub hits: usize,
    /// Windows.
    pub windows: usize,
    /// Rows with an alarm outside all windows.
    pub false_rows: usize,
    /// What the hits earned, at most 1 each.
    earned: f64,
    /// What the false alarms come to, at most 1 each, before the profile's cost.
    falsely: f64,
}

/// How many rows of a series are not scored.
#[must_use]
pub fn probation(rows: usize) -> usize {
    (PROBATION * rows as f64).floor().min(PROBATION * PROBATION_OF) as usize
}

/// Scores the alarms of a series, one a row, against its windows of rows, which are in order and apart. Alarms in
/// probation do not count.
#[must_use]
pub fn score(alarms: &[bool], windows: &[RangeInclusive<usize>]) -> Score {
    let mut best = vec![None::<f64>; windows.len()];
    let (mut falsely, mut false_rows) = (0.0, 0);
    for row in (probation(alarms.len())..alarms.len()).filter(|row| alarms[*row]) {
        if let Some(found) = windows.iter().position(|window| window.contains(&row)) {
            let window = &windows[found];
            let worth = sigmoid(-((window.end() - row + 1) as f64) / width(window)) / sigmoid(-1.0);
            best[found] = Some(best[found].map_or(worth, |best| best.max(worth)));
        } else {
            let before = windows.iter().rev().find(|window| *window.end() < row);
            falsely += before.map_or(1.0, |window| {
                let behind = (row - window.end()) as f64 / (width(window) - 1.0).max(1.0);
                -sigmoid(behind)
            });
            false_rows += 1;
        }
    }
    Score {
        hits: best.iter().flatten().count(),
        windows: windows.len(),
        false_rows,
        earned: best.iter().flatten().sum(),
        falsely,
    }
}

impl Score {
    /// What the series comes to under a profile: its windows at most, and no lower bound.
    #[must_use]
    pub fn under(&self, costs: &Costs) -> f64 {
        self.earned - costs.miss * (self.windows - self.hits) as f64 - costs.false_alarm * self.falsely
    }
}

/// The score of all series under a profile: 100 for alarms at the beginning of every window and nowhere else, 0 for none
/// at all. `None` without a single window.
#[must_use]
pub fn normalised(scores: &[Score], costs: &Costs) -> Option<f64> {
    let windows: usize = scores.iter().map(|score| score.windows).sum();
    let (perfect, nothing) = (windows as f64, -costs.miss * windows as f64);
    let raw: f64 = scores.iter().map(|score| score.under(costs)).sum();
    (windows > 0).then(|| 100.0 * (raw - nothing) / (perfect - nothing))
}

fn width(window: &RangeInclusive<usize>) -> f64 {
    (window.end() - window.start() + 1) as f64
}

/// The worth of an alarm at a place relative to a window's end, in widths: near 1 at its beginning, −1 far behind it.
fn sigmoid(place: f64) -> f64 {
    if place > FAR { -1.0 } else { 2.0 / (1.0 + (5.0 * place).exp()) - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarms(rows: usize, at: &[usize]) -> Vec<bool> {
        (0..rows).map(|row| at.contains(&row)).collect()
    }

    #[test]
    fn alarms_score_what_a_calculation_by_hand_gives() {
        // 100 rows, probation until 15, windows of ten rows at 40 and 70. An alarm at row 44 is 6 of 10 rows before the
        // end of the first: σ(−.6)/σ(−1) = .905148/.986614 = .917428, and a later one adds nothing. Row 10 is in
        // probation. Row 30 is before all windows: −1. Row 52 is 3/9 behind a window: σ(1/3) = 2/(1 + e^(5/3)) − 1 = −.682260.
        // The second window is missed.
        let score = score(&alarms(100, &[10, 30, 44, 46, 52]), &[40..=49, 70..=79]);
        assert_eq!((score.hits, score.windows, score.false_rows), (1, 2, 2));
        // .917428 − 1 − .11·(1 + .682260) = −.267620
        assert!((score.under(&PROFILES[0]) + 0.267_620).abs() < 1e-5, "{}", score.under(&PROFILES[0]));
        // .917428 − 1 − .22·1.682260 = −.452669
        assert!((score.under(&PROFILES[1]) + 0.452_669).abs() < 1e-5);
        // .917428 − 2 − .11·1.682260 = −1.267620
        assert!((score.under(&PROFILES[2]) + 1.267_620).abs() < 1e-5);
        // (−.267620 + 2) / 4
        assert!((normalised(&[score], &PROFILES[0]).unwrap() - 43.309_49).abs() < 1e-3);
    }

    #[test]
    fn the_perfect_detector_has_a_hundred_and_the_null_detector_nothing() {
        let windows = [vec![40..=49, 70..=79], vec![], vec![500..=600]];
        let rows = [100, 200, 1000];
        let all = |at: fn(&RangeInclusive<usize>) -> Vec<usize>| -> Vec<Score> {
            windows
                .iter()
                .zip(rows)
                .map(|(windows, rows)| {
                    let at: Vec<usize> = windows.iter().flat_map(at).collect();
                    score(&alarms(rows, &at), windows)
                })
                .collect()
        };
        for costs in &PROFILES {
            let perfect = normalised(&all(|window| vec![*window.start()]), costs).unwrap();
            assert!((perfect - 100.0).abs() < 1e-9, "{}: {perfect}", costs.name);
            assert_eq!(normalised(&all(|_| Vec::new()), costs), Some(0.0));
        }
        assert_eq!(normalised(&[score(&[true; 50], &[])], &PROFILES[0]), None);
    }

    #[test]
    fn probation_is_fifteen_percent_of_at_most_five_thousand_rows() {
        assert_eq!((probation(1001), probation(4000), probation(20_000)), (150, 600, 750));
    }
}
