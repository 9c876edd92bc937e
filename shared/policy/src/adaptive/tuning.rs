//! Which settings of bid prices earn most, found by rehearsing: steps that were played are played again in thought, as
//! each of the settings would have it, with the same requests in the same order.
//!
//! All settings meet the same steps, so that the steps' own difficulty cancels out, and what each has earned in all
//! counts, so that a rare step in which much is at stake counts for as much as it is (ranks would hide it). The leader
//! is followed (Hannan 1957: with full information no exploration is needed).

use routing_env::{Environment, Preference};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::prices::bid_price::{DEFER_BELOW_PER_HOUR, FIRST_THRESHOLD, Settings};

/// One step in so many is rehearsed.
const REHEARSED_EVERY: f64 = 4.0;

/// How many kinds of preferences are told apart by what counts: requests, requests and hours, or hours.
const BY_WORTH: usize = 3;

/// How many kinds of preferences are told apart: how long a request had better wait differs between those who count requests
/// and those who count hours, and where load makes hours dearer, by how much a USD counts.
pub(crate) const KINDS: usize = 3 * BY_WORTH;

/// Of which kind a preference is: those to whom a USD counts for about as much as to `balanced`, from those for which requests
/// are worth most to those for which hours are; then those to whom it counts for less than half, and for more than twice
/// as much.
pub(crate) fn kind(env: &Environment, wanted: Preference) -> usize {
    let Preference { request, gpu_hour, cost, .. } = wanted;
    let hours = gpu_hour * env.mean_gpu_hours();
    let share = if hours > 0.0 { hours / (request + hours) } else { 0.0 };
    let worth = usize::from(share > 0.25) + usize::from(share > 0.75);
    let usd = cost / (wanted.scale(env) * Preference::EXCESS_COST.cost);
    let by_cost = if usd < 0.5 { 1 } else { 2 * usize::from(usd > 2.0) };
    by_cost * BY_WORTH + worth
}

/// The first three, those to whom a USD counts as usual, where there is nothing of the others; otherwise all.
pub(crate) fn told_apart<T>(by_kind: &[T; KINDS], is_nothing: impl Fn(&T) -> bool) -> &[T] {
    let (usual, others) = by_kind.split_at(BY_WORTH);
    if others.iter().all(is_nothing) { usual } else { by_kind }
}

/// Something of each kind of preference. It is written as a list of the first three, those to whom a USD counts as usual, where
/// there is nothing of the others: so it was before kinds were told apart by cost.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ByKind<T>(pub(crate) [T; KINDS]);

impl<T: Default + PartialEq + Serialize> Serialize for ByKind<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nothing = T::default();
        told_apart(&self.0, |one| *one == nothing).serialize(serializer)
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for ByKind<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut known: Vec<T> = Vec::deserialize(deserializer)?;
        if ![BY_WORTH, KINDS].contains(&known.len()) {
            let expected = format!("something of {BY_WORTH} or {KINDS} kinds of preferences");
            return Err(D::Error::invalid_length(known.len(), &expected.as_str()));
        }
        known.resize_with(KINDS, T::default);
        known.try_into().map(Self).map_err(|_| D::Error::custom("expected as many as there are kinds"))
    }
}

/// What the settings have earned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tuning {
    /// Steps seen, and requests that were set aside or not served in them.
    steps: u64,
    unserved: u64,
    /// When it exceeds 1, a step is due to be rehearsed.
    due: f64,
    tried: Vec<Tried>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self::new()
    }
}

/// Settings, and the sum of the rewards that they have earned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    defer_below_per_hour: f64,
    earned: f64,
}

impl Tuning {
    /// Nothing rehearsed yet.
    pub(crate) fn new() -> Self {
        let tried =
            DEFER_BELOW_PER_HOUR.map(|defer_below_per_hour| Tried { defer_below_per_hour, earned: 0.0 });
        Self { steps: 0, unserved: 0, due: 0.0, tried: tried.to_vec() }
    }

    /// What the settings are expected to have earned, before any step is seen.
    pub(crate) fn expecting(earned: &[f64]) -> Self {
        let mut tuning = Self::new();
        tuning.tried.iter_mut().zip(earned).for_each(|(tried, earned)| tried.earned = *earned);
        tuning
    }

    /// What each of the settings earned in a mean step, divided by `unit`; nothing where it has seen no step.
    pub(crate) fn earned_per_step(&self, unit: f64) -> Vec<f64> {
        if self.is_empty() {
            return Vec::new();
        }
        let steps = self.steps as f64 * unit.max(f64::MIN_POSITIVE);
        self.tried.iter().map(|tried| tried.earned / steps).collect()
    }

