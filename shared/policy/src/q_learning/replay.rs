//! Experience replay (Lin 1992): past transitions are learned from again. Which ones is drawn uniformly, or in
//! proportion to how wrong they were when they were last learned from (Schaul, Quan, Antonoglou, Silver 2016).

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::q_learning::{
    settings::{ReplayKind, ReplaySettings},
    sum_tree::SumTree,
};

/// α of Schaul et al.: how much the priorities count. 0 would be uniform.
const PRIORITY_EXPONENT: f64 = 0.6;

/// β of Schaul et al.: how much of the bias that priorities bring is taken back, at first and after
/// [`CORRECTED_AFTER`] draws.
const CORRECTION: [f64; 2] = [0.4, 1.0];

/// Draws until the bias is taken back whole.
const CORRECTED_AFTER: u64 = 100_000;

/// What is added to an error, so that no transition is lost for ever.
const LEAST_ERROR: f64 = 1e-3;

/// A ring of transitions, whatever they are.
#[derive(Clone)]
pub(crate) struct Replay<T> {
    settings: ReplaySettings,
    ring: Vec<T>,
    next: usize,
    priorities: Option<Priorities>,
}

/// What draws go by where they are not uniform.
#[derive(Clone)]
struct Priorities {
    /// `[position in the ring]`
    tree: SumTree,
    /// The highest so far: a new transition has it, so that each is likely to be seen once.
    highest: f64,
    draws: u64,
}

/// A transition that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) position: usize,
    /// What its update counts, at most 1.
    pub(crate) weight: f64,
}

/// A memory as it is written to checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrioritiesState {
    of: Vec<f64>,
    highest: f64,
    draws: u64,
}

impl<T> Replay<T> {
    pub(crate) fn new(settings: ReplaySettings) -> Self {
        let priorities = (settings.kind == ReplayKind::Prioritized).then(|| Priorities {
            tree: SumTree::new(),
            highest: 1.0,
            draws: 0,
        });
        Self { settings, ring: Vec::new(), next: 0, priorities }
    }

    pub(crate) fn restored(
        settings: ReplaySettings,
        ring: Vec<T>,
        next: usize,
        priorities: Option<PrioritiesState>,
    ) -> Result<Self, String> {
        if ring.len() > settings.capacity || next >= settings.capacity {
            return Err(format!("expected at most {} transitions in the replay memory", settings.capacity));
        }
        if ring.len() < settings.capacity && next != ring.len() {
            return Err(format!("expected the next transition at {}, found {next}", ring.len()));
        }
        let mut replay = Self { ring, next, ..Self::new(settings) };
        match (&mut replay.priorities, priorities) {
            (None, None) => {}
            (Some(own), Some(state)) if state.fits(replay.ring.len()) => {
                state.of.iter().enumerate().for_each(|(position, value)| own.tree.set(position, *value));
                (own.highest, own.draws) = (state.highest, state.draws);
            }
            (own, _) => {
                let expected = if own.is_some() { "one positive priority" } else { "no priority" };
                return Err(format!("expected {expected} for each transition in the replay memory"));
            }
        }
        Ok(replay)
    }

    pub(crate) fn push(&mut self, transition: T) {
        let position = self.next;
        if self.ring.len() < self.settings.capacity {
            self.ring.push(transition);
        } else {
            self.ring[position] = transition;
        }
        if let Some(priorities) = &mut self.priorities {
            priorities.tree.set(position, priorities.highest);
        }
        self.next = (position + 1) % self.settings.capacity;
    }

