//! The policies that decide in one deployment: its champion, and canaries that decide a share of the requests.
//!
//! Each request is drawn for one of them. The others say what they would have done: so it is known where arms agree, and
//! there is no difference between them there ([`super::trial`]); and the probability of what was done is true of the draw
//! too.

use std::collections::BTreeMap;

use api::{
    Hash,
    deployments::{ChallengerMode, ChallengerState, Comparison, NewDeployment},
    policies::Outcome,
};
use policy::{Decision, Exploration, Swarm};
use routing_env::{Choice, Fate, Observation, Request, Resolution, Routed};
use sha2::{Digest as _, Sha256};

use super::trial::{Pay, Trial, Unit, Verdict};

/// The policies of a deployment, by their numbers: 0 is the one that it was created with, the others are its challengers.
pub(crate) struct Arms {
    arms: Vec<Arm>,
    champion: usize,
    /// Champions of before, the last one at the end.
    former: Vec<usize>,
    pay: Pay,
    /// Decisions whose reward is not known yet.
    open: BTreeMap<u64, Open>,
}

/// A decision whose reward is not known yet.
#[derive(Clone, Debug, PartialEq)]
struct Open {
    arm: usize,
    units: Vec<Unit>,
    /// What became of it, as far as it was expected; `None` of one that waits.
    resolution: Option<Resolution>,
}

/// One of the policies.
pub(crate) struct Arm {
    /// A shadow has its own, elsewhere.
    swarm: Option<Swarm>,
    pub(crate) mode: ChallengerMode,
    pub(crate) state: ChallengerState,
    /// The share of the requests that it decides as a canary.
    share: f64,
    /// How it does beside the champion.
    pub(crate) trial: Option<Trial>,
}

/// What a request is drawn by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Draw(f64);

impl Draw {
    /// By the request's own id, or by its place in the stream.
    pub(crate) fn of(run: &Hash, id: Option<&str>, sequence: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(run.0);
        match id {
            Some(id) => hash.update(id.as_bytes()),
            None => hash.update(sequence.to_be_bytes()),
        }
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, _, ..] = digest;
        Self(u64::from_be_bytes([0, a, b, c, d, e, f, g]) as f64 / 2.0_f64.powi(56))
    }
}

/// What is decided, and what it is compared with.
pub(crate) struct Drawn {
    pub(crate) decided: Decision,
    pub(crate) units: Vec<Unit>,
}

impl Arms {
    /// The policy that a deployment is created with, alone.
    pub(crate) fn of_champion(swarm: Swarm, pay: Pay) -> Self {
        let champion = Arm {
            swarm: Some(swarm),
            mode: ChallengerMode::Canary,
            state: ChallengerState::Champion,
            share: 0.0,
            trial: None,
        };
        Self { arms: vec![champion], champion: 0, former: Vec::new(), pay, open: BTreeMap::new() }
    }

    /// Takes the challengers in; shadows without a swarm.
    pub(crate) fn challenge(
        &mut self,
        settings: &NewDeployment,
        canaries: impl IntoIterator<Item = Option<Swarm>>,
    ) {
        for (challenger, swarm) in settings.challengers.iter().zip(canaries) {
            let trial = swarm.is_some().then(|| Trial::new(settings.guardrails));
            self.arms.push(Arm {
                swarm,
                mode: challenger.mode,
                state: ChallengerState::Active,
                share: challenger.share.unwrap_or_default(),
                trial,
            });
        }
    }

    pub(crate) fn champion(&self) -> usize {
        self.champion
    }

    /// Whether there are challengers, or were.
    pub(crate) fn are_several(&self) -> bool {
        self.arms.len() > 1
    }

    pub(crate) fn get(&self, arm: usize) -> Option<&Arm> {
        self.arms.get(arm)
    }

    /// The challengers with their numbers.
    pub(crate) fn challengers(&self) -> impl Iterator<Item = (usize, &Arm)> {
        self.arms.iter().enumerate().skip(1)
    }

