//! What whoever plays with vectors and numbers may rely on.

use routing_env::{
    Environment, Episode, Metrics, Preset,
    gym::{Asked, Forbidden, Play, Space},
};

const SEED: u64 = 3;

fn env(preset: Preset) -> Environment {
    Environment::built_in(preset).with_steps(4)
}

/// A choice among what is allowed that takes every action now and then.
fn any(asked: &Asked<'_>, turn: usize) -> usize {
    let allowed: Vec<usize> = (0..asked.mask.len()).filter(|action| asked.mask[*action]).collect();
    allowed[turn * 7 % allowed.len()]
}

/// What an episode came to when it was played by `choose`: each action with its reward and step, and the episode's figures.
fn play(
    env: &Environment,
    mut choose: impl FnMut(&Asked<'_>, usize) -> usize,
) -> (Vec<(u32, f64)>, Vec<Metrics>) {
    let space = Space::new(env);
    let (mut earned, mut steps) = (Vec::new(), Vec::new());
    let mut watch = |episode: &Episode<'_>| steps.push(episode.outcome().metrics.clone());
    let mut play = Play::new(env, &space, SEED, &mut watch);
    while let Some(asked) = play.asked() {
        let (step, action) = (asked.step, choose(&asked, earned.len()));
        earned.push((step, play.act(action, &mut watch).unwrap()));
    }
    (earned, steps)
}

#[test]
fn the_rewards_of_the_actions_add_up_to_the_steps_and_to_the_episode_to_the_last_bit() {
    for preset in Preset::ALL {
        let env = env(preset);
        let (earned, steps) = play(&env, any);
        assert!(earned.iter().any(|(_, reward)| *reward == 0.0) || !env.workloads().actions.defer);
        let mut episode = (0.0, 0.0);
        for (number, metrics) in (0..).zip(&steps) {
            let of_step = earned.iter().filter(|(step, _)| *step == number);
            let sum = of_step.fold(0.0, |sum, (_, reward)| sum + reward);
            assert_eq!(sum, metrics.overall.reward, "{preset}, step {number}");
            episode = (episode.0 + sum, episode.1 + metrics.overall.reward);
        }
        assert_eq!((steps.len(), episode.0), (4, episode.1), "{preset}");
    }
}

#[test]
fn what_fails_or_is_set_aside_is_asked_again_and_earns_where_it_is_resolved() {
    let env = env(Preset::Drifting);
    let space = Space::new(&env);
    let at = |name: &str| space.features().iter().position(|feature| feature == name).unwrap();
    let [has_waited, has_failed, waiting] = ["has_waited", "has_failed", "waiting"].map(at);
    let mut most_waiting = 0.0_f32;
    let (mut waited, mut failed) = (0, 0);
    let (earned, steps) = play(&env, |asked, turn| {
        waited += usize::from(asked.features[has_waited] == 1.0);
        failed += usize::from(asked.features[has_failed] == 1.0);
        most_waiting = most_waiting.max(asked.features[waiting]);
        assert!(asked.mask[space.defer()] || asked.features[waiting] == 1.0 || waited + failed > 0);
        if asked.mask[space.defer()] { space.defer() } else { any(asked, turn) }
    });
    assert!(waited > 0 && failed > 0, "{waited} waited, {failed} failed");
    assert_eq!(most_waiting, 1.0, "as many as may wait");
    let requests: u64 = steps.iter().map(|step| step.overall.requests).sum();
    let deferred: u64 = steps.iter().map(|step| step.overall.deferred).sum();
    assert!(deferred > 0);
    assert!(earned.len() as u64 > requests - deferred);
}

#[test]
fn every_vector_is_as_long_as_its_names_and_finite_and_some_provider_is_always_allowed() {
    for preset in Preset::ALL {
        let env = env(preset);
        let space = Space::new(&env);
        let mut names = space.features().to_vec();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), space.features().len());
        play(&env, |asked, turn| {
            assert_eq!(
                (asked.features.len(), asked.mask.len()),
                (space.features().len(), space.actions().len())
            );
            assert!(asked.features.iter().all(|entry| entry.is_finite() && entry.abs() <= 10.0), "{asked:?}");
            assert!(asked.mask[..space.hold()].contains(&true));
            any(asked, turn)
        });
    }
}

#[test]
fn the_mask_is_what_the_vector_calls_feasible_and_what_it_forbids_changes_nothing() {
    let env = env(Preset::Overloaded);
    let space = Space::new(&env);
    let feasible: Vec<usize> =
        (0..space.features().len()).filter(|at| space.features()[*at].ends_with(":feasible")).collect();
    let mut play = Play::new(&env, &space, SEED, &mut |_| ());
    let mut forbidden = 0;
    for turn in 0..2000 {
        let Some(asked) = play.asked() else { break };
        let (before, action) = (asked.features.to_vec(), any(&asked, turn));
        for (action, at) in feasible.iter().enumerate() {
            assert_eq!(asked.mask[action], before[*at] == 1.0);
        }
        let not_allowed =
            (0..=asked.mask.len()).find(|action| asked.mask.get(*action) != Some(&true)).unwrap();
        assert_eq!(play.act(not_allowed, &mut |_| ()), Err(Forbidden));
        forbidden += 1;
        assert_eq!(play.asked().unwrap().features, before);
        play.act(action, &mut |_| ()).unwrap();
    }
    assert!(forbidden > 300);
}

#[test]
fn one_seed_gives_one_episode() {
    let env = env(Preset::Drifting);
    let seen = |turn: usize| {
        let mut vectors = Vec::new();
        let played = play(&env, |asked, number| {
            vectors.push(asked.features.to_vec());
            any(asked, number * turn)
        });
        (vectors, played)
    };
    assert_eq!(seen(1), seen(1));
    assert_ne!(seen(1), seen(2));
}
