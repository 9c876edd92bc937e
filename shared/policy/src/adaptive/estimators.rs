//! Estimators that choose their own rate of forgetting: several of each run beside each other, and the one that has
//! predicted best is believed.

mod level;
mod means;
mod mix;

pub(crate) use level::{Level, LevelMemory};
pub(crate) use means::{Means, MeansMemory};
pub(crate) use mix::Mix;

/// The lowest loss; on a tie, the one that is believed first.
fn best(losses: &[f64], first: usize) -> usize {
    let better = |best: usize, i: usize| if losses[i] < losses[best] { i } else { best };
    (0..losses.len()).fold(first, better)
}

fn check_losses(losses: &[f64], expected: usize) -> Result<(), String> {
    if losses.len() != expected || losses.iter().any(|loss| !loss.is_finite()) {
        return Err(format!("expected {expected} finite losses, found {}", losses.len()));
    }
    Ok(())
}

/// Adds sums that belong to the same things.
pub(super) fn add_each(sums: &mut [f64], others: &[f64]) -> Result<(), String> {
    if sums.len() != others.len() {
        return Err(format!("expected {} sums, found {}", sums.len(), others.len()));
    }
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
    Ok(())
}