    /// The challengers that are active.
    pub(crate) fn active(&self) -> impl Iterator<Item = usize> {
        self.challengers().filter(|(_, arm)| arm.state == ChallengerState::Active).map(|(number, _)| number)
    }

    /// The arm of a request; each canary has its part of all draws as long as it is active.
    pub(crate) fn drawn(&self, Draw(draw): Draw) -> usize {
        let mut end = 0.0;
        for (number, arm) in self.challengers().filter(|(_, arm)| arm.mode == ChallengerMode::Canary) {
            end += arm.share;
            if draw < end {
                return if arm.is_canary() { number } else { self.champion };
            }
        }
        self.champion
    }

    /// The arm that decides a request that waited: the one that deferred it, if it still decides.
    pub(crate) fn arm_of_deferral(&self, deferral: Option<u64>) -> usize {
        let deferred = deferral.and_then(|deferral| self.open.get(&deferral));
        deferred.map(|deferred| deferred.arm).filter(|arm| self.decides(*arm)).unwrap_or(self.champion)
    }

    /// Whether it decides requests.
    pub(crate) fn decides(&self, arm: usize) -> bool {
        arm == self.champion || self.arms.get(arm).is_some_and(Arm::is_canary)
    }

    /// The share of the requests that an arm decides.
    pub(crate) fn share(&self, arm: usize) -> f64 {
        if arm != self.champion {
            return self.arms[arm].share;
        }
        1.0 - self.arms.iter().filter(|arm| arm.is_canary()).map(|arm| arm.share).sum::<f64>()
    }

    pub(crate) fn swarm(&self, arm: usize) -> &Swarm {
        let swarm = self.arms[arm].swarm.as_ref();
        swarm.expect("an arm that decides has a swarm: shadows are none")
    }

    pub(crate) fn swarm_mut(&mut self, arm: usize) -> &mut Swarm {
        let swarm = self.arms[arm].swarm.as_mut();
        swarm.expect("an arm that decides has a swarm: shadows are none")
    }

    /// All swarms: those that decide, did so, or wait to.
    pub(crate) fn swarms_mut(&mut self) -> impl Iterator<Item = &mut Swarm> {
        self.arms.iter_mut().filter_map(|arm| arm.swarm.as_mut())
    }

    /// Lets an arm decide. Where the request was just drawn for it, all others that might have been drawn are asked what they
    /// would have done.
    pub(crate) fn decide(
        &mut self,
        (arm, was_drawn): (usize, bool),
        observation: &Observation<'_>,
        exploration: Option<&Exploration>,
        sequence: u64,
    ) -> Drawn {
        let own = self.swarm_mut(arm).decide(observation);
        let mut decided =
            exploration.map_or(own, |exploration| exploration.explore(own, observation, sequence));
        let canaries: Vec<usize> = self.active().filter(|number| self.arms[*number].is_canary()).collect();
        if !was_drawn || canaries.is_empty() {
            return Drawn { decided, units: Vec::new() };
        }
        let mut choices = Vec::with_capacity(1 + canaries.len());
        for number in std::iter::once(self.champion).chain(canaries) {
            let choice =
                if number == arm { own.choice } else { self.swarm_mut(number).consider(observation).choice };
            choices.push((number, choice));
        }
        let probability = |(number, choice): &(usize, Choice)| {
            let chosen = match exploration {
                Some(_) if *number == arm => decided.propensity,
                Some(exploration) => exploration.probability(
                    &Decision::certain(*choice),
                    observation.candidates,
                    decided.choice,
                ),
                None => f64::from(u8::from(*choice == decided.choice)),
            };
            self.share(*number) * chosen
        };
        let propensity: f64 = choices.iter().map(probability).sum();
        let is_tried = exploration.is_some_and(|exploration| exploration.tries(sequence));
        let units = if is_tried { Vec::new() } else { self.units(arm, &choices, observation) };
        decided.propensity = propensity.clamp(f64::MIN_POSITIVE, 1.0);
        Drawn { decided, units }
    }

