//! Runs that begin with a prior.

use api::{
    Hash,
    trainer::{AlgorithmSpec, EnvironmentSpec, NewRun, RunStatus},
};
use policy::{MetaTraining, PRIOR_FORMAT, Prior, Swarm, SwarmConfig, WorldRange, registry::Learner};
use routing_env::{Environment, Preset, Reward};
use serde_json::json;

use crate::support::{Stack, small_run};

/// What cem comes to in two episodes of another preset.
fn prior() -> Vec<u8> {
    let env = Environment::built_in(Preset::Overloaded).with_steps(90);
    let mut swarm = Swarm::new(SwarmConfig::new("cem", &json!({}), 1).unwrap(), &env).unwrap();
    (1..=2).for_each(|seed| drop(swarm.play(&env, seed, Reward::EXCESS_COST)));
    let (cem, known) = (Learner::find("cem").unwrap(), swarm.knowledge().remove(0));
    let worlds = WorldRange { first_seed: 0, count: 1 };
    let prior = Prior {
        format: PRIOR_FORMAT.into(),
        algorithm: "cem".into(),
        start: cem.pool(&[(&env, &known)]).unwrap(),
        learning: cem.ways().remove(0),
        meta_training: MetaTraining {
            worlds,
            validation: worlds,
            seed: 1,
            rounds: 1,
            episodes: 2,
            steps_per_episode: 90,
        },
    };
    serde_json::to_vec(&prior).unwrap()
}

fn run_with(prior: Option<Hash>) -> NewRun {
    let environment = EnvironmentSpec { preset: Some("contended".into()), ..EnvironmentSpec::default() };
    let algorithm = Some(AlgorithmSpec::new("cem", json!({})));
    NewRun { algorithm, environment, prior, ..small_run() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_a_prior_is_another_run_and_resumes_with_it_on_a_fresh_stack() {
    let first = Stack::start().await;
    let name = Some(first.ledger.put_artifact(&prior()));
    let whole = first.play(&run_with(name)).await;
    assert_eq!(whole.status, RunStatus::Completed, "{:?}", whole.error);
    assert_eq!(whole.config.prior, name);
    let policy = policy::PolicyFile::parse(&first.artifact(whole.policy_sha256)).unwrap();
    assert_eq!(policy.training.prior, name.map(|name| name.to_string()));
    let scratch = first.play(&run_with(None)).await;
    assert_ne!((whole.digest, whole.run_root), (scratch.digest, scratch.run_root));

    let stopped = first.play(&NewRun { stop_after: Some(2), seed: 900, ..run_with(name) }).await;
    let undisturbed = first.play(&NewRun { seed: 900, ..run_with(name) }).await;
    let second = Stack::start().await;
    let file = first.artifact(stopped.checkpoint.map(|c| c.sha256));
    let resume_from = Some(second.ledger.put_artifact(&file));
    let going_on = NewRun { resume_from, seed: 900, ..run_with(name) };
    let error = second.client().create_run(&going_on, None).await.unwrap_err().to_string();
    assert!(error.contains("/prior") && error.contains("PUT the prior there first"), "{error}");
    second.ledger.put_artifact(&prior());
    let resumed = second.play(&going_on).await;
    assert_eq!((resumed.status, resumed.run_root), (RunStatus::Completed, undisturbed.run_root));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prior_that_does_not_fit_is_refused_before_the_run_is_recorded() {
    let stack = Stack::start().await;
    let refused = async |run: NewRun| {
        let error = stack.client().create_run(&run, None).await.unwrap_err();
        assert_eq!(error.status(), Some(422), "{error}");
        error.to_string()
    };
    let good = stack.ledger.put_artifact(&prior());
    let afterstate = Some(AlgorithmSpec::new("afterstate", json!({})));
    let error = refused(NewRun { algorithm: afterstate, ..run_with(Some(good)) }).await;
    assert!(error.contains("expected a prior of afterstate, found one of cem"), "{error}");
    let rule = Some(AlgorithmSpec::new("cheapest", json!({})));
    let error = refused(NewRun { algorithm: rule, ..run_with(Some(good)) }).await;
    assert!(error.contains("expected a prior of cheapest, found one of cem"), "{error}");
    let bad = stack.ledger.put_artifact(b"{\"format\":\"ai-mesh-policy/2\"}");
    let error = refused(run_with(Some(bad))).await;
    assert!(error.contains("expected the format ai-mesh-prior/1"), "{error}");
    assert!(stack.ledger.records_of("run.created").is_empty());
}
