//! What a run leaves behind, and what callers see of it.

use api::{
    remembrancer::{Action, NewRecord},
    trainer::{
        AlgorithmSpec, EnvironmentSpec, Interventions, MetricsQuery, NewRewind, NewRun, PsiFieldMode,
        Recording, Resolution, RunQuery, RunStatus,
    },
};
use client::PageQuery;
use merkle_log::{Frontier, canonical_leaf_hash};
use policy::PolicyFile;
use serde_json::json;
use test_support::eventually;
use trainer::{checkpoint::CheckpointDocument, run_config::RunPlan};

use crate::support::{Stack, slow, small_run};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_with_all_its_decisions_in_the_ledger_in_order() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    assert_eq!(run.status, RunStatus::Completed, "{:?}", run.error);
    assert!(run.reproducible);

    let decisions = stack.ledger.decisions(run.digest);
    assert!(decisions.len() > 100);
    assert!(decisions.iter().map(|d| d.sequence).eq(0..decisions.len() as u64));
    assert!(decisions.is_sorted_by_key(|d| (d.episode, d.step)));
    assert_eq!((decisions.last().unwrap().episode, decisions.last().unwrap().step), (3, 4));
    assert_eq!(decisions.last().unwrap().policy_version, 19);
    assert!(decisions.iter().any(|d| d.action == Action::Route));
    assert_eq!(run.progress.decisions, decisions.len() as u64);
    assert_eq!(run.progress.decisions_recorded, decisions.len() as u64);
    assert_eq!(run.progress.episodes_done, 4);

    let root: Frontier = decisions.iter().map(|d| canonical_leaf_hash(d).unwrap()).collect();
    assert_eq!(run.run_root.unwrap().0, root.root());

    let ids: Vec<_> = stack.ledger.records().into_iter().map(|record| record.id).collect();
    let event = |event: &str| format!("{}:{event}", run.id);
    assert_eq!(ids, ["created", "checkpoint:2", "checkpoint:4", "completed"].map(event));
    let last = stack.ledger.record(&event("completed")).unwrap();
    assert_eq!(last.subject, format!("run:{}", run.id));
    assert_eq!(last.body["run_root"], json!(run.run_root));
    assert_eq!(last.body["digest"], json!(run.digest));
    assert_eq!(last.body["policy_sha256"], json!(run.policy_sha256));
    assert_eq!(last.body["checkpoint_sha256"], json!(run.checkpoint.unwrap().sha256));
    assert_eq!(run.record_id, Some(event("completed")));

    let policy = PolicyFile::parse(&stack.artifact(run.policy_sha256)).unwrap();
    assert_eq!(policy.training_seeds(), 7..11);
    assert_eq!(policy.training.decisions, decisions.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_an_intervention_is_tried_and_told_with_what_it_was_worth() {
    let stack = Stack::start().await;
    let run = stack.play(&NewRun { interventions: None, ..small_run() }).await;
    assert_eq!(run.config.interventions, Some(Interventions::Tried));
    let trials = stack.field.trials();
    assert!(trials.len() >= 3, "the stand-in is to intervene often, got {}", trials.len());
    assert!(stack.field.acknowledged().is_empty(), "nothing is applied untried");
    let first = trials[0].effect.as_ref().expect("the first is tried");
    assert_eq!(first.windows, 40);
    assert_eq!(trials[0].adopted, first.difference_ci_low > 0.0);
    let untried = trials.iter().filter(|trial| trial.effect.is_none());
    assert!(untried.clone().count() > 0, "a run as short as this has not the time to try them all");
    assert!(untried.clone().all(|trial| !trial.adopted), "and takes none on faith");
    let applied = stack.client().interventions(run.id, &PageQuery::default()).await.unwrap().items;
    assert_eq!(applied.len(), trials.iter().filter(|trial| trial.adopted).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_about_interventions_where_there_can_be_none_is_refused() {
    let stack = Stack::start().await;
    for (algorithm, psi_field) in
        [("q-learning", PsiFieldMode::Off), ("weighted-score", PsiFieldMode::Required)]
    {
        let run = NewRun {
            algorithm: Some(algorithm.into()),
            psi_field,
            interventions: Some(Interventions::Tried),
            ..small_run()
        };
        let error = stack.client().create_run(&run, None).await.unwrap_err();
        assert_eq!(error.status(), Some(422), "{error}");
        assert!(error.to_string().contains("/interventions"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_window_is_told_once_and_its_interventions_are_applied_and_acknowledged() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let id = run.id.to_string();
    assert_eq!(stack.field.posted(), (0..20).map(|window| (id.clone(), window)).collect::<Vec<_>>());

    let applied = stack.client().interventions(run.id, &PageQuery::default()).await.unwrap().items;
    assert!(applied.len() >= 3, "the stand-in is to intervene often, got {}", applied.len());
    // What the last window's answer carried has no window left that could acknowledge it.
    let acknowledgeable = applied.iter().filter(|i| i.issued_at_window < 19).map(|i| i.id);
    assert_eq!(stack.field.acknowledged(), acknowledgeable.collect::<Vec<_>>());

    let windows = MetricsQuery { resolution: Resolution::Window, ..MetricsQuery::default() };
    let windows = stack.client().window_metrics(run.id, &windows).await.unwrap().items;
    assert_eq!(windows.len(), 20);
    assert_eq!(windows.iter().map(|w| w.interventions as usize).sum::<usize>(), applied.len());
    assert_eq!(windows[0].prediction_error, None);
    assert!(windows.iter().all(|w| w.psi.is_some()));
    let episodes = stack.client().episode_metrics(run.id, &MetricsQuery::default()).await.unwrap().items;
    assert_eq!(episodes.iter().map(|e| e.interventions as usize).sum::<usize>(), applied.len());
    assert_eq!(episodes[3].psi, windows[19].psi);
}

#[tokio::test(flavor = "multi_thread")]
async fn psi_field_is_told_when_a_run_ends_however_it_ends() {
    let stack = Stack::start().await;
    let completed = stack.play(&small_run()).await;
    let stopped = stack.play(&NewRun { stop_after: Some(2), seed: 8, ..small_run() }).await;
    let best_effort = NewRun { psi_field: PsiFieldMode::BestEffort, seed: 9, ..small_run() };
    let best_effort = stack.play(&best_effort).await;
    stack.field.faults().set(slow(4));
    let cancelled = NewRun { episodes: 100, seed: 10, ..small_run() };
    let cancelled = stack.client().create_run(&cancelled, None).await.unwrap();
    stack.has_windows(cancelled.id, 3).await;
    assert!(!stack.field.has_ended(&cancelled.id.to_string()));
    stack.client().cancel_run(cancelled.id).await.unwrap();
    let cancelled = stack.ended(cancelled.id).await;
    for run in [completed, stopped, best_effort, cancelled] {
        assert!(stack.field.has_ended(&run.id.to_string()), "{:?}", run.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_the_catalog_does_not_have_is_told_as_assumed_in_the_answer_and_in_every_decision() {
    let stack = Stack::start().await;
    let mut catalog = serde_json::to_value(routing_env::Catalog::built_in()).unwrap();
    catalog["providers"][3]["base_price_usd_per_hour"] = json!({});
    let environment =
        EnvironmentSpec { preset: Some("contended".into()), providers: Some(catalog), workloads: None };
    let run = NewRun { algorithm: Some("random".into()), environment, ..small_run() };
    let run = stack.play(&run).await;
    assert_eq!(run.status, RunStatus::Completed, "{:?}", run.error);
    let told: Vec<_> =
        run.assumed_prices.iter().map(|a| (a.provider.as_str(), a.gpu_type.as_str())).collect();
    assert_eq!(told, [("flux", "A100")]);
    let decisions = stack.ledger.decisions(run.digest);
    assert!(decisions.iter().all(|d| d.price_assumed == (d.provider.as_deref() == Some("flux"))));
    assert!(decisions.iter().any(|d| d.price_assumed));
    assert!(stack.play(&small_run()).await.assumed_prices.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_run_gives_the_same_bytes_on_another_stack() {
    let (one, other) = (Stack::start().await, Stack::start().await);
    let (first, second) = (one.play(&small_run()).await, other.play(&small_run()).await);
    assert_ne!(first.id, second.id);
    assert_eq!((first.digest, first.run_root), (second.digest, second.run_root));
    assert_eq!(one.artifact(first.policy_sha256), other.artifact(second.policy_sha256));
    let metrics = |stack: &Stack, id| {
        let client = stack.client();
        async move { client.metrics_csv(id, &MetricsQuery::default()).await.unwrap() }
    };
    assert_eq!(metrics(&one, first.id).await, metrics(&other, second.id).await);

    let other_seed = other.play(&NewRun { seed: 8, ..small_run() }).await;
    assert_ne!((other_seed.digest, other_seed.run_root), (first.digest, first.run_root));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_without_psi_field_make_the_same_checkpoints_to_the_byte() {
    let (one, other) = (Stack::start().await, Stack::start().await);
    let run = NewRun { psi_field: PsiFieldMode::Off, ..small_run() };
    let (first, second) = (one.play(&run).await, other.play(&run).await);
    assert!(first.reproducible && first.checkpoint.is_some());
    assert_eq!(first.checkpoint, second.checkpoint);
    assert_eq!(one.field.posted(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_run_again_on_the_same_log_doubles_nothing() {
    let stack = Stack::start().await;
    let first = stack.play(&small_run()).await;
    let second = stack.play(&small_run()).await;
    assert_eq!(second.status, RunStatus::Completed, "{:?}", second.error);
    assert_eq!(second.run_root, first.run_root);
    assert_eq!(stack.ledger.decisions(first.digest).len() as u64, first.progress.decisions);
    assert_eq!(stack.ledger.posted(), 2 * first.progress.decisions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_rule_is_recorded_without_learning_or_obeying() {
    let stack = Stack::start().await;
    let run = stack.play(&NewRun { algorithm: Some("cheapest".into()), ..small_run() }).await;
    assert_eq!(run.status, RunStatus::Completed, "{:?}", run.error);
    assert_eq!(run.policy_sha256, None);
    assert!(stack.ledger.decisions(run.digest).iter().all(|d| !d.explored && d.propensity == 1.0));
    assert_eq!(stack.client().interventions(run.id, &PageQuery::default()).await.unwrap().items, []);
    assert!(stack.field.acknowledged().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_recorded_has_the_same_root_and_leaves_no_decision() {
    let stack = Stack::start().await;
    let unrecorded = stack.play(&NewRun { recording: Recording::None, ..small_run() }).await;
    assert_eq!(unrecorded.status, RunStatus::Completed, "{:?}", unrecorded.error);
    assert_eq!(stack.ledger.posted(), 0);
    assert_eq!(unrecorded.progress.decisions_recorded, 0);
    let recorded = stack.play(&small_run()).await;
    assert_eq!((unrecorded.digest, unrecorded.run_root), (recorded.digest, recorded.run_root));
    assert_eq!(unrecorded.policy_sha256, recorded.policy_sha256);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_come_as_csv_with_the_agreed_columns_and_in_json_pages() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let csv = stack.client().metrics_csv(run.id, &MetricsQuery::default()).await.unwrap();
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with(
        "episode,avg_reward,fill_rate,gpu_hours_fill,avg_cost_usd,avg_latency_ms,epsilon,q_table_size,psi,\
         continuity,prediction_error,interventions,"
    ));
    assert_eq!(lines.count(), 4);

    let url = format!("{}/v1/runs/{}/metrics", stack.url(), run.id);
    let by_accept = test_support::http_client().get(&url).header("accept", "text/csv").send().await.unwrap();
    assert_eq!(by_accept.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(by_accept.text().await.unwrap(), csv);

    let query = MetricsQuery { limit: Some(3), ..MetricsQuery::default() };
    let first = stack.client().episode_metrics(run.id, &query).await.unwrap();
    assert_eq!((first.items.len(), first.next_cursor.as_deref()), (3, Some("3")));
    let rest = MetricsQuery { from: Some(3), ..query };
    let rest = stack.client().episode_metrics(run.id, &rest).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].episode, rest.next_cursor), (1, 3, None));

    let agents = stack.client().agents(run.id, &PageQuery::default()).await.unwrap().items;
    assert_eq!(agents.len(), 3);
    assert_eq!(agents.iter().map(|a| a.decisions).sum::<u64>(), run.progress.decisions);
    assert!(agents.iter().all(|a| a.avg_reward.is_some()));
    // whom the field has made to forget knows nothing
    assert!(agents.iter().any(|a| a.q_table_size > 0), "{agents:?}");
    let checkpoints = stack.client().checkpoints(run.id, &PageQuery::default()).await.unwrap().items;
    assert_eq!(checkpoints.iter().map(|c| c.episodes_done).collect::<Vec<_>>(), [2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkpoint_document_holds_nothing_of_the_run_that_made_it() {
    let stack = Stack::start().await;
    let run = stack.play(&NewRun { stop_after: Some(3), ..small_run() }).await;
    assert_eq!(run.status, RunStatus::Stopped);
    let bytes = stack.artifact(run.checkpoint.map(|c| c.sha256));
    assert!(!String::from_utf8(bytes.clone()).unwrap().contains(&run.id.to_string()));
    let document = CheckpointDocument::parse(&bytes).unwrap();
    assert_eq!((document.episodes_done, document.windows_done), (3, 15));
    assert_eq!(document.config, RunPlan::new(&small_run()).unwrap().run);
    assert_eq!(document.field.unwrap().next_window, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_sees_what_the_swarm_does() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let text = test_support::get(format!("{}/metrics", stack.url())).await.unwrap().text().await.unwrap();
    assert!(text.contains(&format!("ai_mesh_decisions_total {}", run.progress.decisions)), "{text}");
    eventually("the registry counts the run", async || {
        let text = test_support::get(format!("{}/metrics", stack.url())).await.unwrap().text().await.unwrap();
        if text.contains("ai_mesh_runs{status=\"completed\"} 1") { Ok(()) } else { Err(text) }
    })
    .await;
    for name in
        ["ai_mesh_avg_reward ", "ai_mesh_fill_rate_ratio ", "ai_mesh_epsilon_ratio ", "ai_mesh_avg_cost_usd "]
    {
        assert!(text.contains(&format!("\n{name}")), "{name} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_stands_for_one_run() {
    let stack = Stack::start().await;
    let client = stack.client();
    let first = client.create_run(&small_run(), Some("key-1")).await.unwrap();
    let again = client.create_run(&small_run(), Some("key-1")).await.unwrap();
    assert_eq!(first.id, again.id);
    let other = client.create_run(&NewRun { seed: 9, ..small_run() }, Some("key-1")).await.unwrap_err();
    assert_eq!((other.status(), other.code()), (Some(422), Some("idempotency_key_reused")));
    let run = small_run();
    let both = tokio::join!(client.create_run(&run, Some("key-2")), client.create_run(&run, Some("key-2")));
    assert_eq!(both.0.unwrap().id, both.1.unwrap().id);
    assert_eq!(client.runs(&RunQuery::default()).await.unwrap().items.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_wait_for_their_turn_and_are_listed_newest_first() {
    let mut stack = Stack::without_trainer().await;
    stack.max_concurrent_runs = 1;
    stack.start_trainer().await;
    stack.ready().await;
    stack.field.faults().set(slow(20));
    let client = stack.client();
    let mut ids = Vec::new();
    for seed in 0..3 {
        ids.push(client.create_run(&NewRun { seed, ..small_run() }, None).await.unwrap().id);
    }
    stack.until(ids[0], "is at work", |run| run.status == RunStatus::Running).await;
    assert_eq!(stack.run(ids[1]).await.status, RunStatus::Queued);

    let first = client.runs(&RunQuery { limit: Some(2), ..RunQuery::default() }).await.unwrap();
    assert_eq!(first.items.iter().map(|run| run.id).collect::<Vec<_>>(), [ids[2], ids[1]]);
    let query = RunQuery { limit: Some(2), cursor: first.next_cursor, ..RunQuery::default() };
    let second = client.runs(&query).await.unwrap();
    assert_eq!(second.items.iter().map(|run| run.id).collect::<Vec<_>>(), [ids[0]]);
    assert_eq!(second.next_cursor, None);

    // One that waits is cancelled at once, one that plays after its episode.
    client.cancel_run(ids[2]).await.unwrap();
    let cancelled = stack.ended(ids[2]).await;
    assert_eq!((cancelled.status, cancelled.progress.decisions), (RunStatus::Cancelled, 0));
    assert!(!stack.run(ids[0]).await.status.is_final());
    client.cancel_run(ids[0]).await.unwrap();
    let cut = stack.ended(ids[0]).await;
    assert_eq!(cut.status, RunStatus::Cancelled);
    assert!((1..4).contains(&cut.progress.episodes_done), "{}", cut.progress.episodes_done);
    assert_eq!(cut.checkpoint.unwrap().episodes_done, cut.progress.episodes_done);
    assert!(stack.ledger.record(&format!("{}:cancelled", ids[0])).is_some());

    let again = client.cancel_run(ids[0]).await.unwrap_err();
    assert_eq!((again.status(), again.code()), (Some(409), Some("run_already_ended")));
    let query = RunQuery { status: Some(RunStatus::Cancelled), ..RunQuery::default() };
    assert_eq!(client.runs(&query).await.unwrap().items.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_told_where_it_is_wrong() {
    let stack = Stack::start().await;
    let http = test_support::http_client();
    let url = format!("{}/v1/runs", stack.url());
    let missing = "00".repeat(32);
    let no_checkpoint = stack.ledger.put_artifact(b"{\"format\":\"x\"}").to_string();
    for (body, status, pointer) in [
        (json!({"agents": 0}), 422, "/agents"),
        (json!({"agents": 1001}), 422, "/agents"),
        (json!({"episodes": 0}), 422, "/episodes"),
        (json!({"learning_rate": 0}), 422, "/learning_rate"),
        (json!({"discount": 1.5}), 422, "/discount"),
        (json!({"epsilon": -0.1}), 422, "/epsilon"),
        (json!({"seed": 4_294_967_290_u64}), 422, "/seed"),
        (json!({"algorithm": "magic"}), 422, "/algorithm"),
        (json!({"reward": "money"}), 422, "/reward"),
        (json!({"algorithm": "q-learning", "replay": {"capacity": 0}}), 422, "/replay/capacity"),
        (json!({"algorithm": {"name": "q-learning", "replay": {"size": 9}}}), 422, "/algorithm/replay/size"),
        (json!({"algorithm": {"name": "q-learning", "epsilon": 0.1}, "epsilon": 0.1}), 422, "/epsilon"),
        (json!({"algorithm": {"epsilon": 0.1}}), 422, "/algorithm"),
        (json!({"checkpoint_every": 0}), 422, "/checkpoint_every"),
        (json!({"stop_after": 0}), 422, "/stop_after"),
        (json!({"environment": {"preset": "easy"}}), 422, "/environment/preset"),
        (json!({"environment": {"providers": {"providers": []}}}), 422, "/environment/providers/providers"),
        (json!({"environment": {"workloads": {"tenants": 3}}}), 422, "/environment/workloads/tenants"),
        (json!({"resume_from": missing}), 422, "/resume_from"),
        (json!({"resume_from": no_checkpoint}), 422, "/resume_from"),
        (json!({"resume_from": "xyz"}), 422, "/resume_from"),
        (json!({"fork": {"checkpoint": missing}}), 422, "/fork/checkpoint"),
        (json!({"fork": {"checkpoint": no_checkpoint}}), 422, "/fork/checkpoint"),
        (json!({"name": "two\nlines"}), 422, "/name"),
        (json!({"tags": ["a", "a"]}), 422, "/tags"),
    ] {
        let answer = http.post(&url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
        let problem: api::Problem = answer.json().await.unwrap();
        assert!(problem.errors.iter().any(|error| error.pointer == pointer), "{body}: {problem:?}");
    }
    let nothing_to_adaptive = json!({"learning_rate": 0.9, "replay": {"kind": "prioritized"}, "feasibility_mask": false,
        "merge_every": 5});
    let answer = http.post(&url).json(&nothing_to_adaptive).send().await.unwrap();
    let problem: api::Problem = answer.json().await.unwrap();
    let places: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(places, ["/learning_rate", "/replay", "/feasibility_mask", "/merge_every"]);
    assert!(problem.detail.contains("adaptive has no such setting: expected one of epsilon"), "{problem:?}");
    let answer = http.post(&url).json(&json!({"agnets": 3})).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    let answer = http.post(&url).header("idempotency-key", "").json(&json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    for path in ["", "/metrics", "/events", "/agents", "/interventions", "/checkpoints"] {
        let answer = http.get(format!("{url}/{}{path}", uuid::Uuid::nil())).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.json::<api::Problem>().await.unwrap().code, "run_not_found");
    }
    assert_eq!(http.get(format!("{url}?cursor=x")).send().await.unwrap().status(), 422);
    assert_eq!(stack.ledger.records().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_holds_other_decisions_under_the_digest_fails_the_run_plainly() {
    let elsewhere = Stack::start().await;
    let run = elsewhere.play(&small_run()).await;
    let mut other = elsewhere.ledger.decisions(run.digest).remove(0);
    other.reward += 1.0;
    let stack = Stack::start().await;
    stack.ledger.plant(other);
    let run = stack.play(&small_run()).await;
    assert_eq!(run.status, RunStatus::Failed);
    let error = run.error.unwrap();
    assert!(error.contains("decision_conflict") && error.contains("another seed"), "{error}");
    assert_eq!(stack.ledger.record(&format!("{}:failed", run.id)).unwrap().body["error"], json!(error));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_that_is_served_is_the_one_that_openapi_makes() {
    let stack = Stack::start().await;
    let served = test_support::get(format!("{}/openapi.json", stack.url())).await.unwrap();
    let served: serde_json::Value = served.json().await.unwrap();
    assert_eq!(served, serde_json::to_value(trainer::openapi()).unwrap());
    let example = &served["components"]["schemas"]["NewRun"]["example"];
    let example: NewRun = serde_json::from_value(example.clone()).unwrap();
    assert_eq!(
        example.environment,
        EnvironmentSpec { preset: Some("contended".into()), ..Default::default() }
    );
}

/// What the first version of the trainer recorded of a run of `cem`: the settings of all learners, and a digest over them.
fn record_of_the_first_version(run: uuid::Uuid, digest: &str) -> NewRecord {
    let config = json!({"agents": 3, "episodes": 4, "steps_per_episode": 40, "algorithm": "cem", "learning_rate": 0.1,
        "discount": 0.99, "epsilon": 0.1, "replay": {"enabled": true, "capacity": 2000, "batch_size": 32},
        "feasibility_mask": true, "reward": "excess-cost", "seed": 11, "environment": {"preset": "contended"},
        "psi_field": "required", "recording": "all", "checkpoint_every": 2});
    serde_json::from_value(
        json!({"id": format!("{run}:created"), "kind": "run", "subject": format!("run:{run}"),
        "body": {"run_id": run, "digest": digest, "environment_sha256": "00".repeat(32), "config": config}}),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_an_earlier_version_began_goes_on_under_its_digest_and_can_be_gone_on_from() {
    let digest = "34fbcb755c074969cb5d2c2c5f82f1998cad12b32618d0edc2694cb6dcacccca";
    let mut stack = Stack::without_trainer().await;
    let id = uuid::Uuid::now_v7();
    let remembrancer = client::Remembrancer::new(client::Endpoint::new(stack.ledger.url())).unwrap();
    remembrancer.post_record(&record_of_the_first_version(id, digest)).await.unwrap();
    stack.start_trainer().await;
    stack.ready().await;
    let run = stack.completed(id).await;
    assert_eq!(run.digest.to_string(), digest);
    assert_eq!(run.config.algorithm, Some(AlgorithmSpec::new("cem", json!({"epsilon": 0.1}))));
    assert_eq!(run.config.learning_rate, None);
    let rewind = NewRewind { episodes_done: Some(2), epsilon: Some(0.2), ..NewRewind::default() };
    let rewound = stack.client().rewind_run(id, &rewind, None).await.unwrap();
    let rewound = stack.completed(rewound.id).await;
    assert_eq!(rewound.config.algorithm, Some(AlgorithmSpec::new("cem", json!({"epsilon": 0.2}))));
}
