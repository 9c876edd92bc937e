use statrs::distribution::{ContinuousCDF, StudentsT};

/// The 95 % interval of mean(after) − mean(before) by Welch's t (Welch, 1947): the variances may differ.
/// `None` with fewer than two values on a side.
#[must_use]
pub(crate) fn welch(before: &[f64], after: &[f64]) -> Option<(f64, f64)> {
    // In units of the largest value, so that no square overflows.
    let unit = before.iter().chain(after).fold(0.0_f64, |most, x| most.max(x.abs()));
    if before.len() < 2 || after.len() < 2 {
        return None;
    }
    if unit <= 0.0 || !unit.is_finite() {
        return unit.is_finite().then_some((0.0, 0.0));
    }
    let (mean_before, error_before, dof_before) = moments(before, unit);
    let (mean_after, error_after, dof_after) = moments(after, unit);
    let difference = mean_after - mean_before;
    let error = error_before + error_after;
    let spread = error_before * error_before / dof_before + error_after * error_after / dof_after;
    // Welch–Satterthwaite; equal values on both sides have no spread, and the difference is exact.
    let half = match (error > 0.0 && spread > 0.0).then(|| StudentsT::new(0.0, 1.0, error * error / spread)) {
        Some(Ok(t)) => t.inverse_cdf(0.975) * error.sqrt(),
        _ => 0.0,
    };
    Some(((difference - half) * unit, (difference + half) * unit))
}

/// Mean, squared standard error of the mean, and degrees of freedom.
fn moments(values: &[f64], unit: f64) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|x| x / unit).sum::<f64>() / n;
    let variance = values.iter().map(|x| (x / unit - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, variance / n, n - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_welchs() {
        // By hand: means 3 and 7, variances 2.5 and 10, n = 5 each: squared errors .5 and 2, together 2.5;
        // dof = 2.5² / (.25/4 + 4/4) = 6.25 / 1.0625 = 5.882; t(.975; 5.882) = 2.4590; half width 3.888.
        let (low, high) = welch(&[1.0, 2.0, 3.0, 4.0, 5.0], &[3.0, 5.0, 7.0, 9.0, 11.0]).unwrap();
        assert!((low - (4.0 - 3.888)).abs() < 2e-3, "{low}");
        assert!((high - (4.0 + 3.888)).abs() < 2e-3, "{high}");
    }

    #[test]
    fn constant_rewards_give_the_difference_itself_and_single_ones_nothing() {
        assert_eq!(welch(&[2.0, 2.0], &[5.0, 5.0]), Some((3.0, 3.0)));
        assert_eq!(welch(&[0.0, 0.0], &[0.0, 0.0]), Some((0.0, 0.0)));
        assert_eq!(welch(&[2.0], &[5.0, 5.0]), None);
    }

    #[test]
    fn huge_and_tiny_rewards_stay_finite() {
        for scale in [1e100, 1e-300, 5e-324] {
            let (low, high) = welch(&[scale, -scale, scale], &[-scale, scale, 0.0]).unwrap();
            assert!(low.is_finite() && high.is_finite() && low <= high, "{scale}: {low} {high}");
        }
    }
}
