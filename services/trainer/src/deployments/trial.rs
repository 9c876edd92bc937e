//! A canary beside the champion: what both earn, request by request.
//!
//! Which of the two decides a request is drawn. Where the other one would have done the same, there is no difference between
//! them, and none to be estimated. Where not, the request's reward says what one of them earns, and what was expected of
//! both says the rest (Robins, Rotnitzky and Zhao 1994): the difference that is reckoned up is right on average, whatever was
//! expected, and hardly scatters where that was right.

use api::deployments::{Comparison, Guardrails, RewardDifference};
use routing_env::{Candidate, Choice, Fate, Observation, Resolution, Rewards, Routed};

use super::{
    sequential::{ALPHA, AboveLimit, MeanSequence},
    tally::Tally,
};

/// A comparison that goes on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trial {
    canary: Tally,
    champion: Tally,
    difference: MeanSequence,
    disagreements: u64,
    guards: [Option<AboveLimit>; 3],
}

/// Why a challenger is promoted or rolled back without anybody asking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    EarnsMore,
    EarnsLess,
    FailsTooOften,
    TakesTooLong,
    CostsTooMuch,
}

/// What a reward is at least taken to be, in shares of what a served request is worth: a bet must not owe anything, and the less
/// can be lost at once, the more may be at stake. A job that costs more than it is worth counts as one that failed.
const LOWEST: f64 = 0.0;

/// How decisions are paid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pay {
    pub(crate) rewards: Rewards,
    /// What a request that is served for nothing and at once is worth, in points.
    pub(crate) worth: f64,
}

impl Pay {
    /// A reward in shares of what a served request is worth.
    fn share(&self, points: f64) -> f64 {
        (points / self.worth).clamp(LOWEST, 1.0)
    }

    /// What a choice is expected to earn; one that is put off, what the best one would now.
    fn expected(&self, choice: Choice, observation: &Observation<'_>) -> f64 {
        let routed = |candidate: &Candidate| {
            let Observation { env, request, .. } = *observation;
            let cost = candidate.price * request.hours;
            let list_cost = env.list_price(request.gpu_type).map_or(cost, |price| price * request.hours);
            let Candidate { provider, price, latency_ms } = *candidate;
            let fate = Fate::Routed(Routed { provider, price, cost, list_cost, latency_ms });
            let (tenant, hours) = (request.tenant, request.hours);
            self.share(self.rewards.of_request(&Resolution { tenant, hours, deferred: false, fate }))
        };
        let candidates = observation.candidates.iter();
        match choice {
            Choice::Route(provider) => candidates
                .filter(|candidate| candidate.provider == provider)
                .map(routed)
                .next()
                .unwrap_or(0.0),
            Choice::Hold => 0.0,
            Choice::Defer => candidates.map(routed).fold(LOWEST, f64::max),
        }
    }
}

/// A decision that tells something of a canary, as soon as its reward is known. Rewards are shares of what a served request
/// is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Unit {
    pub(crate) canary: usize,
    /// Whether the canary decided, and else the champion.
    by_canary: bool,
    /// The probability with which the canary decides, of both.
    share: f64,
    /// Whether the two would have done the same.
    is_agreed: bool,
    /// What was expected of the champion, and of the canary.
    expected: (f64, f64),
}

impl Unit {
    /// Of a request that was drawn, with the choices of the champion and of the canary.
    pub(crate) fn new(
        canary: usize,
        by_canary: bool,
        share: f64,
        (champions, canarys): (Choice, Choice),
        observation: &Observation<'_>,
        pay: &Pay,
    ) -> Self {
        // two that wait may go to different places in the end
        let is_agreed = champions == canarys && champions != Choice::Defer;
        let expected = (pay.expected(champions, observation), pay.expected(canarys, observation));
        Self { canary, by_canary, share, is_agreed, expected }
    }

    /// Whether there is no difference, whatever comes of it.
    pub(crate) fn is_agreed(&self) -> bool {
        self.is_agreed
    }

