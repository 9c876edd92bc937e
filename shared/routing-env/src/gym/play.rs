//! An episode as vectors and numbers.

use super::{memory::Memory, space::Space, vector};
use crate::{
    environment::Environment,
    episode::{Choice, Episode, Observation, Turn},
    market::Candidate,
    reward::Reward,
};

/// The action is not allowed for this request: the mask says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the action is not allowed for this request")]
pub struct Forbidden;

/// A request that is to be decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked<'a> {
    /// Its vector: [`Space::features`].
    pub features: &'a [f32],
    /// Whether each action is allowed; at least one provider is.
    pub mask: &'a [bool],
    /// The step that it is in, from 0.
    pub step: u32,
}

/// An episode under way.
///
/// Requests without a feasible provider are nobody's to decide; their reward is 0. Those that wait are decided the longest
/// first. The reward of an action is what its request earned, known where it is resolved: 0 for one that defers it and for
/// one after which its job failed and is tried again, and all of it at the action by which it is served or lost. So the
/// actions' rewards add up to the step's, and those to the episode's. It is the reward `excess-cost`.
pub struct Play<'e> {
    space: &'e Space,
    episode: Episode<'e>,
    memory: Memory,
    features: Vec<f32>,
    mask: Vec<bool>,
    asked: Option<About>,
    offers: Vec<Candidate>,
}

/// What the request is that was shown.
#[derive(Clone, Copy)]
struct About {
    step: u32,
    position: usize,
    is_first_try: bool,
    waited_ms: f64,
    hours: f64,
}

impl<'e> Play<'e> {
    /// The episode with this seed, at its first request; `watch` is shown the episode wherever a step has ended.
    #[must_use]
    pub fn new(
        env: &'e Environment,
        space: &'e Space,
        seed: u64,
        watch: &mut dyn FnMut(&Episode<'_>),
    ) -> Self {
        Self::of(space, Episode::new(env, seed, Reward::EXCESS_COST), watch)
    }

    /// An episode that was not begun yet, at its first request.
    #[must_use]
    pub fn of(space: &'e Space, episode: Episode<'e>, watch: &mut dyn FnMut(&Episode<'_>)) -> Self {
        let mut play = Self {
            space,
            episode,
            memory: Memory::new(space.hold()),
            features: Vec::with_capacity(space.features().len()),
            mask: Vec::with_capacity(space.actions().len()),
            asked: None,
            offers: Vec::new(),
        };
        if play.episode.begin_step() {
            play.go_on(watch);
        }
        play
    }

    /// The request that is to be decided; `None` when the episode is over.
    #[must_use]
    pub fn asked(&self) -> Option<Asked<'_>> {
        let About { step, .. } = self.asked?;
        Some(Asked { features: &self.features, mask: &self.mask, step })
    }

    /// Carries an action out and goes on to the next request. The answer is the action's reward.
    ///
    /// # Errors
    /// The action is not allowed, or there is nothing to decide: nothing was done.
    pub fn act(&mut self, action: usize, watch: &mut dyn FnMut(&Episode<'_>)) -> Result<f64, Forbidden> {
        let about = self.asked.filter(|_| self.mask.get(action) == Some(&true)).ok_or(Forbidden)?;
        let choice = self.space.choice(action);
        self.episode.act(choice);
        let resolution = self.episode.outcome().turns.last().and_then(|(_, resolution)| *resolution);
        if choice == Choice::Defer {
            self.memory.set_aside(about.position, about.hours);
        }
        self.memory.tell(choice, &self.offers, about.is_first_try, about.waited_ms, resolution.as_ref());
        let earned = resolution.map_or(0.0, |resolution| Reward::EXCESS_COST.of_request(&resolution));
        self.go_on(watch);
        Ok(earned)
    }

    /// Goes on to the next request, into later steps where it must.
    fn go_on(&mut self, watch: &mut dyn FnMut(&Episode<'_>)) {
        self.asked = None;
        loop {
            let Self { space, episode, memory, features, mask, offers, .. } = self;
            match episode.turn() {
                Some(Turn::Request(observation)) => {
                    if observation.waited_ms.is_some() {
                        memory.come_again(observation.index);
                    }
                    vector::write(space, memory, &observation, features);
                    write_mask(space, &observation, mask);
                    offers.clear();
                    offers.extend_from_slice(observation.candidates);
                    self.asked = Some(About {
                        step: observation.step,
                        is_first_try: observation.failed_at.is_none(),
                        waited_ms: observation.waited_ms.unwrap_or_default(),
                        hours: observation.request.hours,
                        position: observation.index,
                    });
                    return;
                }
                Some(Turn::Waiting { .. }) => episode.order_waiting(&memory.longest_first()),
                None => {
                    memory.end_step(episode.outcome().requests.len(), space.requests);
                    watch(episode);
                    if !episode.begin_step() {
                        return;
                    }
                }
            }
        }
    }
}

fn write_mask(space: &Space, observation: &Observation<'_>, mask: &mut Vec<bool>) {
    mask.clear();
    mask.resize(space.actions().len(), false);
    observation.candidates.iter().for_each(|candidate| mask[candidate.provider] = true);
    mask[space.hold()] = observation.may_hold;
    mask[space.defer()] = observation.may_defer;
}