    /// What the request tells of each canary: one that was drawn is compared with the champion, and the champion with all.
    fn units(&self, arm: usize, choices: &[(usize, Choice)], observation: &Observation<'_>) -> Vec<Unit> {
        let (champion, champions) = choices[0];
        let compared = choices[1..].iter().filter(|(number, _)| arm == champion || arm == *number);
        compared
            .map(|(canary, choice)| {
                let share = self.share(*canary) / (self.share(*canary) + self.share(champion));
                Unit::new(*canary, arm == *canary, share, (champions, *choice), observation, &self.pay)
            })
            .collect()
    }

    /// Tells all of those that wait, and puts them into the champion's order.
    pub(crate) fn order_waiting(&mut self, requests: &[Request], waiting: &mut [usize]) {
        let champion = self.champion;
        let others = self.arms.iter_mut().enumerate().filter(|(number, _)| *number != champion);
        for swarm in others.filter_map(|(_, arm)| arm.swarm.as_mut()) {
            swarm.order_waiting(requests, &mut waiting.to_vec());
        }
        self.swarm_mut(champion).order_waiting(requests, waiting);
    }

    /// All trials that go on.
    fn trials_mut(&mut self) -> impl Iterator<Item = (usize, &mut Trial)> {
        let active = self.arms.iter_mut().enumerate().filter(|(_, arm)| arm.is_canary());
        active.filter_map(|(number, arm)| arm.trial.as_mut().map(|trial| (number, trial)))
    }

    /// The trials that decisions of an arm count in, and whether as the canary's: the champion's count in all.
    fn trials_of(&mut self, arm: usize) -> impl Iterator<Item = (bool, &mut Trial)> {
        let champion = self.champion;
        let of = move |number: usize| number == arm || champion == arm;
        self.trials_mut()
            .filter(move |(number, _)| of(*number))
            .map(move |(number, trial)| (number == arm, trial))
    }

    /// Takes note of a decision that was made, which ends what was deferred by another one: what became of it, as far as it is
    /// known; `None` where it waits.
    pub(crate) fn note(
        &mut self,
        (sequence, arm): (u64, usize),
        mut units: Vec<Unit>,
        resolution: Option<Resolution>,
        deferral: Option<u64>,
    ) {
        if !self.are_several() {
            return;
        }
        if let Some(deferred) = deferral.and_then(|deferral| self.open.remove(&deferral)) {
            units = deferred.units;
        }
        // where both would have done the same, nothing is awaited
        let (agreed, units): (Vec<_>, Vec<_>) = units.into_iter().partition(Unit::is_agreed);
        self.compare(&agreed, 0.0);
        if let Some(resolution) = &resolution {
            self.trials_of(arm).for_each(|(by_canary, trial)| trial.decide(by_canary));
            if resolution.routed().is_none() {
                self.earned(arm, &units, resolution);
                return;
            }
        }
        self.open.insert(sequence, Open { arm, units, resolution });
    }

    /// Hears what became of a job.
    pub(crate) fn hear(&mut self, sequence: u64, outcome: &Outcome) {
        let Some(Open { arm, units, resolution: Some(expected) }) = self.open.remove(&sequence) else {
            return;
        };
        let Some(routed) = expected.routed() else { return };
        let cost = outcome.cost_usd.unwrap_or(routed.cost);
        let latency_ms = outcome.latency_ms.unwrap_or(routed.latency_ms);
        let fate = if outcome.succeeded {
            Fate::Routed(Routed { cost, latency_ms, ..*routed })
        } else {
            Fate::Failed
        };
        let done = outcome.succeeded.then_some((latency_ms, cost));
        self.trials_of(arm).for_each(|(by_canary, trial)| trial.hear(by_canary, done));
        self.earned(arm, &units, &Resolution { fate, ..expected });
    }