    /// The canary's reward less the champion's, and between which ends that had to be.
    fn difference(&self, reward: f64) -> (f64, (f64, f64)) {
        if self.is_agreed {
            return (0.0, (0.0, 0.0));
        }
        let (champion, canary) = self.expected;
        let by_canary = |reward: f64| canary - champion + (reward - canary) / self.share;
        let by_champion = |reward: f64| canary - champion - (reward - champion) / (1.0 - self.share);
        let difference = if self.by_canary { by_canary(reward) } else { by_champion(reward) };
        // what is at stake must not depend on whom the request was drawn for
        let least = by_canary(LOWEST).min(by_champion(1.0));
        let most = by_canary(1.0).max(by_champion(LOWEST));
        (difference, (-least, most))
    }
}

impl Trial {
    pub(crate) fn new(guardrails: Option<Guardrails>) -> Self {
        let Guardrails { max_failure_rate, max_mean_latency_ms, max_mean_cost_usd } =
            guardrails.unwrap_or_default();
        let guards = [max_failure_rate, max_mean_latency_ms, max_mean_cost_usd];
        Self {
            canary: Tally::default(),
            champion: Tally::default(),
            difference: MeanSequence::default(),
            disagreements: 0,
            guards: guards.map(|limit| limit.map(AboveLimit::new)),
        }
    }

    pub(crate) fn begin_window(&mut self) {
        self.guards.iter_mut().flatten().for_each(AboveLimit::begin_window);
    }

    fn tally(&mut self, by_canary: bool) -> &mut Tally {
        if by_canary { &mut self.canary } else { &mut self.champion }
    }

    /// Counts a decision of one of the two.
    pub(crate) fn decide(&mut self, by_canary: bool) {
        self.tally(by_canary).decide();
    }

    /// A job of one of the two was told of: its latency and cost where it was done.
    pub(crate) fn hear(&mut self, by_canary: bool, done: Option<(f64, f64)>) {
        self.tally(by_canary).hear(done);
        if !by_canary {
            return;
        }
        let [failures, latencies, costs] = &mut self.guards;
        if let Some(failures) = failures {
            failures.add(f64::from(u8::from(done.is_none())));
        }
        if let Some((latency_ms, cost_usd)) = done {
            latencies.iter_mut().for_each(|guard| guard.add(latency_ms));
            costs.iter_mut().for_each(|guard| guard.add(cost_usd));
        }
    }

    /// What a decision of one of the two has earned, in points.
    pub(crate) fn earn(&mut self, by_canary: bool, points: f64) {
        self.tally(by_canary).earn(points);
    }

    /// What a decision that was drawn tells of the difference.
    pub(crate) fn compare(&mut self, unit: &Unit, points: f64, pay: &Pay) {
        let (difference, ends) = unit.difference(pay.share(points));
        self.difference.add(difference, ends);
        self.disagreements += u64::from(!unit.is_agreed);
    }

    /// What is beyond doubt. Of all canaries that are as good as the champion and within the guardrails, no more than twice
    /// [`ALPHA`] are ever said to be worse.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let verdicts = [Verdict::FailsTooOften, Verdict::TakesTooLong, Verdict::CostsTooMuch];
        let breached = |guard: &Option<AboveLimit>| {
            guard.is_some_and(|guard| guard.is_above(ALPHA / verdicts.len() as f64))
        };
        if let Some(which) = self.guards.iter().position(breached) {
            return Some(verdicts[which]);
        }
        if self.difference.is_below_zero() {
            return Some(Verdict::EarnsLess);
        }
        self.difference.is_above_zero().then_some(Verdict::EarnsMore)
    }

    /// The figures, in points of reward.
    pub(crate) fn shown(&self, worth: f64) -> Comparison {
        let (low, high) = self.difference.interval().unzip();
        Comparison {
            canary: self.canary.figures(),
            champion: self.champion.figures(),
            difference: RewardDifference {
                decisions: self.difference.count(),
                disagreements: self.disagreements,
                mean: self.difference.mean().map(|mean| mean * worth),
                low: low.map(|low| low * worth),
                high: high.map(|high| high * worth),
            },
        }
    }
}

#[cfg(test)]
mod simulation;
