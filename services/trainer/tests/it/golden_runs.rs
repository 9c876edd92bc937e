//! What runs decide, pinned: for each learner and each rule on three presets the digest, the run root, the root of the
//! same decisions under another digest, and what was learned. Nothing here changes unless a decision record says why.

use std::collections::BTreeMap;

use api::{Hash, trainer::NewRun};
use merkle_log::{Frontier, canonical_json, canonical_leaf_hash};
use policy::{Command, Knowledge, StepReport, Swarm, SwarmState};
use routing_env::Episode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trainer::{
    decisions::{Position, decisions},
    digest::sha256,
    run_config::RunPlan,
};

/// Each run's outcome by the run's name.
const GOLDEN: &str = include_str!("golden/runs.json");

/// What a run came to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Outcome {
    digest: Hash,
    run_root: Hash,
    /// The root of the same decisions where their `run` is 32 bytes of 7: it stays when only a digest changes.
    decisions_root: Hash,
    /// SHA-256 of what all agents know, as canonical JSON in the form in which it was first written.
    knowledge_sha256: Hash,
}

/// The runs on a preset by name, as a caller writes them.
fn runs_on(preset: &str) -> BTreeMap<String, Value> {
    let learning = json!({"learning_rate": 0.1, "discount": 0.99, "epsilon": 0.1});
    let apart = merged(&learning, &json!({"merge_every": 0}));
    let q_learning =
        |name: &str, settings: Value| (name.to_owned(), "q-learning", merged(&learning, &settings));
    let mut runs = vec![
        ("adaptive".to_owned(), "adaptive", json!({"epsilon": 0.01})),
        ("afterstate".to_owned(), "afterstate", apart.clone()),
        ("afterstate, merging".to_owned(), "afterstate", merged(&learning, &json!({"merge_every": 5}))),
        ("cem".to_owned(), "cem", json!({"epsilon": 0.1})),
        q_learning("q-learning", json!({})),
        q_learning("q-learning, prioritized", json!({"replay": {"kind": "prioritized"}})),
        q_learning("q-learning, no replay", json!({"replay": {"enabled": false}})),
        q_learning("q-learning, merging", json!({"merge_every": 5})),
        q_learning("q-learning, no mask", json!({"feasibility_mask": false})),
        ("q-learning, request-aware".to_owned(), "request-aware", json!({})),
        (
            "q-learning, request-aware, replay".to_owned(),
            "request-aware",
            json!({"replay": {"enabled": true, "kind": "prioritized"}}),
        ),
    ];
    for algorithm in ["afterstate", "cem", "q-learning", "weighted-score"] {
        let settings = match algorithm {
            "cem" => json!({"epsilon": 0.1}),
            "weighted-score" => json!({}),
            "afterstate" => apart.clone(),
            _ => learning.clone(),
        };
        runs.push((
            format!("{algorithm}, seed reward"),
            algorithm,
            merged(&settings, &json!({"reward": "seed"})),
        ));
    }
    for rule in ["weighted-score", "random", "greedy-reward", "reserve", "defer-large", "bid-price"] {
        runs.push((rule.to_owned(), rule, json!({})));
    }
    let named = |(name, algorithm, settings): (String, &str, Value)| {
        // long enough for cem's first generation to end
        let steps = if algorithm == "cem" { 40 } else { 20 };
        let algorithm = match algorithm {
            // what was pinned is of the state that there was then
            "q-learning" => json!({"name": algorithm, "state": "specified"}),
            "request-aware" => json!({"name": "q-learning"}),
            _ => json!(algorithm),
        };
        let run = json!({"algorithm": algorithm, "agents": 3, "episodes": 4, "steps_per_episode": steps, "seed": 11,
            "interventions": "obeyed", "environment": {"preset": preset}});
        (format!("{name} on {preset}"), merged(&run, &settings))
    };
    runs.into_iter().map(named).collect()
}

