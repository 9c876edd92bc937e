//! The strongest hand rule that we know how to make: bid prices whose settings are those that earned most on training
//! seeds. Nothing of it is learned while it decides.

use routing_env::{Environment, Episode, Preference, Reward, Turn};

use crate::{
    prices::bid_price::{DEFER_BELOW_PER_HOUR, FIRST_THRESHOLD, Settings},
    rules::bid_price::BidPrice,
    team::{Team as _, TeamOf},
};

/// The training seeds that it is tuned on: the first ones.
const EPISODES: u64 = 5;

/// What counting keeps a step; `None`: the catalog is believed.
const COUNTING: [Option<f64>; 4] = [None, Some(0.1), Some(0.4), Some(0.7)];

/// The settings that earn most on the first training seeds of this environment: first whether counts are believed, then
/// from which net value on a request waits, uphill from the usual one.
pub(crate) fn tuned(name: &'static str, env: &Environment, wanted: Preference) -> BidPrice {
    let rule = |counting: Option<f64>, threshold: usize| {
        let settings =
            Settings { defer_below_per_hour: DEFER_BELOW_PER_HOUR[threshold], ..Settings::OF_REWARD };
        match counting {
            None => BidPrice::new(settings, wanted),
            Some(kept) => BidPrice::counting(kept, settings, wanted),
        }
    };
    let mut best = (earned(name, env, wanted, rule(None, FIRST_THRESHOLD)), None);
    for counting in &COUNTING[1..] {
        let earned = earned(name, env, wanted, rule(*counting, FIRST_THRESHOLD));
        if earned > best.0 {
            best = (earned, *counting);
        }
    }
    let (at_first, counting) = best;
    let uphill = |up: bool| {
        let mut at = (at_first, FIRST_THRESHOLD);
        let next = |at: usize| {
            if up { Some(at + 1).filter(|i| *i < DEFER_BELOW_PER_HOUR.len()) } else { at.checked_sub(1) }
        };
        while let Some(threshold) = next(at.1) {
            let earned = earned(name, env, wanted, rule(counting, threshold));
            if earned <= at.0 {
                break;
            }
            at = (earned, threshold);
        }
        at
    };
    let (up, down) = (uphill(true), uphill(false));
    rule(counting, if up.0 >= down.0 { up.1 } else { down.1 })
}

/// What the rule earns on the training seeds.
fn earned(name: &'static str, env: &Environment, wanted: Preference, rule: BidPrice) -> f64 {
    let reward = Reward::Preference(wanted);
    let mut team = TeamOf::new(name, rule, 1);
    let mut earned = 0.0;
    for seed in 1..=EPISODES {
        let mut episode = Episode::new(env, seed, reward);
        team.begin_episode(seed);
        while episode.begin_step() {
            team.begin_step(0, &vec![0; episode.outcome().requests.len()]);
            while let Some(turn) = episode.turn() {
                match turn {
                    Turn::Request(observation) => {
                        let decision = team.decide(0, &observation);
                        episode.act(decision.choice);
                    }
                    Turn::Waiting { requests, waiting, .. } => {
                        let mut order = waiting.to_vec();
                        team.order_waiting(requests, &mut order);
                        episode.order_waiting(&order);
                    }
                }
            }
            team.observe_step(&episode.outcome());
            earned += episode.outcome().metrics.overall.reward;
        }
        team.end_episode();
    }
    earned
}
