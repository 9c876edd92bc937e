//! Writes what fuzzing starts from: valid inputs of each target, to the folder that is named.

use std::{fs, io, ops::Range, path::Path};

use ai_mesh_fuzz::{
    RECORDS, SIGNER, evidence,
    federation::{ByName, author, contribution, node, swarm, unlearned},
    field::ordinary_windows,
    head, leaves,
    markets::{CATALOG, SMALL, WORKLOADS, learners, train},
    naive,
};
use api::trainer::{AgentState, EpisodeMetrics};
use federation::{Advised, Exclusion, Gossip, Message, gossip::roots};
use merkle_log::{
    canonical_json, cosignature::Cosigner, proof::consistency_ranges, tlog_proof::TlogProof,
    witness::AddCheckpoint,
};
use policy::{
    MetaTraining, PRIOR_FORMAT, PolicyFile, Prior, Rule, Swarm, SwarmConfig, Training, WorldRange,
    registry::LEARNERS,
};
use psi::{Field, Settings};
use routing_env::{Catalog, Workloads};
use serde_json::{Value, json};
use trainer::{
    checkpoint::{CHECKPOINT_FORMAT, CheckpointDocument},
    run_config::RunPlan,
};

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| io::Error::other("expected a folder"))?;
    for (target, seeds) in [
        ("add_checkpoint", add_checkpoints()),
        ("canonical_json", RECORDS.map(str::to_owned).into()),
        ("catalog", vec![CATALOG.to_owned(), text(&Catalog::built_in())]),
        ("contribution", contributions()),
        ("evidence", (0..RECORDS.len()).map(evidence).collect()),
        ("gossip", messages()),
        ("log_checkpoint", vec![head().to_text(), note(), format!("{}extension\n", head().to_text())]),
        ("metrics_csv", vec![metrics_csv()]),
        ("note", vec![note(), SIGNER.to_secret_text(), SIGNER.verifier_key().to_string()]),
        ("policy_file", policy_files()),
        ("prior", priors()),
        ("run_checkpoint", run_checkpoints()),
        ("run_request", run_requests().iter().map(Value::to_string).collect()),
        ("snapshot", snapshots()),
        ("tlog_proof", (0..RECORDS.len()).map(tlog_proof).collect()),
        ("trace", traces()),
        ("trust_policy", vec![trust_policy()]),
        ("workloads", workloads()),
    ] {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder)?;
        for (i, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{i}")), seed)?;
        }
    }
    Ok(())
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("it can be written")
}

fn note() -> String {
    head().sign(&SIGNER).expect("an origin without control characters")
}

/// From nothing, and from each smaller tree.
fn add_checkpoints() -> Vec<String> {
    let leaves = leaves();
    let request = |old: usize| {
        // From nothing there is nothing to prove.
        let ranges = consistency_ranges(old as u64, leaves.len() as u64).unwrap_or_default();
        let root = |range: Range<u64>| naive::root(&leaves[range.start as usize..range.end as usize]);
        let proof = ranges.into_iter().map(root).collect();
        AddCheckpoint { old: old as u64, proof, checkpoint: note() }.to_text()
    };
    (0..=leaves.len()).map(request).collect()
}

fn tlog_proof(index: usize) -> String {
    let path = naive::path(index, &leaves());
    let extra = Some(RECORDS[index].as_bytes().to_vec());
    TlogProof { extra, index: index as u64, path, checkpoint: note() }.to_text()
}

/// The example of C2SP tlog-policy.
fn trust_policy() -> String {
    let mut text = format!("log {}\n", SIGNER.verifier_key());
    for (seed, name) in (1..).zip(["X1", "X2", "X3", "Y1", "Y2", "Y3"]) {
        let cosigner = Cosigner::new(name, &[seed; 32]).expect("a name without spaces");
        text.push_str(&format!("witness {name} {}\n", cosigner.witness_key()));
    }
    text + "group X 2 X1 X2 X3\ngroup Y any Y1 Y2 Y3\ngroup both all X Y\nquorum both\n"
}

/// What each learner has seen, and what the adaptive one would have seen of nothing.
fn contributions() -> Vec<String> {
    let sealed = LEARNERS.iter().map(|learner| contribution(author(2), learner.name, 1));
    let mut texts: Vec<String> =
        sealed.map(|sealed| String::from_utf8_lossy(sealed.bytes()).into_owned()).collect();
    let mut of_nothing: Value = serde_json::from_str(&texts[0]).expect("JSON");
    of_nothing["knowledge"] = serde_json::to_value(unlearned("adaptive")).expect("JSON");
    texts.push(text(&of_nothing));
    // canonical, as they are taken
    let canonical = |text: &String| {
        let value: Value = serde_json::from_str(text).expect("JSON");
        String::from_utf8_lossy(&canonical_json(&value).expect("it has canonical JSON")).into_owned()
    };
    texts.iter().map(canonical).collect()
}

