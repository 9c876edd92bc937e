//! Estimators that choose their own rate of forgetting: several of each run beside each other, and the one that has
//! predicted best is believed.

mod experts;
mod level;
mod means;
mod mix;

pub(crate) use experts::{Experts, Losses};
pub(crate) use level::{Calendar, Level};
pub(crate) use means::Means;
pub(crate) use mix::Mix;

/// Adds sums that belong to the same things.
fn add_each(sums: &mut [f64], others: &[f64]) -> Result<(), String> {
    if sums.len() != others.len() {
        return Err(format!("expected {} sums, found {}", sums.len(), others.len()));
    }
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
    Ok(())
}

/// The same of jobs and their sums.
pub(crate) fn add_pairs(sums: &mut [(f64, f64)], others: &[(f64, f64)]) -> Result<(), String> {
    if sums.len() != others.len() {
        return Err(format!("expected figures of {} providers, found {}", sums.len(), others.len()));
    }
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum = (sum.0 + other.0, sum.1 + other.1));
    Ok(())
}
