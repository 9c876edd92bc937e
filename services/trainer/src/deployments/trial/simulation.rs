//! Trials in the simulator: what becomes of each job is drawn from what is hidden there.
//!
//! `cargo test -p trainer --lib -- --ignored --nocapture figures_of_trials` prints what docs/results.md shows.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use policy::{Rule, Swarm};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use routing_env::{Choice, Environment, Episode, Preset, Reward, Turn};

use super::*;

const REWARD: Reward = Reward::EXCESS_COST;

/// Two rules in one environment; which arm follows which is said request by request.
struct World {
    env: Environment,
    rules: [Swarm; 2],
    pay: Pay,
}

/// Which of the rules the champion follows, and the canary.
type Who = (usize, usize);

impl World {
    fn new(preset: Preset, rules: [Rule; 2]) -> Self {
        let env = Environment::built_in(preset);
        let pay = Pay { rewards: REWARD.into(), worth: 50.0 };
        Self { rules: rules.map(|rule| Swarm::of_rule(rule, &env)), env, pay }
    }

    /// Plays episodes as long as what is seen of the trial says so: the trial, the last decision, and its reward in points.
    fn play(
        &mut self,
        seed: u64,
        share: f64,
        mut who: impl FnMut(&mut StdRng) -> Who,
        mut goes_on: impl FnMut(&Trial, &Unit, f64) -> bool,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut trial = Trial::new(None);
        for number in 0.. {
            let mut episode = Episode::new(&self.env, seed << 16 | number, REWARD);
            self.rules.iter_mut().for_each(|rule| rule.begin_episode(seed));
            while episode.begin_step() {
                let step = episode.outcome().step;
                self.rules.iter_mut().for_each(|rule| rule.begin_window(step));
                while let Some(turn) = episode.turn() {
                    let Turn::Request(observation) = turn else { continue };
                    let choices = self.rules.each_mut().map(|rule| rule.consider(&observation).choice);
                    if observation.failed_at.is_some() {
                        episode.act(choices[0]);
                        continue;
                    }
                    let (champion, canary) = who(&mut rng);
                    let pair = (choices[champion], choices[canary]);
                    let by_canary = rng.random::<f64>() < share;
                    let unit = Unit::new(1, by_canary, share, pair, &observation, &self.pay);
                    let choice = if by_canary { pair.1 } else { pair.0 };
                    episode.act(choice);
                    let points = match (choice, episode.outcome().turns.last()) {
                        (Choice::Route(_), Some((_, Some(resolution)))) => REWARD.of_request(resolution),
                        _ => 0.0, // it failed, or was sent nowhere
                    };
                    trial.compare(&unit, points, &self.pay);
                    if !goes_on(&trial, &unit, points) {
                        return;
                    }
                }
            }
        }
    }

    /// How much more the second rule earns than the first, and what is earned, in shares of a request's worth; and for how
    /// many requests the rules differ.
    fn difference(&mut self, decisions: u64) -> (f64, f64, f64) {
        let (mut seen, mut difference, mut earned, mut differ) = (0, 0.0, 0.0, 0.0);
        let pay = self.pay.clone();
        self.play(
            1,
            0.5,
            |_| (0, 1),
            |_, unit, points| {
                seen += 1;
                difference += unit.difference(pay.share(points)).0;
                earned += pay.share(points);
                differ += f64::from(u8::from(!unit.is_agreed()));
                seen < decisions
            },
        );
        let mean = |sum: f64| sum / decisions as f64;
        (mean(difference), mean(earned), mean(differ))
    }

    /// After how many decisions a trial ends, and how; `None` where it does not end within so many.
    fn verdict(
        &mut self,
        seed: u64,
        share: f64,
        most: u64,
        who: impl FnMut(&mut StdRng) -> Who,
    ) -> Option<(u64, Verdict)> {
        let mut found = None;
        self.play(seed, share, who, |trial, _, _| {
            found = trial.verdict().map(|verdict| (trial.difference.count(), verdict));
            found.is_none() && trial.difference.count() < most
        });
        found
    }

    /// A canary that follows the worse rule for some of its requests, so that it earns so much less of the reward.
    fn regression(
        &mut self,
        part_of_reward: f64,
        decisions: u64,
    ) -> impl FnMut(&mut StdRng) -> Who + Clone + use<> {
        let (difference, earned, _) = self.difference(decisions);
        let worse = usize::from(difference < 0.0);
        let probability = (part_of_reward * earned / difference.abs()).min(1.0);
        move |rng| (1 - worse, if rng.random::<f64>() < probability { worse } else { 1 - worse })
    }
}

/// Two that follow either rule by the toss of a coin, and never the same one: they earn the same.
fn alike(rng: &mut StdRng) -> Who {
    let one = usize::from(rng.random::<bool>());
    (one, 1 - one)
}

#[test]
fn a_canary_that_earns_as_much_is_left_alone() {
    let mut world = World::new(Preset::Unreliable, [Rule::GreedyReward, Rule::Cheapest]);
    let wrong = (0..10).filter(|seed| world.verdict(500 + seed, 0.5, 2000, alike).is_some()).count();
    assert_eq!(wrong, 0); // of which 0.1 may be
}

#[test]
fn a_canary_that_earns_a_fiftieth_less_is_rolled_back_within_2000_outcomes_where_jobs_do_not_fail() {
    let mut world = World::new(Preset::Default, [Rule::BidPriceCounting, Rule::Fastest]);
    let regression = world.regression(0.02, 5000);
    for seed in 0..10 {
        let verdict = world.verdict(100 + seed, 0.5, 2000, regression.clone());
        assert!(matches!(verdict, Some((_, Verdict::EarnsLess))), "{verdict:?}");
    }
}

#[test]
#[ignore = "prints the figures of docs/results.md, which takes minutes; it asserts nothing"]
fn figures_of_trials() {
    const MOST: u64 = 20_000;
    println!("preset      rules                            differ  share  median    p90    found  wrong");
    for (preset, rules) in [
        (Preset::Default, [Rule::BidPriceCounting, Rule::Fastest]),
        (Preset::Drifting, [Rule::BidPriceCounting, Rule::GreedyReward]),
        (Preset::Unreliable, [Rule::BidPriceCounting, Rule::GreedyReward]),
        (Preset::Unreliable, [Rule::GreedyReward, Rule::Cheapest]),
    ] {
        let mut world = World::new(preset, rules);
        let (_, _, differ) = world.difference(20_000);
        let regression = world.regression(0.02, 20_000);
        for share in [0.5, 0.1] {
            let mut ends: Vec<u64> = (0..20)
                .map(|seed| match world.verdict(100 + seed, share, MOST, regression.clone()) {
                    Some((count, Verdict::EarnsLess)) => count,
                    _ => MOST,
                })
                .collect();
            ends.sort_unstable();
            let found = ends.iter().filter(|end| **end < MOST).count();
            // a month of 720 windows with 20 requests each
            let wrong =
                (0..20).filter(|seed| world.verdict(500 + seed, share, 14_400, alike).is_some()).count();
            let (name, rules, differ) = (preset.name(), format!("{rules:?}"), 100.0 * differ);
            println!(
                "{name:<11} {rules:<32} {differ:>4.1} %  {share:>5}  {:>6} {:>6}  {found:>2}/20  {wrong:>2}/20",
                ends[10], ends[17]
            );
        }
    }
}
