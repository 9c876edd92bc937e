//! The hand rules: what platform engineers write today, and what a learner has to beat.

use strum::{Display, EnumString, IntoStaticStr, VariantNames};

use crate::{
    rules::{
        bid_price::BidPrice,
        scored::{GreedyReward, Random, Scored, weighted_score},
        size::{DeferLarge, Reserve},
    },
    team::{Team, TeamOf},
};

/// A rule that nobody has to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(
    serialize_all = "kebab-case",
    parse_err_fn = UnknownRule::new,
    parse_err_ty = UnknownRule
)]
pub enum Rule {
    /// The baseline: the highest weighted sum of 1/price, 1/latency, reputation and availability.
    WeightedScore,
    /// The lowest price.
    Cheapest,
    /// The lowest latency.
    Fastest,
    /// Any feasible provider, all equally likely.
    Random,
    /// The highest `excess-cost` reward; holds when that is negative and holding is allowed.
    GreedyReward,
    /// Nested booking limits: a job takes what the shorter ones that are still expected leave over.
    Reserve,
    /// The longest jobs wait for the end of the step, and come back the smallest first.
    DeferLarge,
    /// Bid prices from the catalog's word: the fluid program of the rest of the step.
    BidPrice,
    /// Bid prices from the truth, where it is hidden from others: what knowing it would be worth.
    BidPriceInformed,
}

impl Rule {
    /// All that know no more than a learner does, the baseline first.
    pub const ALL: [Self; 8] = [
        Self::WeightedScore,
        Self::Cheapest,
        Self::Fastest,
        Self::Random,
        Self::GreedyReward,
        Self::Reserve,
        Self::DeferLarge,
        Self::BidPrice,
    ];

    /// The rules that are told what others are not, for reference.
    pub const REFERENCES: [Self; 1] = [Self::BidPriceInformed];

    /// The rule that everything is compared with.
    pub const BASELINE: Self = Self::WeightedScore;

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// A team of so many that follow it.
    pub(crate) fn team(self, agents: u32) -> Box<dyn Team> {
        let name = self.name();
        let scored = |score| -> Box<dyn Team> { Box::new(TeamOf::new(name, Scored { score }, agents)) };
        match self {
            Self::WeightedScore => scored(weighted_score),
            Self::Cheapest => scored(|_, candidate| -candidate.price),
            Self::Fastest => scored(|_, candidate| -candidate.latency_ms),
            Self::Random => Box::new(TeamOf::new(name, Random::new(), agents)),
            Self::GreedyReward => Box::new(TeamOf::new(name, GreedyReward, agents)),
            Self::Reserve => Box::new(TeamOf::new(name, Reserve::default(), agents)),
            Self::DeferLarge => Box::new(TeamOf::new(name, DeferLarge::default(), agents)),
            Self::BidPrice => Box::new(TeamOf::new(name, BidPrice::new(false), agents)),
            Self::BidPriceInformed => Box::new(TeamOf::new(name, BidPrice::new(true), agents)),
        }
    }
}

/// No rule has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rule `{0}`: expected {names}", names = Rule::names())]
pub struct UnknownRule(pub String);

impl UnknownRule {
    fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Rule {
    /// All names, for messages.
    pub(crate) fn names() -> String {
        let names = Self::VARIANTS;
        let (last, others) = names.split_last().map_or(("", &[][..]), |(last, others)| (*last, others));
        format!("{} or {last}", others.join(", "))
    }
}
