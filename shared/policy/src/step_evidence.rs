//! What a step showed of providers, and of nothing else: what swarms that route in the same world can tell each other.
//!
//! Who asked for what is not in it: demand is each one's own.

use serde::{Deserialize, Serialize};

/// What came of what was tried in a step, by provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepEvidence {
    /// Tries, and failed ones among them.
    pub failures: Vec<(f64, f64)>,
    /// Jobs whose latency was seen, and their sum of true latency / advertised latency.
    pub latencies: Vec<(f64, f64)>,
}

/// What was seen in a step that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct PastStep {
    /// How many steps before the last one that has ended; 0 of that one.
    pub steps_ago: u32,
    /// What was seen in it.
    pub evidence: StepEvidence,
}

/// Nobody has seen more jobs, or a larger sum over them.
const MOST: f64 = 1e12;

impl StepEvidence {
    /// Of a step in which nothing was tried.
    #[must_use]
    pub fn nothing(providers: usize) -> Self {
        Self { failures: vec![(0.0, 0.0); providers], latencies: vec![(0.0, 0.0); providers] }
    }

    /// Adds what another one saw in the same step.
    ///
    /// # Errors
    /// It is of another catalog.
    pub fn add(&mut self, other: &Self) -> Result<(), String> {
        other.check(self.failures.len())?;
        let own = self.failures.iter_mut().chain(&mut self.latencies);
        for (own, other) in own.zip(other.failures.iter().chain(&other.latencies)) {
            *own = (own.0 + other.0, own.1 + other.1);
        }
        Ok(())
    }

    /// Whether anybody can have seen this of so many providers.
    ///
    /// # Errors
    /// Says which figure nobody can have seen.
    pub fn check(&self, providers: usize) -> Result<(), String> {
        for (what, figures) in [("failures", &self.failures), ("latencies", &self.latencies)] {
            if figures.len() != providers {
                let found = figures.len();
                return Err(format!("{what}: expected figures of {providers} providers, found {found}"));
            }
            for (provider, (count, sum)) in figures.iter().enumerate() {
                let most = if what == "failures" { *count } else { MOST };
                // not the other way round, which NaN would pass
                let is_sound = (0.0..=MOST).contains(count)
                    && (0.0..=most).contains(sum)
                    && (*count > 0.0 || *sum == 0.0);
                if !is_sound {
                    return Err(format!(
                        "{what} of provider {provider}: expected a sum from 0 to {} over 0 to {MOST:e} jobs, found {sum} over {count}",
                        if what == "failures" { "their number".into() } else { format!("{MOST:e}") },
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_have_seen_is_refused_and_named() {
        let sound = StepEvidence { failures: vec![(3.0, 1.0); 2], latencies: vec![(2.0, 2.2); 2] };
        assert_eq!(sound.check(2), Ok(()));
        let error = sound.check(3).unwrap_err();
        assert_eq!(error, "failures: expected figures of 3 providers, found 2");
        for figures in [
            (f64::NAN, 0.0),
            (3.0, f64::NAN),
            (-1.0, 0.0),
            (3.0, -1.0),
            (0.0, 1.0),
            (f64::INFINITY, 0.0),
            (3.0, f64::INFINITY),
            (2e12, 0.0),
        ] {
            let mut unsound = sound.clone();
            unsound.latencies[1] = figures;
            assert!(unsound.check(2).unwrap_err().starts_with("latencies of provider 1: "), "{figures:?}");
        }
        let mut unsound = sound;
        unsound.failures[0] = (3.0, 3.5);
        let expected = "failures of provider 0: expected a sum from 0 to their number over 0 to 1e12 jobs, found 3.5 over 3";
        assert_eq!(unsound.check(2).unwrap_err(), expected);
    }

    #[test]
    fn what_is_of_another_catalog_is_not_added() {
        let mut all = StepEvidence::nothing(2);
        assert!(all.add(&StepEvidence::nothing(3)).is_err());
        assert_eq!(all, StepEvidence::nothing(2));
    }
}