/// One of each kind, as two nodes tell each other.
fn messages() -> Vec<String> {
    let held = [contribution(author(1), "cem", 1), contribution(author(2), "cem", 3)];
    let (mut one, mut other) = (node(author(1), &held[..1]), node(author(2), &held[1..]));
    let exclusion = Exclusion { author: author(3), from_sequence: 1, reason: "it lies".into() };
    other.advise(Advised { by: author(2), version: 1, exclusion, stands: true }, json!(author(2)));
    let mut messages = vec![Message::Roots { roots: roots(&other), answer: false }];
    messages.push(Message::Heads {
        entries: other.heads().entries().collect(),
        advice: other.proved_advice().collect(),
        answer: false,
    });
    let (mut gossip, mut replies) = (Gossip::new(vec![author(2)]), Vec::new());
    for message in messages.clone() {
        gossip.receive(&mut one, &author(2), message, &ByName, &mut replies);
    }
    messages.extend(replies.into_iter().map(|(_, message)| message));
    let wanted = Message::Want { artifact: held[1].name(), have: vec![] };
    let mut answers = Vec::new();
    Gossip::new(vec![author(1)]).receive(&mut other, &author(1), wanted, &ByName, &mut answers);
    messages.extend(answers.into_iter().map(|(_, message)| message));
    messages.iter().map(text).collect()
}

/// Of every learner that can pool what it learned.
fn priors() -> Vec<String> {
    let prior = |learner: &policy::registry::Learner| {
        let mut swarm = swarm(learner.name)?;
        train(&mut swarm, &SMALL);
        let known = swarm.knowledge().pop()?;
        let worlds = WorldRange { first_seed: 0, count: 1 };
        let prior = Prior {
            format: PRIOR_FORMAT.into(),
            algorithm: learner.name.into(),
            start: learner.pool(&[(&SMALL, &known)]).ok()?,
            learning: learner.ways().into_iter().next()?,
            meta_training: MetaTraining {
                worlds,
                validation: worlds,
                seed: 1,
                rounds: 1,
                episodes: 3,
                steps_per_episode: 3,
            },
        };
        Some(text(&prior))
    };
    LEARNERS.iter().filter_map(prior).collect()
}

fn metrics_csv() -> String {
    let columns = "episode,avg_reward,fill_rate,gpu_hours_fill,avg_cost_usd,avg_latency_ms,epsilon,q_table_size,psi,\
                   continuity,prediction_error,interventions,cost_index";
    format!(
        "{columns}\n0,31.5,0.9,0.8,12,210,0.1,7,0.9,0.8,0.1,0,1.1\n1,,0.95,0.85,11,,0.1,9,,,,1,\n2,33,0.97,,10.5,205,0,9,0.5,1,0,0,1\n"
    )
}

/// One of each learner, one of a rule, and those of the first version.
fn policy_files() -> Vec<String> {
    let training = || Training {
        preset: "default".into(),
        reward: "excess-cost".into(),
        preference: None,
        first_seed: 1,
        episodes: 3,
        decisions: 60,
        prior: None,
    };
    let file = |mut swarm: Swarm| {
        train(&mut swarm, &SMALL);
        PolicyFile::new(&swarm, &SMALL, training())
    };
    let swarm = |algorithm: &str, settings: Value| {
        let config = SwarmConfig::new(algorithm, &settings, 2).expect("settings within their ranges");
        Swarm::new(config, &SMALL).expect("two providers are not too many")
    };
    let mut files: Vec<PolicyFile> =
        learners().map(|(algorithm, settings)| file(swarm(algorithm, settings))).collect();
    files.push(file(Swarm::of_rule(Rule::BidPrice, &SMALL)));
    let mut texts: Vec<String> = files.iter().map(text).collect();
    texts.extend(
        files.iter().map(|file| first_version(&serde_json::to_value(file).expect("JSON")).to_string()),
    );
    texts
}

/// A file in the first format: the swarm's settings stand beside its algorithm's name, and knowledge stands alone.
fn first_version(file: &Value) -> Value {
    let mut file = file.clone();
    let algorithm = file["swarm"]["algorithm"].clone();
    let mut swarm = json!({"algorithm": algorithm["name"], "agents": file["swarm"]["agents"], "learning_rate": 0.1,
        "discount": 0.99, "epsilon": 0.1, "feasibility_mask": true, "merge_every": 0});
    swarm["replay"] = json!({"capacity": 2000, "batch_size": 32});
    file["format"] = "ai-mesh-policy/1".into();
    file["swarm"] = swarm;
    for agent in file["agents"].as_array_mut().into_iter().flatten() {
        *agent = agent["learned"].take();
    }
    file
}