fn merged(one: &Value, other: &Value) -> Value {
    let fields = |value: &Value| value.as_object().unwrap().clone();
    Value::Object(fields(one).into_iter().chain(fields(other)).collect())
}

/// What agents know, without what has been added since the figures were pinned: `afterstate` did not tell its means and visits, and
/// `q-learning` told only how often it was in a state, not how often it did what there.
fn first_form(agents: Vec<Knowledge>) -> Vec<Value> {
    let mut learned: Vec<Value> = agents.into_iter().map(|agent| agent.learned).collect();
    for fields in learned.iter_mut().filter_map(Value::as_object_mut) {
        fields.remove("means");
        fields.remove("visits");
        fields.remove("deferral_visits");
        for state in fields.get_mut("states").and_then(Value::as_array_mut).into_iter().flatten() {
            let visits = state["visits"].as_array().unwrap().iter().filter_map(Value::as_u64);
            state["visits"] = visits.sum::<u64>().into();
        }
    }
    learned
}

/// Plays a run without any service. Psi-field's commands are carried out after its first episode, and after the second
/// one another swarm goes on from the written state.
fn outcome(run: &NewRun) -> Outcome {
    let plan = RunPlan::new(run).unwrap();
    let env = &plan.environment;
    let mut swarm = Swarm::new(plan.swarm.clone(), env).unwrap();
    let mut report = StepReport::new(env);
    let (mut own, mut fixed) = (Frontier::new(), Frontier::new());
    for e in 0..run.episodes {
        let seed = run.seed + u64::from(e);
        let mut episode = Episode::new(env, seed, plan.reward);
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, plan.reward, &mut report) {
            for (digest, frontier) in [(plan.digest, &mut own), (Hash([7; 32]), &mut fixed)] {
                let at = Position { run: digest, episode: e, first_sequence: frontier.len() };
                for decision in decisions(env, at, &report) {
                    frontier.push(canonical_leaf_hash(&decision).unwrap());
                }
            }
        }
        swarm.end_episode();
        if e == 0 {
            swarm.apply(Command::Nigredo { kept: 0.0 }, &[0]);
            swarm.apply(Command::Albedo { factor: 2.0, max: 0.5, windows: 15 }, &[1]);
        }
        if e == 1 {
            let written = serde_json::to_string(&swarm.state()).unwrap();
            let state: SwarmState = serde_json::from_str(&written).unwrap();
            swarm = Swarm::new(plan.swarm.clone(), env).unwrap();
            swarm.restore(&state).unwrap();
        }
    }
    Outcome {
        digest: plan.digest,
        run_root: Hash(own.root()),
        decisions_root: Hash(fixed.root()),
        knowledge_sha256: sha256(&canonical_json(&first_form(swarm.knowledge())).unwrap()),
    }
}

fn assert_unchanged(preset: &str) {
    let mut golden: BTreeMap<String, Outcome> = serde_json::from_str(GOLDEN).unwrap();
    golden.retain(|name, _| name.ends_with(preset));
    let played = |(name, run): (String, Value)| (name, outcome(&serde_json::from_value(run).unwrap()));
    let now: BTreeMap<String, Outcome> = runs_on(preset).into_iter().map(played).collect();
    let changed: BTreeMap<_, _> =
        now.iter().filter(|(name, outcome)| golden.get(*name) != Some(*outcome)).collect();
    assert!(changed.is_empty(), "changed: {}", serde_json::to_string_pretty(&changed).unwrap());
    assert_eq!(golden.len(), now.len(), "a pinned run is no longer played");
}

#[test]
fn runs_on_contended_decide_and_learn_what_they_always_did() {
    assert_unchanged("contended");
}

#[test]
fn runs_on_congested_decide_and_learn_what_they_always_did() {
    assert_unchanged("congested");
}

#[test]
fn runs_on_drifting_decide_and_learn_what_they_always_did() {
    assert_unchanged("drifting");
}
