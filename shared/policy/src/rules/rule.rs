//! The hand rules: what platform engineers write today, and what a learner has to beat.

use routing_env::{Environment, Preference};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};

use crate::{
    prices::bid_price::Settings,
    rules::{
        bid_price::BidPrice,
        scored::{GreedyReward, Random, Scored, weighted_score},
        size::{DeferLarge, Reserve},
        tuned::tuned,
    },
    team::{Team, TeamOf},
};

/// What `bid-price-counting` keeps a step of what it counted before: best on training seeds of `drifting`.
const COUNTING_KEEPS: f64 = 0.4;

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
    /// Bid prices from the catalog's word: the fluid program of the rest of the step, for the `excess-cost` reward.
    BidPrice,
    /// The same where GPU-hours and low latencies are wanted beyond the reward.
    BidPriceHours,
    /// As `bid-price`, with demand as it was counted: an exponential mean.
    BidPriceCounting,
    /// As `bid-price` or `bid-price-counting`, with the settings that earned most on the first training seeds.
    BidPriceTuned,
    /// Bid prices from the truth, where it is hidden from others: what knowing it would be worth.
    BidPriceInformed,
}

impl Rule {
    /// All that know no more than a learner does, the baseline first.
    pub const ALL: [Self; 11] = [
        Self::WeightedScore,
        Self::Cheapest,
        Self::Fastest,
        Self::Random,
        Self::GreedyReward,
        Self::Reserve,
        Self::DeferLarge,
        Self::BidPrice,
        Self::BidPriceHours,
        Self::BidPriceCounting,
        Self::BidPriceTuned,
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

    /// See [`revision`](crate::registry::revision).
    pub(crate) fn revision(self) -> u32 {
        match self {
            // since 2 they are set up for the reward itself; since 3 they assign whole jobs that wait
            Self::BidPrice | Self::BidPriceInformed => 3,
            Self::BidPriceHours | Self::BidPriceCounting | Self::BidPriceTuned => 2,
            _ => 1,
        }
    }

    /// Whether it decides otherwise for those who want something else.
    #[must_use]
    pub fn heeds_preference(self) -> bool {
        !matches!(self, Self::WeightedScore | Self::Cheapest | Self::Fastest | Self::Random)
    }

    /// A team of so many that follow it for those who want this. One that is tuned plays the first training seeds of the environment for it, which takes seconds.
    pub(crate) fn team(self, agents: u32, env: &Environment, wanted: Preference) -> Box<dyn Team> {
        let name = self.name();
        let scored = |score| -> Box<dyn Team> { Box::new(TeamOf::new(name, Scored { score }, agents)) };
        let priced = |rule| -> Box<dyn Team> { Box::new(TeamOf::new(name, rule, agents)) };
        match self {
            Self::WeightedScore => scored(weighted_score),
            Self::Cheapest => scored(|_, candidate| -candidate.price),
            Self::Fastest => scored(|_, candidate| -candidate.latency_ms),
            Self::Random => Box::new(TeamOf::new(name, Random::new(), agents)),
            Self::GreedyReward => Box::new(TeamOf::new(name, GreedyReward::new(wanted.into()), agents)),
            Self::Reserve => Box::new(TeamOf::new(name, Reserve::new(wanted.into()), agents)),
            Self::DeferLarge => Box::new(TeamOf::new(name, DeferLarge::new(wanted.into()), agents)),
            Self::BidPrice => priced(BidPrice::new(Settings::OF_REWARD, wanted)),
            Self::BidPriceHours => priced(BidPrice::new(Settings::OF_HOURS, wanted)),
            Self::BidPriceCounting => priced(BidPrice::counting(COUNTING_KEEPS, Settings::OF_REWARD, wanted)),
            Self::BidPriceTuned => priced(tuned(name, env, wanted)),
            Self::BidPriceInformed => priced(BidPrice::informed(Settings::OF_REWARD, wanted)),
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