/// Small runs of each learner, in both forms in which settings may be told.
fn run_requests() -> Vec<Value> {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let environment = json!({"providers": json(CATALOG), "workloads": json(WORKLOADS)});
    let run = |algorithm: Value| {
        json!({"agents": 2, "episodes": 4, "steps_per_episode": 3, "algorithm": algorithm,
        "seed": 7, "environment": environment, "psi_field": "off"})
    };
    let named = |(name, mut algorithm): (&str, Value)| {
        algorithm["name"] = name.into();
        run(algorithm)
    };
    let mut runs: Vec<Value> = learners().map(named).collect();
    let mut flat = run(json!("q-learning"));
    flat["learning_rate"] = json!(0.2);
    flat["replay"] = json!({"capacity": 50});
    runs.extend([
        flat,
        run(json!("bid-price")),
        json!({"environment": {"preset": "drifting"}, "reward": "excess-cost"}),
    ]);
    runs
}

/// Each of those runs after an episode.
fn run_checkpoints() -> Vec<String> {
    let runs = run_requests().into_iter().filter(|run| run["episodes"] == 4);
    let checkpoint = |run: Value| {
        let plan = RunPlan::new(&serde_json::from_value(run).expect("a run")).expect("a valid run");
        let mut swarm = Swarm::new(plan.swarm.clone(), &plan.environment).expect("a small catalog");
        swarm.play(&plan.environment, plan.run.seed, plan.reward);
        let agent = |agent| AgentState {
            agent,
            q_table_size: 0,
            avg_reward: None,
            epsilon: 0.1,
            decisions: 0,
            trust: None,
        };
        let document = CheckpointDocument {
            format: CHECKPOINT_FORMAT.into(),
            digest: plan.digest,
            episodes_done: 1,
            windows_done: plan.run.steps_per_episode.into(),
            decisions: 0,
            frontier: merkle_log::Frontier::new(),
            swarm: swarm.state(),
            field: None,
            pending_acknowledgements: vec![],
            pending_trials: vec![],
            windows_tried: 0,
            episodes: vec![EpisodeMetrics::default()],
            agents: (0..plan.run.agents).map(agent).collect(),
            reproducible: true,
            content_sha256: None,
            config: CheckpointDocument::config_of(&plan.run),
        };
        text(&document)
    };
    runs.map(checkpoint).collect()
}

fn snapshots() -> Vec<String> {
    let mut field = Field::new("swarm", "life", Settings { warm_up_windows: 5, ..Settings::default() });
    let mut snapshots = Vec::new();
    for round in 0..4 {
        let mut windows = ordinary_windows(field.next_window());
        if round == 2 {
            for window in windows.iter_mut().skip(8) {
                window.swarm.mean_reward = Some(-40.0);
                window.swarm.fill_rate = Some(0.1);
            }
        }
        for window in windows {
            field.step(&window).expect("windows in order");
        }
        snapshots.push(text(&field.snapshot().expect("every figure is finite")));
    }
    snapshots
}

fn traces() -> Vec<String> {
    [
        "step,tenant_id,workload_type,gpu_type,gpu_hours\n0,t,chat,A100,0.5\n0,u,train,H100,2\n2,t,chat,A100,0.25\n",
        "arrival_s,tenant_id,workload_type,gpu_type,gpu_hours,region,max_latency_ms,min_reputation\n\
         0,t,chat,A100,0.5,us,300,50\n59.9,u,train,H100,2,,,\n60,t,chat,A100,1,eu,,\n",
    ]
    .map(str::to_owned)
    .into()
}

fn workloads() -> Vec<String> {
    let with = |changes: Value| {
        let mut workloads: Value = serde_json::from_str(WORKLOADS).expect("JSON");
        for (key, value) in changes.as_object().into_iter().flatten() {
            workloads[key] = value.clone();
        }
        workloads.to_string()
    };
    let event = |event: &str, figure: &str, value: f64| json!({"step": 0, "event": event, "provider_id": "a", figure: value});
    let events = [
        event("latency_spike", "delta_ms", 80.0),
        event("capacity_surge", "multiplier", 0.5),
        event("price_spike", "multiplier", 1.5),
        event("reputation_drop", "delta", -9.0),
        json!({"step": 1, "event": "outage", "provider_id": "b", "duration": 2}),
    ];
    let catalog = Catalog::parse("catalog", CATALOG).expect("a valid catalog");
    let hidden = with(json!({"knowledge": "hidden", "arrival_order": "shuffled", "demand_multiplier": 1.5}));
    Workloads::parse("workloads", &hidden, &catalog).expect("valid workloads");
    vec![WORKLOADS.to_owned(), with(json!({"random_events": 0, "scenarios": events})), hidden]
}
