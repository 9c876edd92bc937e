//! Many comparisons: which findings stay when each of them had its own chance to be wrong.

/// Which of the findings with these p-values hold together with an error of at most `level` for any of them: Holm's
/// step-down procedure (Holm 1979), which needs no independence.
#[must_use]
pub fn holm(p_values: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut holds = vec![false; p_values.len()];
    for (rank, i) in order.into_iter().enumerate() {
        if p_values[i] * (p_values.len() - rank) as f64 > level {
            break;
        }
        holds[i] = true;
    }
    holds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_stops_at_the_first_finding_that_is_not_sure_enough() {
        // the example of Holm's procedure with 4 hypotheses: .005 · 4 and .01 · 3 hold, .03 · 2 does not, nor what follows
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005], 0.05), [true, false, false, true]);
        assert_eq!(holm(&[0.05], 0.05), [true]);
        assert_eq!(holm(&[0.026, 0.026], 0.05), [false, false]);
        assert!(holm(&[], 0.05).is_empty());
    }
}
