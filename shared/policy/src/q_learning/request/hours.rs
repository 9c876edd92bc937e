//! What a provider's hours are worth to those who come later: what is lost for want of them from here to the step's end, by
//! how much of them is used. What a choice takes from others is the difference that its own hours make.
//!
//! Every turn teaches the table, whatever was chosen, so that it needs no luck to tell the effect of one choice from that of
//! all others; and a place has no tenant in it, since it does not matter to others who took the hours.

use routing_env::{Observation, ProviderState};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use smallvec::SmallVec;

use crate::q_learning::request::{
    state::{PARTS, part},
    values::Values,
};

/// Equal shares of a capacity.
const SHARES: usize = 10;

/// A place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Use {
    pub(crate) provider: u16,
    /// Of the step; one more stands for requests that have waited.
    part: u8,
    /// In which share of the capacity that is which is used.
    used: u8,
}

/// A provider's hours at a turn.
#[derive(Clone, Copy)]
pub(crate) struct Hours {
    provider: usize,
    part: usize,
    capacity: f64,
    /// The share of it that is used.
    used: f64,
}

impl Hours {
    /// Each provider's, where so much (from 0 to 1) of the step has gone by.
    pub(crate) fn of_all(observation: &Observation<'_>, phase: f64) -> SmallVec<[Self; 8]> {
        let part = if observation.waited_ms.is_some() { PARTS } else { part(phase) };
        let of = |(provider, state): (usize, &ProviderState)| {
            let ProviderState { capacity, remaining, .. } = *state;
            let used = if capacity > 0.0 { 1.0 - remaining / capacity } else { 1.0 };
            Self { provider, part, capacity, used }
        };
        observation.market.providers().iter().enumerate().map(of).collect()
    }

    /// Where it is in the table.
    pub(crate) fn place(self) -> Use {
        self.at((self.used * SHARES as f64) as usize)
    }

    /// What later requests lose when so many hours are taken, at most 0; 0 as long as nothing is known of it.
    pub(crate) fn taken(self, hours: f64, values: &Values<Use>) -> f64 {
        let value = |used: f64| {
            // values are of the middles of shares, and between them on straight lines
            let position = (used * SHARES as f64 - 0.5).clamp(0.0, (SHARES - 1) as f64);
            let [low, high] =
                [position.floor(), position.ceil()].map(|at| values.learned(self.at(at as usize)));
            match (low, high) {
                (Some(low), Some(high)) => Some(low + position.fract() * (high - low)),
                (low, high) => low.or(high),
            }
        };
        let before_and_after = value(self.used).zip(value(self.used + hours / self.capacity));
        before_and_after.map_or(0.0, |(before, after)| (after - before).min(0.0))
    }

    fn at(self, share: usize) -> Use {
        // providers are at most 12, and the others a few
        Use { provider: self.provider as u16, part: self.part as u8, used: share.min(SHARES - 1) as u8 }
    }
}

impl Serialize for Use {
    /// `[provider, part, used]`
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.provider, self.part, self.used).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Use {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (provider, part, used) = Deserialize::deserialize(deserializer)?;
        let most = [PARTS, SHARES - 1];
        let bins: [u8; 2] = [part, used];
        if bins.into_iter().zip(most).any(|(bin, most)| usize::from(bin) > most) {
            return Err(D::Error::custom(format!(
                "expected bins (part, used) of at most {most:?}, found {bins:?}"
            )));
        }
        Ok(Self { provider, part, used })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider of 100 hours of which so many are used.
    fn hours(used: f64) -> Hours {
        Hours { provider: 0, part: 0, capacity: 100.0, used: used / 100.0 }
    }

    /// What is lost with this use.
    fn known(losses: &[(f64, f64)]) -> Values<Use> {
        let mut values = Values::default();
        losses.iter().for_each(|(used, lost)| _ = values.learn(hours(*used).place(), *lost, 1.0, 1.0));
        values
    }

    #[test]
    fn hours_are_worth_the_difference_that_they_make() {
        let values = known(&[(45.0, -10.0), (55.0, -30.0), (65.0, -30.0)]);
        let taken = |used: f64, more: f64| hours(used).taken(more, &values);
        assert!((taken(45.0, 5.0) - -10.0).abs() < 1e-9);
        assert!((taken(50.0, 10.0) - -10.0).abs() < 1e-9);
        assert_eq!(taken(56.0, 6.0), 0.0);
    }

    #[test]
    fn what_is_not_known_has_no_price_and_none_is_a_gain() {
        assert_eq!(hours(50.0).taken(10.0, &Values::default()), 0.0);
        assert_eq!(hours(50.0).taken(30.0, &known(&[(55.0, -10.0)])), 0.0);
        assert_eq!(hours(50.0).taken(10.0, &known(&[(55.0, -10.0), (65.0, -5.0)])), 0.0);
    }

    #[test]
    fn bins_that_there_are_not_are_refused() {
        let read = |written: &str| serde_json::from_str::<Use>(written).map_err(|e| e.to_string());
        assert_eq!(serde_json::to_string(&read("[3,4,9]").unwrap()).unwrap(), "[3,4,9]");
        for written in ["[3,5,9]", "[3,4,10]"] {
            assert!(read(written).unwrap_err().contains("of at most [4, 9]"), "{written}");
        }
    }
}
