//! Episodes that a policy command plays, all side by side.

use routing_env::{
    Episode,
    gym::{Play, Space},
};

use super::{messages::TurnLine, process::PolicyCommand};

/// Lets the command play these episodes, each with its seed. `watch` is shown an episode, by its position, wherever a step of
/// it has ended.
///
/// # Errors
/// As [`PolicyCommand::choose`].
pub(crate) fn play_episodes<'e>(
    command: &mut PolicyCommand,
    space: &'e Space,
    episodes: Vec<(u64, Episode<'e>)>,
    watch: &mut dyn FnMut(usize, &Episode<'_>),
) -> anyhow::Result<()> {
    let mut plays: Vec<(usize, u64, Play<'e>)> = Vec::new();
    for (number, (seed, episode)) in episodes.into_iter().enumerate() {
        plays.push((number, seed, Play::of(space, episode, &mut |episode| watch(number, episode))));
    }
    loop {
        plays.retain(|(_, _, play)| play.asked().is_some());
        if plays.is_empty() {
            return Ok(());
        }
        let mut turn = TurnLine::default();
        for (number, seed, play) in &plays {
            let Some(asked) = play.asked() else { continue };
            turn.episodes.push(*number);
            turn.seeds.push(*seed);
            turn.steps.push(asked.step);
            turn.observations.push(asked.features);
            turn.action_masks.push(asked.mask);
        }
        let choices = command.choose(&turn, space.actions())?;
        for ((number, _, play), choice) in plays.iter_mut().zip(choices) {
            // the command's choices are allowed
            let _ = play.act(choice, &mut |episode| watch(*number, episode));
        }
    }
}
