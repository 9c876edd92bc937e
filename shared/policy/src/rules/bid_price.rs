//! Bid prices as hand rules: from the catalog's word, or from the truth.

use routing_env::Observation;

use crate::{
    policy::{Decision, Order},
    prices::bid_price::{BidPrices, Notes, Settings},
    prices::forecast::Beliefs,
    rules::hand_rule::HandRule,
};

/// Bid prices from the catalog's word, or from the truth where they are told it.
#[derive(Clone)]
pub(crate) struct BidPrice {
    /// Whether it looks at what others are not told.
    is_informed: bool,
    step: Option<u32>,
    beliefs: Option<Beliefs>,
    prices: BidPrices,
}

impl BidPrice {
    /// The hand rule.
    pub(crate) fn new(is_informed: bool) -> Self {
        Self { is_informed, step: None, beliefs: None, prices: BidPrices::new(Settings::OF_RULES) }
    }
}

impl HandRule for BidPrice {
    type Shared = Notes;

    const ORDER: Order = Order::LongestFirst;

    fn begin_episode(&mut self, _seed: u64, _agent: u32) {
        self.step = None;
        self.beliefs = None;
    }

    fn decide(&mut self, observation: &Observation<'_>, notes: &mut Notes) -> Decision {
        let Observation { env, truth, step, .. } = *observation;
        if self.is_informed && self.step.replace(step) != Some(step) {
            self.beliefs = truth.map(|truth| Beliefs::of_truth(env, truth));
        }
        let beliefs = self.beliefs.get_or_insert_with(|| Beliefs::of_catalog(env));
        self.prices.decide(observation, beliefs, notes)
    }
}
