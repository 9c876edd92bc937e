//! What points cover of what is possible.

use routing_env::{Outcome, Preference};

use super::Point;

/// How much beyond the worst point the reference of the hypervolume lies, as a share of the distance between the worst and
/// the best.
const REFERENCE_MARGIN: f64 = 0.01;

/// What points cover of what is possible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// Hypervolume / that of the limit's front.
    pub hypervolume: f64,
    /// The mean over the preferences of what the best of the points is worth.
    pub expected_utility: f64,
}

/// What coverage is measured by.
pub(super) struct Measure<'a> {
    preferences: &'a [Preference],
    /// The reference of the hypervolume.
    pub(super) reference: [f64; 4],
    /// The hypervolume of the limit's front.
    whole: f64,
}

impl<'a> Measure<'a> {
    /// Beside the limit's front, for these and the limit's points.
    pub(super) fn new<'p>(
        preferences: &'a [Preference],
        limit: &'p [Point],
        points: impl Iterator<Item = &'p Point>,
    ) -> Self {
        let reference = reference(points.chain(limit));
        Self { preferences, reference, whole: hypervolume(limit.iter(), reference) }
    }

    /// What these cover.
    pub(super) fn of<'p>(&self, points: impl Iterator<Item = &'p Point> + Clone) -> Coverage {
        Coverage {
            hypervolume: hypervolume(points.clone(), self.reference) / self.whole,
            expected_utility: expected_utility(self.preferences, points),
        }
    }
}

/// What is wanted of a mean request, each so that more is better.
fn coordinates(outcome: &Outcome) -> [f64; 4] {
    [outcome.served, outcome.gpu_hours, -outcome.excess_cost.usd(), -outcome.latency_ms]
}

/// A point that all of these are better than in everything.
fn reference<'a>(points: impl Iterator<Item = &'a Point>) -> [f64; 4] {
    let (mut worst, mut best) = ([f64::INFINITY; 4], [f64::NEG_INFINITY; 4]);
    for point in points {
        for (i, coordinate) in coordinates(&point.outcome).into_iter().enumerate() {
            worst[i] = worst[i].min(coordinate);
            best[i] = best[i].max(coordinate);
        }
    }
    // where all are alike any distance will do: it is the same factor of all volumes
    let margin = |i: usize| if best[i] > worst[i] { REFERENCE_MARGIN * (best[i] - worst[i]) } else { 1.0 };
    std::array::from_fn(|i| worst[i] - margin(i))
}

/// The volume of what is worse in everything than one of the points, and better than the reference.
fn hypervolume<'a>(points: impl Iterator<Item = &'a Point>, reference: [f64; 4]) -> f64 {
    let beyond = |point: &Point| {
        let coordinates = coordinates(&point.outcome);
        (0..4).map(|i| (coordinates[i] - reference[i]).max(0.0)).collect::<Vec<f64>>()
    };
    volume(&points.map(beyond).collect::<Vec<_>>())
}

/// The volume of the union of boxes from the origin to each of the points: slices along the last coordinate (While et al.
/// 2006), which is quick enough for as few points as a grid has.
fn volume(points: &[Vec<f64>]) -> f64 {
    let last = points.first().map_or(0, Vec::len);
    if last <= 1 {
        return points.iter().flatten().copied().fold(0.0, f64::max);
    }
    let mut by_height: Vec<&Vec<f64>> = points.iter().collect();
    by_height.sort_by(|a, b| b[last - 1].total_cmp(&a[last - 1]));
    let mut slice: Vec<Vec<f64>> = Vec::new();
    let mut sum = 0.0;
    for (i, point) in by_height.iter().enumerate() {
        let base = point[..last - 1].to_vec();
        if !slice.iter().any(|other| other.iter().zip(&base).all(|(other, own)| other >= own)) {
            slice.push(base);
        }
        let below = by_height.get(i + 1).map_or(0.0, |next| next[last - 1]);
        let thickness = point[last - 1] - below;
        if thickness > 0.0 {
            sum += thickness * volume(&slice);
        }
    }
    sum
}

fn expected_utility<'a>(preferences: &[Preference], points: impl Iterator<Item = &'a Point> + Clone) -> f64 {
    let best = |wanted: &Preference| {
        points.clone().map(|point| wanted.reward(&point.outcome)).fold(f64::NEG_INFINITY, f64::max)
    };
    preferences.iter().map(best).sum::<f64>() / preferences.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_of_boxes_that_overlap_is_counted_once() {
        assert_eq!(volume(&[vec![2.0, 3.0]]), 6.0);
        // 2·3 + 4·1 − 2·1
        assert_eq!(volume(&[vec![2.0, 3.0], vec![4.0, 1.0]]), 8.0);
        assert_eq!(volume(&[vec![2.0, 3.0], vec![4.0, 1.0], vec![1.0, 1.0]]), 8.0);
        // by inclusion and exclusion: 1·1·3·2 + 2·2·1·1 + 3·1·1·1 − 1 − 1 − 1 + 1
        let boxes = [vec![1.0, 1.0, 3.0, 2.0], vec![2.0, 2.0, 1.0, 1.0], vec![3.0, 1.0, 1.0, 1.0]];
        assert_eq!(volume(&boxes), 6.0 + 4.0 + 3.0 - 1.0 - 1.0 - 2.0 + 1.0);
    }
    #[test]
    fn what_all_points_have_in_common_leaves_the_others_to_be_compared() {
        let point = |gpu_hours| {
            let outcome = Outcome { served: 1.0, gpu_hours, latency_ms: 300.0, ..Outcome::default() };
            Point::new(Preference::EXCESS_COST, outcome)
        };
        let (limit, worse) = ([point(2.0)], [point(1.0)]);
        let measure = Measure::new(&[Preference::EXCESS_COST], &limit, worse.iter());
        assert_eq!(measure.of(limit.iter()).hypervolume, 1.0);
        // (1 − .99) / (2 − .99)
        assert!((measure.of(worse.iter()).hypervolume - 0.01 / 1.01).abs() < 1e-12);
    }
}