    /// A batch of the transitions, with replacement.
    pub(crate) fn draw(&mut self, rng: &mut impl Rng, into: &mut Vec<Drawn>) {
        into.clear();
        if self.ring.is_empty() {
            return;
        }
        let kept = self.ring.len();
        match &mut self.priorities {
            None => into.extend(
                (0..self.settings.batch_size)
                    .map(|_| Drawn { position: rng.random_range(0..kept), weight: 1.0 }),
            ),
            Some(priorities) => {
                let exponent = priorities.correction();
                let total = priorities.tree.total();
                into.extend((0..self.settings.batch_size).map(|_| {
                    let position = priorities.tree.find(rng.random::<f64>() * total).min(kept - 1);
                    let probability = priorities.tree.get(position) / total;
                    Drawn { position, weight: (kept as f64 * probability).powf(-exponent) }
                }));
                priorities.draws += into.len() as u64;
                let largest = into.iter().map(|drawn| drawn.weight).fold(0.0, f64::max);
                into.iter_mut().for_each(|drawn| drawn.weight /= largest);
            }
        }
    }

    /// Notes how wrong the values were when a transition was learned from again.
    pub(crate) fn learned(&mut self, position: usize, error: f64) {
        if let Some(priorities) = &mut self.priorities {
            // a value that is not finite ends the run elsewhere; here it may not spoil the sums
            let priority = (error.abs().min(f64::MAX.sqrt()) + LEAST_ERROR).powf(PRIORITY_EXPONENT);
            priorities.tree.set(position, priority);
            priorities.highest = priorities.highest.max(priority);
        }
    }

    /// The transition that was drawn.
    pub(crate) fn at(&self, position: usize) -> &T {
        &self.ring[position]
    }

    pub(crate) fn transitions(&self) -> impl Iterator<Item = &T> {
        self.ring.iter()
    }

    pub(crate) fn next(&self) -> usize {
        self.next
    }

    pub(crate) fn priorities(&self) -> Option<PrioritiesState> {
        let Priorities { tree, highest, draws } = self.priorities.as_ref()?;
        let of = (0..self.ring.len()).map(|position| tree.get(position)).collect();
        Some(PrioritiesState { of, highest: *highest, draws: *draws })
    }
}

impl Priorities {
    /// β now.
    fn correction(&self) -> f64 {
        let share = (self.draws as f64 / CORRECTED_AFTER as f64).min(1.0);
        CORRECTION[0] + (CORRECTION[1] - CORRECTION[0]) * share
    }
}

impl PrioritiesState {
    fn fits(&self, transitions: usize) -> bool {
        let is_priority = |value: f64| value.is_finite() && value > 0.0;
        self.of.len() == transitions && self.of.iter().all(|p| is_priority(*p)) && is_priority(self.highest)
    }
}

#[cfg(test)]
mod tests {
    use routing_env::{Stream, generator};

    use super::*;

    /// A memory of transitions that were last this wrong.
    fn memory(errors: &[f64], batch_size: usize) -> Replay<u32> {
        let settings = ReplaySettings {
            enabled: true,
            capacity: errors.len(),
            batch_size,
            kind: ReplayKind::Prioritized,
        };
        let mut replay = Replay::new(settings);
        (0..errors.len() as u32).for_each(|state| replay.push(state));
        errors.iter().enumerate().for_each(|(position, error)| replay.learned(position, *error));
        replay
    }

    /// Errors e with (e + .001)^.6 = 1, 2 and 5: probabilities of 1/8, 2/8 and 5/8.
    fn errors() -> [f64; 3] {
        [1.0_f64, 2.0, 5.0].map(|priority| priority.powf(1.0 / 0.6) - 0.001)
    }

    #[test]
    fn a_transition_is_drawn_as_often_as_its_priority_says() {
        let mut replay = memory(&errors(), 80_000);
        let mut batch = Vec::new();
        replay.draw(&mut generator(7, Stream::Replay(0)), &mut batch);
        for (state, expected) in [10_000.0_f64, 20_000.0, 50_000.0].into_iter().enumerate() {
            let count =
                batch.iter().filter(|drawn| *replay.at(drawn.position) == state as u32).count() as f64;
            // four standard deviations of a binomial count are less than four roots of its mean
            assert!((count - expected).abs() < 4.0 * expected.sqrt(), "{state}: {count}");
        }
    }