    /// Whether it has seen no step.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// The settings that have earned most.
    pub(crate) fn leader(&self) -> Settings {
        let better =
            |best: usize, i: usize| if self.tried[i].earned > self.tried[best].earned { i } else { best };
        let leader = (0..self.tried.len()).fold(FIRST_THRESHOLD, better);
        self.tried[leader].settings()
    }

    /// Whether a step in which so many requests were set aside or not served is to be rehearsed, and for how many like
    /// it it then counts. Steps are drawn with a probability that is proportional to that number (systematic sampling,
    /// Madow 1949): where all are served at once, no setting makes a difference.
    pub(crate) fn weight(&self, unserved: u64) -> Option<f64> {
        let share = self.share(unserved);
        (self.due + share >= 1.0).then(|| 1.0 / share)
    }

    /// All settings, in the order of [`Self::count`].
    pub(crate) fn all(&self) -> impl Iterator<Item = Settings> {
        self.tried.iter().map(Tried::settings)
    }

    /// Counts a step, and what each of the settings has earned where it was rehearsed.
    pub(crate) fn count(&mut self, unserved: u64, earned: &[f64]) {
        self.due = (self.due + self.share(unserved)) % 1.0;
        self.steps += 1;
        self.unserved += unserved;
        for (tried, earned) in self.tried.iter_mut().zip(earned) {
            tried.earned += earned;
        }
    }

    /// Adds what the settings have earned elsewhere.
    ///
    /// # Errors
    /// When they are other settings.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), String> {
        other.check()?;
        self.check()?;
        self.due = (self.due + other.due) % 1.0;
        self.heed(other);
        Ok(())
    }

    /// The same of sound ones, whose own steps are due when they were.
    fn heed(&mut self, other: &Self) {
        self.steps = self.steps.saturating_add(other.steps);
        self.unserved = self.unserved.saturating_add(other.unserved);
        self.tried.iter_mut().zip(&other.tried).for_each(|(own, other)| own.earned += other.earned);
    }

    fn share(&self, unserved: u64) -> f64 {
        let usual = (self.unserved + unserved + 1) as f64 / (self.steps + 1) as f64;
        ((unserved as f64 + 0.1 * usual) / (1.1 * usual * REHEARSED_EVERY)).min(1.0)
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn check(&self) -> Result<(), String> {
        let expected = Self::new().tried;
        let same = |(a, b): (&Tried, &Tried)| a.settings() == b.settings() && a.earned.is_finite();
        if (0.0..=1.0).contains(&self.due)
            && self.tried.len() == expected.len()
            && self.tried.iter().zip(&expected).all(same)
        {
            return Ok(());
        }
        Err(format!("tuning: expected what the {} settings of this version have earned", expected.len()))
    }
}

impl Tried {
    fn settings(&self) -> Settings {
        Settings { defer_below_per_hour: self.defer_below_per_hour, ..Settings::OF_REWARD }
    }
}

/// What the settings have earned: in all that was learned from, and with this episode.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rehearsals {
    learned: Tuning,
    /// What others learned, which is heeded beside one's own.
    others: Option<Tuning>,
    now: Tuning,
}

impl Rehearsals {
    /// Those that were learned; frozen agents forget what came in an episode.
    pub(crate) fn new(learned: Tuning) -> Self {
        Self { now: learned.clone(), learned, others: None }
    }

    pub(crate) fn begin_episode(&mut self) {
        self.now.clone_from(&self.learned);
        if let Some(others) = &self.others {
            self.now.heed(others);
        }
    }

    /// Heeds what others learned too, in the place of what it heeded before, from the next episode on.
    ///
    /// # Errors
    /// When they are other settings.
    pub(crate) fn heed(&mut self, others: Option<Tuning>) -> Result<(), String> {
        others.iter().try_for_each(Tuning::check)?;
        self.others = others;
        Ok(())
    }

