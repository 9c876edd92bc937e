//! Bid prices as hand rules: from the catalog's word, from what was counted, or from the truth.

use routing_env::{Candidate, Environment, Observation, Preference, Preferences, StepOutcome, Truth};

use serde_json::Value;

use crate::{
    policy::{Decision, Informed, Order},
    prices::bid_price::{BidPrices, Notes, Settings},
    prices::forecast::Beliefs,
    rules::{counting::Counting, hand_rule::HandRule},
};

/// Whom the rule believes.
#[derive(Clone)]
enum Source {
    Catalog,
    /// The catalog, but for how many requests come.
    Counts(Counting),
    /// The truth of the step, where something is hidden, once it has been told.
    Truth(Option<Box<Truth>>),
}

/// Decides at the prices of the rest of the step.
#[derive(Clone)]
pub(crate) struct BidPrice {
    source: Source,
    step: Option<u32>,
    beliefs: Option<Beliefs>,
    prices: BidPrices,
}

impl BidPrice {
    /// The one that believes the catalog.
    pub(crate) fn new(settings: Settings, preference: Preference) -> Self {
        Self::of(Source::Catalog, settings, preference)
    }

    /// The one that believes the catalog, but for how many requests come: it keeps this share of what it has counted
    /// before when it counts a step's.
    pub(crate) fn counting(kept: f64, settings: Settings, preference: Preference) -> Self {
        Self::of(Source::Counts(Counting::new(kept)), settings, preference)
    }

    /// The one that is told the truth.
    pub(crate) fn informed(settings: Settings, preference: Preference) -> Self {
        Self::of(Source::Truth(None), settings, preference)
    }

    fn of(source: Source, settings: Settings, preference: Preference) -> Self {
        Self { source, step: None, beliefs: None, prices: BidPrices::new(settings, &preference.into()) }
    }

    fn beliefs_of(source: &Source, env: &Environment) -> Beliefs {
        match source {
            Source::Truth(Some(truth)) => Beliefs::of_truth(env, truth),
            Source::Catalog | Source::Truth(None) => Beliefs::of_catalog(env),
            Source::Counts(counting) => counting.beliefs(env),
        }
    }
}

impl Informed for BidPrice {
    fn tell(&mut self, truth: &Truth) {
        self.source = Source::Truth(Some(Box::new(truth.clone())));
    }
}

impl HandRule for BidPrice {
    type Shared = Notes;

    const ORDER: Order = Order::LongestFirst;

    fn begin_episode(&mut self, _seed: u64, _agent: u32) {
        self.step = None;
        match &mut self.source {
            Source::Catalog => {}
            Source::Counts(counting) => counting.begin_episode(),
            Source::Truth(told) => *told = None,
        }
    }

    fn informed(&mut self) -> Option<&mut dyn Informed> {
        matches!(self.source, Source::Truth(_)).then_some(self as &mut dyn Informed)
    }

    fn prefer(&mut self, wanted: &Preferences) -> bool {
        self.prices.prefer(wanted);
        true
    }

    fn decide(&mut self, observation: &Observation<'_>, notes: &mut Notes) -> Decision {
        let Self { source, step, beliefs, prices } = self;
        if step.replace(observation.step) != Some(observation.step) {
            *beliefs = None;
        }
        let beliefs = beliefs.get_or_insert_with(|| Self::beliefs_of(source, observation.env));
        prices.decide(observation, beliefs, notes)
    }

    fn seen(&self) -> Option<Value> {
        match &self.source {
            Source::Catalog => Some(Value::Null),
            Source::Counts(counting) => Some(counting.seen()),
            Source::Truth(_) => None,
        }
    }

    fn go_on(&mut self, seen: Value) -> Result<(), String> {
        match &mut self.source {
            Source::Counts(counting) => counting.go_on(seen),
            Source::Catalog | Source::Truth(_) => Ok(()),
        }
    }

    fn score(&mut self, _observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        self.prices.net(candidate)
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>) {
        if let Source::Counts(counting) = &mut self.source {
            counting.observe(outcome);
        }
    }
}
