//! A long run's figures in few rows: whatever stands out in a chart of one figure is kept.

use super::rows::Row;
use crate::{
    run::Run,
    runs::{HistoryError, Runs},
};

/// Rows that are read at once.
const PART: usize = 5000;

/// At most `points` of a run's rows from the number `from` on; all of them when there are no more.
///
/// The law: the rows are cut into `points / 2` buckets, whose lengths differ by one at most. Of each bucket two rows are
/// kept, whole and in their order: the one with the least and the one with the greatest figure, of equal ones the first.
/// A bucket without any figure keeps its first row. So the extremes of the thinned rows are those of all rows.
pub(super) async fn thinned<T: Row>(
    runs: &Runs,
    run: &Run,
    from: u64,
    points: usize,
    metric: &str,
) -> Result<Vec<T>, HistoryError> {
    let end = T::end(runs, run).await?;
    let first = T::read(runs, run, from, 1).await?.first().map_or(end, Row::number);
    let total = end.saturating_sub(first);
    if total <= points as u64 {
        return T::read(runs, run, first, points).await;
    }
    let mut thinning = Thinning::new(first, total, (points / 2) as u64, metric);
    let mut next = first;
    while next < end {
        let left = usize::try_from(end - next).unwrap_or(usize::MAX);
        let part = T::read(runs, run, next, left.min(PART)).await?;
        let Some(last) = part.last() else { break };
        next = last.number() + 1;
        part.into_iter().for_each(|row| thinning.add(row));
    }
    Ok(thinning.rows())
}

/// Rows on their way through buckets.
struct Thinning<'a, T> {
    first: u64,
    total: u64,
    buckets: u64,
    metric: &'a str,
    bucket: u64,
    /// The first row of the bucket.
    any: Option<T>,
    least: Option<(f64, T)>,
    greatest: Option<(f64, T)>,
    kept: Vec<T>,
}

impl<'a, T: Row> Thinning<'a, T> {
    fn new(first: u64, total: u64, buckets: u64, metric: &'a str) -> Self {
        let (any, least, greatest) = (None, None, None);
        Self { first, total, buckets, metric, bucket: 0, any, least, greatest, kept: Vec::new() }
    }

    fn add(&mut self, row: T) {
        // At most 10,000 buckets and far fewer than 2^50 rows: the product fits.
        let bucket = (row.number() - self.first) * self.buckets / self.total;
        if bucket != self.bucket {
            self.close();
            self.bucket = bucket;
        }
        if let Some(figure) = row.figure(self.metric) {
            if self.least.as_ref().is_none_or(|(least, _)| figure < *least) {
                self.least = Some((figure, row.clone()));
            }
            if self.greatest.as_ref().is_none_or(|(greatest, _)| figure > *greatest) {
                self.greatest = Some((figure, row.clone()));
            }
        }
        self.any.get_or_insert(row);
    }

    fn close(&mut self) {
        let any = self.any.take();
        match (self.least.take(), self.greatest.take()) {
            (Some((_, least)), Some((_, greatest))) => {
                let (one, other) =
                    if least.number() <= greatest.number() { (least, greatest) } else { (greatest, least) };
                let is_the_same = one.number() == other.number();
                self.kept.push(one);
                if !is_the_same {
                    self.kept.push(other);
                }
            }
            _ => self.kept.extend(any),
        }
    }

    fn rows(mut self) -> Vec<T> {
        self.close();
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use api::trainer::WindowMetrics;

    use super::*;

    fn window(number: u64, avg_reward: Option<f64>) -> WindowMetrics {
        let window = serde_json::json!({"window": number, "episode": 0, "step": 0, "requests": 1,
            "avg_reward": avg_reward, "interventions": 0});
        serde_json::from_value(window).unwrap()
    }

    fn kept(figures: &[Option<f64>], points: u64) -> Vec<u64> {
        let mut thinning = Thinning::new(100, figures.len() as u64, points / 2, "avg_reward");
        for (number, figure) in (100..).zip(figures) {
            thinning.add(window(number, *figure));
        }
        thinning.rows().iter().map(Row::number).collect()
    }

    #[test]
    fn of_each_bucket_the_least_and_the_greatest_are_kept_in_their_order() {
        let figures = [1.0, 5.0, 3.0, 0.5, 2.0, 2.0, 9.0, -1.0, 4.0, 4.0].map(Some);
        assert_eq!(kept(&figures, 4), [101, 103, 106, 107]);
        assert_eq!(kept(&figures, 2), [106, 107]);
    }

    #[test]
    fn of_equal_figures_the_first_is_kept_and_of_a_bucket_without_one_its_first_row() {
        let figures = [Some(1.0), Some(1.0), None, None, None, Some(7.0)];
        assert_eq!(kept(&figures, 6), [100, 102, 105]);
        assert_eq!(kept(&[None, None, None, None], 4), [100, 102]);
    }

    #[test]
    fn the_extremes_of_all_rows_are_among_those_that_are_kept() {
        let figures: Vec<_> = (0..10_007_u64).map(|n| Some(((n * 7919) % 10_007) as f64)).collect();
        let kept = kept(&figures, 1000);
        assert!(kept.len() <= 1000 && kept.is_sorted());
        for extreme in [0.0, 10_006.0] {
            let row = 100 + figures.iter().position(|figure| *figure == Some(extreme)).unwrap() as u64;
            assert!(kept.contains(&row));
        }
    }
}
