//! Policy files from strangers: whatever they say, they are refused or acted on.

use policy::{PolicyFile, Rule, Swarm, Training};
use routing_env::{Environment, Preset};

#[test]
fn a_file_that_was_trained_on_the_last_of_all_seeds_tells_them() {
    let env = Environment::built_in(Preset::Default);
    let training = Training {
        preset: "default".into(),
        reward: "excess-cost".into(),
        first_seed: u64::MAX - 1,
        episodes: 3,
        decisions: 1,
    };
    let file = PolicyFile::new(&Swarm::of_rule(Rule::Cheapest), &env, training);
    let read = PolicyFile::parse(&serde_json::to_vec(&file).unwrap()).unwrap();
    assert_eq!(read.training_seeds(), u64::MAX - 1..u64::MAX);
}