    /// Whether the other ones are of the same settings.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let all = [Some(&other.learned), other.others.as_ref(), Some(&other.now)];
        all.into_iter().flatten().all(|of| of.check().is_ok())
    }

    /// Whether nothing was rehearsed by anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.learned.is_empty() && self.others.as_ref().is_none_or(Tuning::is_empty)
    }

    /// With this episode.
    pub(crate) fn now(&self) -> &Tuning {
        &self.now
    }

    /// Without what an agent saw that did not learn.
    pub(crate) fn learned(&self) -> &Tuning {
        &self.learned
    }

    /// Counts a step, and where it `learns`, remembers it beyond the episode.
    pub(crate) fn count(&mut self, unserved: u64, earned: &[f64], learns: bool) {
        self.now.count(unserved, earned);
        if learns {
            self.learned.count(unserved, earned);
        }
    }
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;

    use super::*;

    #[test]
    fn the_settings_that_earned_most_lead_and_before_that_the_first_do() {
        let mut tuning = Tuning::new();
        assert_eq!(tuning.leader().defer_below_per_hour, Settings::OF_REWARD.defer_below_per_hour);
        let mut earned = vec![1.0; DEFER_BELOW_PER_HOUR.len()];
        earned[1] = 1.5;
        tuning.count(3, &earned);
        assert_eq!(tuning.leader().defer_below_per_hour, DEFER_BELOW_PER_HOUR[1]);
    }

    #[test]
    fn one_rare_step_with_much_at_stake_outweighs_many_with_little() {
        let mut tuning = Tuning::new();
        let mut little = vec![0.0; DEFER_BELOW_PER_HOUR.len()];
        little[0] = 1.0;
        (0..20).for_each(|_| tuning.count(1, &little));
        let mut much = vec![0.0; DEFER_BELOW_PER_HOUR.len()];
        much[6] = 50.0;
        tuning.count(30, &much);
        assert_eq!(tuning.leader().defer_below_per_hour, DEFER_BELOW_PER_HOUR[6]);
    }

    #[test]
    fn what_is_rehearsed_counts_for_all_that_is_not() {
        // steps with 0 to 9 requests that were not served at once, over and over
        let mut tuning = Tuning::new();
        let (mut rehearsed, mut counted) = (0.0, 0.0);
        for step in 0..4000_u64 {
            let unserved = step * 7 % 10;
            if let Some(weight) = tuning.weight(unserved) {
                rehearsed += 1.0;
                counted += weight * unserved as f64;
            }
            tuning.count(unserved, &[]);
        }
        assert!((rehearsed / 4000.0 - 1.0 / REHEARSED_EVERY).abs() < 0.03, "{rehearsed}");
        assert!((counted / (4000.0 * 4.5) - 1.0).abs() < 0.05, "{counted}");
    }

    #[test]
    fn preferences_are_told_apart_by_what_counts_and_by_how_much_a_usd_counts() {
        let env = Environment::built_in(Preset::Contended);
        let balanced = Preference::EXCESS_COST;
        assert_eq!(kind(&env, balanced), 0);
        assert_eq!(kind(&env, Preference { latency: 0.08, ..balanced }), 0);
        assert_eq!(kind(&env, Preference { cost: 0.5, ..balanced }), BY_WORTH);
        assert_eq!(kind(&env, Preference { cost: 8.0, ..balanced }), 2 * BY_WORTH);
        let by_the_hour = Preference { request: 0.0, gpu_hour: 50.0 / env.mean_gpu_hours(), ..balanced };
        assert_eq!(kind(&env, by_the_hour), 2);
        assert_eq!(kind(&env, Preference { cost: 8.0, ..by_the_hour }), 2 * BY_WORTH + 2);
        let twice = Preference { request: 100.0, cost: 6.0, latency: 0.04, ..balanced };
        assert_eq!(kind(&env, twice), 0, "it wants the same, in other units");
    }

    #[test]
    fn what_is_known_of_usual_costs_alone_is_written_as_before_others_were_told_apart() {
        let mut known = ByKind::<Vec<f64>>(Default::default());
        known.0[1] = vec![1.0];
        assert_eq!(serde_json::to_string(&known).unwrap(), "[[],[1.0],[]]");
        assert_eq!(serde_json::from_str::<ByKind<Vec<f64>>>("[[],[1.0],[]]").unwrap(), known);
        known.0[KINDS - 1] = vec![2.0];
        let written = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<ByKind<Vec<f64>>>(&written).unwrap(), known);
        let refused = serde_json::from_str::<ByKind<Vec<f64>>>("[[],[]]").unwrap_err();
        assert!(refused.to_string().contains("something of 3 or 9 kinds of preferences"), "{refused}");
    }

    #[test]
    fn what_other_settings_earned_is_refused() {
        let mut tuning = Tuning::new();
        assert_eq!(tuning.check(), Ok(()));
        tuning.tried[2].defer_below_per_hour = 9.0;
        assert!(tuning.check().unwrap_err().contains("8 settings"));
    }
}
