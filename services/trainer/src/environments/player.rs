//! Parallel episodes of one environment, turn by turn.

use api::{
    FIRST_HELD_OUT_SEED, FieldError,
    trainer::{EndedEpisode, EnvironmentTurn, NewTurn},
};
use routing_env::{
    Environment, Tally,
    gym::{Play, Space},
};

use super::TurnError;

/// Episodes in which nothing is to be decided are passed over, so many at most.
const MOST_EMPTY: u32 = 1000;

/// The episodes, and what is to be decided in each.
pub(super) struct Player<'e> {
    env: &'e Environment,
    space: &'e Space,
    next_seed: u64,
    episodes: Vec<Episode<'e>>,
    turn: EnvironmentTurn,
}

/// One of them, with its sums over the steps that have ended.
struct Episode<'e> {
    play: Play<'e>,
    seed: u64,
    sums: Tally,
}

impl<'e> Player<'e> {
    /// So many episodes, begun; `None` where there is nothing to decide.
    pub(super) fn new(env: &'e Environment, space: &'e Space, seed: u64, n: u32) -> Option<Self> {
        let turn = EnvironmentTurn {
            rewards: vec![0.0; n as usize],
            terminated: vec![false; n as usize],
            ..EnvironmentTurn::default()
        };
        let mut player = Self { env, space, next_seed: seed, episodes: Vec::new(), turn };
        for _ in 0..n {
            let episode = player.next_episode()?;
            player.episodes.push(episode);
        }
        player.show();
        Some(player)
    }

    /// What is to be decided.
    pub(super) fn turn(&self) -> &EnvironmentTurn {
        &self.turn
    }

    /// Plays the choices.
    ///
    /// # Errors
    /// Nothing was played.
    pub(super) fn play(&mut self, NewTurn { turn, choices }: &NewTurn) -> Result<EnvironmentTurn, TurnError> {
        let expected = self.turn.turn;
        if turn.is_some_and(|turn| turn != expected) {
            return Err(TurnError::AnotherTurn { expected });
        }
        self.check(choices)?;
        self.turn.ended.clear();
        for (position, choice) in choices.iter().enumerate() {
            let Episode { play, seed, sums } = &mut self.episodes[position];
            let mut count = |step: &routing_env::Episode<'_>| sums.merge(&step.outcome().metrics.overall);
            // `check` has asked the mask
            self.turn.rewards[position] = play.act(*choice as usize, &mut count).unwrap_or_default();
            let (is_over, seed, sums) = (play.asked().is_none(), *seed, *sums);
            self.turn.terminated[position] = is_over;
            if is_over {
                let Tally { requests, routed: served, reward, .. } = sums;
                let position = position as u32; // at most `MOST_PARALLEL_EPISODES`
                self.turn.ended.push(EndedEpisode { position, seed, requests, served, reward });
                // where nothing comes any more, the same once again
                let next = self.next_episode().unwrap_or_else(|| self.episode(seed));
                self.episodes[position as usize] = next;
            }
        }
        self.turn.turn += 1;
        self.show();
        Ok(self.turn.clone())
    }

    fn check(&self, choices: &[u32]) -> Result<(), TurnError> {
        let wrong = |pointer: String, detail: String| FieldError { pointer, detail };
        if choices.len() != self.episodes.len() {
            let (expected, found) = (self.episodes.len(), choices.len());
            let detail = format!("expected {expected} choices, one for each episode, found {found}");
            return Err(TurnError::Invalid(vec![wrong("/choices".into(), detail)]));
        }
        let masks = self.turn.action_masks.iter().zip(choices).enumerate();
        let forbidden = masks.filter(|(_, (mask, choice))| mask.get(**choice as usize) != Some(&true));
        let errors = forbidden.map(|(position, (mask, choice))| {
            let allowed: Vec<_> =
                (0..mask.len()).filter(|action| mask[*action]).map(|action| action.to_string()).collect();
            let detail = format!("expected one of {}, found {choice}", allowed.join(", "));
            wrong(format!("/choices/{position}"), detail)
        });
        let errors: Vec<_> = errors.collect();
        if errors.is_empty() { Ok(()) } else { Err(TurnError::Invalid(errors)) }
    }

    /// The episode of the next seed in which something is to be decided.
    fn next_episode(&mut self) -> Option<Episode<'e>> {
        for _ in 0..MOST_EMPTY {
            let seed = self.next_seed;
            self.next_seed = (seed + 1) % FIRST_HELD_OUT_SEED;
            let episode = self.episode(seed);
            if episode.play.asked().is_some() {
                return Some(episode);
            }
        }
        None
    }

    fn episode(&self, seed: u64) -> Episode<'e> {
        let mut sums = Tally::default();
        let mut count = |step: &routing_env::Episode<'_>| sums.merge(&step.outcome().metrics.overall);
        let play = Play::new(self.env, self.space, seed, &mut count);
        Episode { play, seed, sums }
    }

    fn show(&mut self) {
        let Self { episodes, turn, .. } = self;
        let asked = || episodes.iter().filter_map(|episode| episode.play.asked());
        turn.observations = asked().map(|asked| asked.features.to_vec()).collect();
        turn.action_masks = asked().map(|asked| asked.mask.to_vec()).collect();
        turn.steps = asked().map(|asked| asked.step).collect();
        turn.seeds = episodes.iter().map(|episode| episode.seed).collect();
    }
}