    #[test]
    fn weights_take_back_what_the_priorities_prefer() {
        let mut replay = memory(&errors(), 1000);
        let mut rng = generator(7, Stream::Replay(0));
        let mut batch = Vec::new();
        let mut weights = |replay: &mut Replay<u32>| {
            replay.draw(&mut rng, &mut batch);
            [0, 1, 2].map(|state| batch.iter().find(|d| *replay.at(d.position) == state).unwrap().weight)
        };
        // (N·P)^-β is (3/8)^-.4, (6/8)^-.4, (15/8)^-.4 at first; over the largest: 1, 2^-.4, 5^-.4
        for (weight, expected) in weights(&mut replay).into_iter().zip([1.0, 0.757_858_283, 0.525_305_56]) {
            assert!((weight - expected).abs() < 1e-8, "{weight}, not {expected}");
        }
        // and β is 1 when it has been annealed: 1, 1/2, 1/5
        replay.priorities.as_mut().unwrap().draws = CORRECTED_AFTER;
        for (weight, expected) in weights(&mut replay).into_iter().zip([1.0, 0.5, 0.2]) {
            assert!((weight - expected).abs() < 1e-12, "{weight}, not {expected}");
        }
    }

    #[test]
    fn a_new_transition_has_the_highest_priority_so_far() {
        let mut replay = memory(&errors(), 1);
        replay.push(9); // in the place of the oldest, whose priority was 1
        let priorities = replay.priorities().unwrap().of;
        assert!((priorities[0] - 5.0).abs() < 1e-12 && (priorities[1] - 2.0).abs() < 1e-12, "{priorities:?}");
    }

    #[test]
    fn a_memory_that_was_written_and_read_draws_the_same() {
        let mut replay = memory(&errors(), 50);
        let state = serde_json::to_string(&replay.priorities()).unwrap();
        let ring = replay.transitions().copied().collect();
        let state = serde_json::from_str(&state).unwrap();
        let mut read = Replay::restored(replay.settings, ring, replay.next(), state).unwrap();
        let (mut one, mut other) = (Vec::new(), Vec::new());
        replay.draw(&mut generator(7, Stream::Replay(0)), &mut one);
        read.draw(&mut generator(7, Stream::Replay(0)), &mut other);
        assert_eq!(one, other);
    }

    #[test]
    fn priorities_that_do_not_fit_are_refused() {
        let settings =
            ReplaySettings { enabled: true, capacity: 2, batch_size: 1, kind: ReplayKind::Prioritized };
        let restore = |of: Vec<f64>| {
            let state = PrioritiesState { of, highest: 1.0, draws: 0 };
            Replay::restored(settings, vec![0, 1], 0, Some(state)).err()
        };
        assert_eq!(restore(vec![1.0, 2.0]), None);
        for of in [vec![1.0], vec![1.0, 0.0], vec![1.0, f64::NAN]] {
            assert!(restore(of).unwrap().contains("one positive priority"));
        }
        assert!(Replay::<u32>::restored(settings, vec![], 0, None).is_err());
        let uniform = ReplaySettings { kind: ReplayKind::Uniform, ..settings };
        let state = PrioritiesState { of: vec![], highest: 1.0, draws: 0 };
        assert!(
            Replay::<u32>::restored(uniform, vec![], 0, Some(state)).err().unwrap().contains("no priority")
        );
    }

    #[test]
    fn a_memory_that_is_not_full_goes_on_behind_its_last_transition() {
        let settings =
            ReplaySettings { enabled: true, capacity: 3, batch_size: 1, kind: ReplayKind::Uniform };
        let restore =
            |transitions: u32, next| Replay::restored(settings, (0..transitions).collect(), next, None).err();
        assert_eq!([restore(2, 2), restore(3, 0), restore(3, 2)], [None, None, None]);
        assert!(restore(2, 1).unwrap().contains("expected the next transition at 2, found 1"));
        assert!(restore(3, 3).unwrap().contains("at most 3 transitions"));
    }
}
