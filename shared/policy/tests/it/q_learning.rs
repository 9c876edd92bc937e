//! What q-learning learns that sees the request.

use policy::{Rule, Swarm, SwarmConfig};
use routing_env::{Environment, Preset};
use serde_json::json;

use crate::support::play;

fn swarm(env: &Environment) -> Swarm {
    Swarm::new(SwarmConfig::new("q-learning", &json!({}), 4).unwrap(), env).unwrap()
}

/// The mean reward per request on seeds that nobody was trained on.
fn reward(mut swarm: Swarm, env: &Environment) -> f64 {
    swarm.freeze();
    play(&mut swarm, env, 1000..1008).overall.avg_reward().unwrap()
}

#[test]
fn training_makes_it_better_than_it_was_and_than_the_baseline_and_more_training_does_no_harm() {
    let env = Environment::built_in(Preset::Contended).with_steps(40);
    let baseline = reward(Swarm::of_rule(Rule::BASELINE, &env), &env);
    let untrained = reward(swarm(&env), &env);
    let mut learning = swarm(&env);
    let mut after = |episodes| {
        play(&mut learning, &env, episodes);
        let mut judged = swarm(&env);
        judged.absorb(&learning.knowledge()).unwrap();
        reward(judged, &env)
    };
    let (some, more, most) = (after(0..10), after(10..30), after(30..90));
    let told = format!("{baseline}, {untrained}, {some}, {more}, {most}");
    assert!([baseline, untrained, some, more].is_sorted_by(|one, next| one < next), "{told}");
    // the luck of training may take a tenth of what was gained
    assert!(most > more - 0.1 * (more - untrained), "{told}");
}
