//! Arithmetic that stays finite whatever it is given.

/// Inputs are cut at this size: its square, summed over 10,000 agents, still fits a double.
pub(crate) const LIMIT: f64 = 1e100;

/// What the square of a difference of two inputs, and a mean of such squares, stay below.
pub(crate) const SQUARE_LIMIT: f64 = 1e202;

/// Nothing that is counted in windows comes to more: half of the numbers that a window can have.
pub(crate) const COUNT_LIMIT: u64 = 1 << 52;

/// The value, within what every later sum and square can hold.
pub(crate) fn tame(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(-LIMIT, LIMIT) }
}

/// A validation: every number is within the limit, whichever its sign.
pub(crate) fn all_within<'a>(limit: f64, values: impl IntoIterator<Item = &'a f64>) -> garde::Result {
    match values.into_iter().find(|value| value.abs() > limit) {
        Some(value) => Err(garde::Error::new(format!("expected at most {limit:e} in size, found {value:e}"))),
        None => Ok(()),
    }
}

/// A validation: every item is valid.
pub(crate) fn each_is_valid<'a, T>(items: impl IntoIterator<Item = &'a T>) -> garde::Result
where
    T: garde::Validate<Context = ()> + 'a,
{
    let mut wrong = items.into_iter().filter_map(|item| item.validate().err());
    wrong.next().map_or(Ok(()), |report| Err(garde::Error::new(report.to_string().trim_end())))
}

/// The value in [0, 1]; what cannot be compared counts as 0.
pub(crate) fn unit(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

/// The mean, without an overflowing sum; `None` of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut mean = 0.0;
    let mut count = 0.0;
    for value in values {
        count += 1.0;
        mean += (value - mean) / count;
    }
    (count > 0.0).then_some(mean)
}

/// Mean and population standard deviation (Welford's recurrence); `None` of nothing.
pub(crate) fn mean_and_deviation(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (mut mean, mut squares, mut count) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    (count > 0.0).then(|| (mean, (squares / count).max(0.0).sqrt()))
}

/// `−Σ s ln s / ln n` of shares that need not add up to 1: 0 when one has all, 1 when all are equal.
/// `None` unless there are two or more and some have a part.
pub(crate) fn normalised_entropy(shares: &[f64]) -> Option<f64> {
    let total: f64 = shares.iter().map(|s| s.max(0.0)).sum();
    if shares.len() < 2 || total <= 0.0 || !total.is_finite() {
        return None;
    }
    let entropy: f64 =
        shares.iter().map(|s| s.max(0.0) / total).filter(|s| *s > 0.0).map(|s| -s * s.ln()).sum();
    Some(unit(entropy / (shares.len() as f64).ln()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entropy_of_choices_runs_from_one_provider_to_all_alike() {
        assert_eq!(normalised_entropy(&[1.0, 0.0, 0.0]), Some(0.0));
        assert!((normalised_entropy(&[0.25; 4]).unwrap() - 1.0).abs() < 1e-12);
        // two of four alike: ln 2 / ln 4
        assert!((normalised_entropy(&[0.5, 0.5, 0.0, 0.0]).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(normalised_entropy(&[1.0]), None);
        assert_eq!(normalised_entropy(&[0.0, 0.0]), None);
    }

    #[test]
    fn a_mean_of_huge_values_does_not_overflow() {
        assert_eq!(mean([1e308, 1e308, 1e308].into_iter()), Some(1e308));
        assert_eq!(mean(std::iter::empty()), None);
        assert_eq!(mean_and_deviation([2.0, 4.0].into_iter()), Some((3.0, 1.0)));
    }
}