    fn earned(&mut self, arm: usize, units: &[Unit], resolution: &Resolution) {
        let points = self.pay.rewards.of_request(resolution);
        self.trials_of(arm).for_each(|(by_canary, trial)| trial.earn(by_canary, points));
        self.compare(units, points);
    }

    fn compare(&mut self, units: &[Unit], points: f64) {
        let pay = self.pay.clone();
        for unit in units {
            if let Some((_, trial)) = self.trials_mut().find(|(number, _)| *number == unit.canary) {
                trial.compare(unit, points, &pay);
            }
        }
    }

    /// Begins a window, in which the outcomes of these jobs are still awaited.
    pub(crate) fn begin_window(&mut self, is_awaited: impl Fn(u64) -> bool) {
        self.open.retain(|sequence, _| is_awaited(*sequence));
        self.trials_mut().for_each(|(_, trial)| trial.begin_window());
    }

    /// What is beyond doubt of the canaries.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (usize, Verdict)> {
        let canaries = self.challengers().filter(|(_, arm)| arm.is_canary());
        canaries.filter_map(|(number, arm)| Some((number, arm.trial.as_ref()?.verdict()?)))
    }

    /// What a served request is worth, in points.
    pub(crate) fn worth(&self) -> f64 {
        self.pay.worth
    }

    /// The champion, once this arm is rolled back.
    pub(crate) fn champion_without(&self, arm: usize) -> usize {
        if arm == self.champion { self.former.last().copied().unwrap_or(arm) } else { self.champion }
    }

    /// Makes a challenger the champion; a shadow brings its swarm. All trials begin anew beside it.
    pub(crate) fn promote(&mut self, arm: usize, shadow: Option<Swarm>, settings: &NewDeployment) {
        let before = std::mem::replace(&mut self.champion, arm);
        self.former.push(before);
        self.arms[before].state = ChallengerState::Former;
        let promoted = &mut self.arms[arm];
        promoted.state = ChallengerState::Champion;
        if let Some(swarm) = shadow {
            promoted.swarm = Some(swarm);
        }
        self.begin_trials(settings);
    }

    /// All trials begin anew: they are comparisons with the champion.
    fn begin_trials(&mut self, settings: &NewDeployment) {
        self.open.clear();
        for (_, trial) in self.trials_mut() {
            *trial = Trial::new(settings.guardrails);
        }
    }

    /// Takes a challenger back; or the champion, where it is one: the one before it is the champion again.
    pub(crate) fn roll_back(&mut self, arm: usize, settings: &NewDeployment) {
        self.arms[arm].state = ChallengerState::RolledBack;
        if arm == self.champion
            && let Some(before) = self.former.pop()
        {
            self.champion = before;
            self.arms[before].state = ChallengerState::Champion;
            self.begin_trials(settings);
        }
    }

    /// Whether there is a champion to go back to.
    pub(crate) fn has_former(&self) -> bool {
        !self.former.is_empty()
    }

    /// All that it is a function of, as texts; none where there is one policy only.
    pub(crate) fn shown(&self) -> Vec<String> {
        if !self.are_several() {
            return Vec::new();
        }
        let arm = |arm: &Arm| {
            let moment = arm.swarm.as_ref().map(Swarm::moment);
            format!("{:?} {:?} {moment:?}", arm.state, arm.trial)
        };
        let places = format!("{} {:?} {:?}", self.champion, self.former, self.open);
        std::iter::once(places).chain(self.arms.iter().map(arm)).collect()
    }
}

impl Arm {
    /// Whether it decides a share of the requests.
    fn is_canary(&self) -> bool {
        self.mode == ChallengerMode::Canary && self.state == ChallengerState::Active
    }

    /// How it does, in points of reward; `None` for what is no canary.
    pub(crate) fn comparison(&self, worth: f64) -> Option<Comparison> {
        self.trial.as_ref().map(|trial| trial.shown(worth))
    }
}
