//! Policies: where they come from, what they decide, and what is kept of it.

use api::{
    Hash,
    policies::{
        AlternativeReason, DecisionRequest, NewPolicy, Outcome, Policy, PolicyKind, PolicyQuery, ProviderNow,
        RoutingRequest, ServedDecisions,
    },
    remembrancer::Action,
    trainer::{EnvironmentSpec, NewRun},
};
use client::ClientError;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;
use test_support::Fault;
use uuid::Uuid;

use crate::support::{Stack, small_run};

fn rule(name: &str, preset: &str) -> NewPolicy {
    NewPolicy {
        rule: Some(name.into()),
        environment: EnvironmentSpec { preset: Some(preset.into()), ..EnvironmentSpec::default() },
        ..NewPolicy::default()
    }
}

fn inference(hours: f64) -> RoutingRequest {
    RoutingRequest {
        tenant: "tenant-dao".into(),
        workload: "llm_inference".into(),
        gpu_hours: hours,
        ..RoutingRequest::default()
    }
}

pub(crate) fn asking(requests: usize) -> DecisionRequest {
    DecisionRequest { requests: vec![inference(0.5); requests], ..DecisionRequest::default() }
}

fn sequences(served: &ServedDecisions) -> Vec<u64> {
    served.decisions.iter().map(|decision| decision.sequence).collect()
}

async fn cheapest(stack: &Stack) -> Policy {
    stack.client().import_policy(&rule("cheapest", "contended")).await.unwrap()
}

fn code<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (u16, String) {
    let error = answer.unwrap_err();
    (error.status().unwrap_or_default(), error.code().unwrap_or_default().to_owned())
}

fn pointers<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Vec<String> {
    let error = answer.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(422), Some("invalid_request")), "{error}");
    error.problem().unwrap().errors.iter().map(|error| error.pointer.clone()).collect()
}

async fn restart(stack: &mut Stack) {
    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_imported_once_and_still_there_after_a_restart() {
    let mut stack = Stack::start().await;
    let http = test_support::http_client();
    let import = async |stack: &Stack| {
        let request = http.post(format!("{}/v1/policies", stack.url())).json(&rule("cheapest", "contended"));
        let answer = request.send().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), location, answer.json::<Policy>().await.unwrap())
    };
    let (status, location, policy) = import(&stack).await;
    assert_eq!((status, location), (201, format!("/v1/policies/{}", policy.id)));
    assert_eq!((policy.kind, policy.algorithm.as_str()), (PolicyKind::Rule, "cheapest"));
    assert_eq!((policy.may_hold, policy.may_defer), (true, true));
    assert!(stack.ledger.record(&policy.record_id).is_some());

    let (status, _, again) = import(&stack).await;
    assert_eq!((status, again.id), (200, policy.id));
    restart(&mut stack).await;
    let there = stack.client().policy(policy.id).await.unwrap();
    assert_eq!((there.digest, &there.environment), (policy.digest, &policy.environment));
    assert_eq!(import(&stack).await.0, 200);
    assert_eq!(stack.ledger.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_learned_is_a_policy_under_the_runs_id_also_after_a_restart() {
    let mut stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    stack.play(&NewRun { algorithm: Some("fastest".into()), ..small_run() }).await;
    for _ in 0..2 {
        let client = stack.client();
        let policy = client.policy(run.id).await.unwrap();
        assert_eq!((policy.run_id, policy.policy_sha256), (Some(run.id), run.policy_sha256));
        assert_eq!((policy.algorithm.as_str(), policy.agents), ("q-learning", 3));
        assert_eq!(client.policy_file(run.id).await.unwrap(), stack.artifact(run.policy_sha256));
        let listed = client.policies(&PolicyQuery::default()).await.unwrap().items;
        assert_eq!(listed, [policy]);

        let served = client.decide(run.id, &asking(6), None).await.unwrap();
        let agents: Vec<_> = served.decisions.iter().map(|decision| decision.agent).collect();
        assert_eq!(agents, [0, 1, 2, 0, 1, 2]);
        assert!(served.decisions.iter().all(|d| d.value.is_some() && d.propensity == 1.0));
        restart(&mut stack).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_file_is_imported_from_the_body_or_from_the_remembrancer_as_the_same_policy() {
    let (trained, stack) = (Stack::start().await, Stack::start().await);
    let run = trained.play(&small_run()).await;
    let file = trained.artifact(run.policy_sha256);
    let new = NewPolicy { file: Some(serde_json::from_slice(&file).unwrap()), ..NewPolicy::default() };
    let policy = stack.client().import_policy(&new).await.unwrap();
    assert_eq!((policy.kind, policy.policy_sha256), (PolicyKind::Learned, run.policy_sha256));
    assert_eq!(stack.client().policy_file(policy.id).await.unwrap(), file);

    let new = NewPolicy { artifact: run.policy_sha256, ..NewPolicy::default() };
    assert_eq!(stack.client().import_policy(&new).await.unwrap().id, policy.id);
    let named = NewPolicy { name: Some("live".into()), ..new };
    assert_ne!(stack.client().import_policy(&named).await.unwrap().id, policy.id);

    // what it decides is what the run's own policy decides
    let (here, there) = (stack.client(), trained.client());
    let (here, there) =
        (here.decide(policy.id, &asking(9), None).await, there.decide(run.id, &asking(9), None).await);
    let chosen = |served: ServedDecisions| {
        served.decisions.into_iter().map(|d| (d.provider, d.value, d.alternatives)).collect::<Vec<_>>()
    };
    assert_eq!(chosen(here.unwrap()), chosen(there.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_another_catalog_is_refused_and_both_are_named() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let catalog = json!({"providers": [{"id": "nimbus", "regions": ["global"], "gpu_types": ["A100"],
        "base_latency_ms": 5, "capacity_gpu_hours_per_step": 1, "reputation": 1}]});
    let mut workloads = serde_json::to_value(routing_env::Workloads::built_in()).unwrap();
    workloads["scenarios"] = json!([]);
    let environment = EnvironmentSpec { providers: Some(catalog), workloads: Some(workloads), preset: None };
    let new = NewPolicy { artifact: run.policy_sha256, environment, ..NewPolicy::default() };
    let error = stack.client().import_policy(&new).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(422), Some("policy_of_another_catalog")));
    let problem = error.problem().unwrap();
    assert_eq!(problem.errors[0].pointer, "/artifact");
    assert!(problem.detail.contains("akash") && problem.detail.contains("nimbus"), "{}", problem.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_an_import_are_pointed_at_and_leave_nothing() {
    let stack = Stack::start().await;
    let import = async |body: Value| {
        let new = serde_json::from_value(body).unwrap();
        pointers(stack.client().import_policy(&new).await)
    };
    assert_eq!(import(json!({})).await, [""]);
    assert_eq!(
        import(json!({"rule": "cheapest", "file": {}, "environment": {"preset": "calm"}})).await,
        ["/file", "/rule", "/environment/preset"]
    );
    assert_eq!(import(json!({"rule": "dearest"})).await, ["/rule"]);
    assert_eq!(import(json!({"file": {"format": "ai-mesh-policy/1"}})).await, ["/file"]);
    assert_eq!(import(json!({"artifact": Hash([9; 32])})).await, ["/artifact"]);
    assert_eq!(import(json!({"rule": "cheapest", "name": ""})).await, ["/name"]);
    assert_eq!(code(stack.client().policy(Uuid::nil()).await), (404, "policy_not_found".into()));
    assert_eq!(stack.ledger.records().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_listed_newest_first_page_by_page() {
    let stack = Stack::start().await;
    let mut ids = Vec::new();
    for name in ["weighted-score", "cheapest", "fastest", "random", "greedy-reward"] {
        ids.push(stack.client().import_policy(&rule(name, "default")).await.unwrap().id);
    }
    ids.reverse();
    let mut query = PolicyQuery { limit: Some(2), kind: Some(PolicyKind::Rule), ..PolicyQuery::default() };
    let mut listed = Vec::new();
    loop {
        let page = stack.client().policies(&query).await.unwrap();
        assert!(page.items.len() <= 2);
        listed.extend(page.items.into_iter().map(|policy| policy.id));
        match page.next_cursor {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(listed, ids);
    let learned = PolicyQuery { kind: Some(PolicyKind::Learned), ..PolicyQuery::default() };
    assert_eq!(stack.client().policies(&learned).await.unwrap().items, []);
    let wrong = PolicyQuery { cursor: Some("yesterday".into()), ..PolicyQuery::default() };
    assert_eq!(pointers(stack.client().policies(&wrong).await), ["?cursor"]);
    assert_eq!(code(stack.client().policy_file(ids[0]).await), (404, "policy_has_no_file".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_in_the_ledger_under_a_run_that_says_whose_it_is() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let served = stack.client().decide(policy.id, &asking(2), None).await.unwrap();
    assert_eq!((served.policy_id, served.run), (policy.id, policy.digest));
    let recorded = stack.ledger.decisions(served.run);
    assert_eq!(recorded.len(), 2);
    for (served, recorded) in served.decisions.iter().zip(&recorded) {
        assert_eq!((served.sequence, served.action), (recorded.sequence, recorded.action));
        assert_eq!(served.expected_cost_usd, recorded.cost_usd);
        assert_eq!(served.expected_latency_ms, recorded.latency_ms);
        assert_eq!(served.provider, recorded.provider);
        let link = format!("/v1/log/evidence?run={}&sequence={}", recorded.run, recorded.sequence);
        assert!(served.evidence_url.ends_with(&link), "{}", served.evidence_url);
        let chosen = served.alternatives.iter().filter(|a| a.reason == AlternativeReason::NotChosen);
        assert_eq!(chosen.count(), 2);
    }
    let record = stack.ledger.record(&format!("{}:serving:0", policy.id)).unwrap();
    assert_eq!(record.subject, format!("policy:{}", policy.id));
    assert_eq!(record.body["digest"], json!(policy.digest));
    let configuration = merkle_log::canonical_json(&record.body["configuration"]).unwrap();
    assert_eq!(trainer::digest::sha256(&configuration), policy.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_the_same_time_and_after_a_restart_share_one_sequence_without_gaps() {
    let mut stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let client = stack.client();
        let (three, five) = (asking(3), asking(5));
        let calls = (0..12).map(|i| client.decide(policy.id, if i % 2 == 0 { &three } else { &five }, None));
        for served in join_all(calls).await {
            let numbers = sequences(&served.unwrap());
            assert!(numbers.is_sorted() && numbers.last().unwrap() - numbers[0] + 1 == numbers.len() as u64);
            seen.extend(numbers);
        }
        restart(&mut stack).await;
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..96).collect::<Vec<_>>());
    let recorded = stack.ledger.decisions(policy.digest);
    let places: std::collections::BTreeSet<_> = recorded.iter().map(|d| (d.episode, d.step)).collect();
    // a session for each life of the trainer, and in each its calls in order
    assert_eq!(places.into_iter().collect::<Vec<_>>(), (0..24).map(|i| (i / 12, i % 12)).collect::<Vec<_>>());
    assert!(recorded.is_sorted_by_key(|d| (d.episode, d.step)));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_pointed_at_and_none_is_decided() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let ask = async |body: Value| {
        let request = serde_json::from_value(body).unwrap();
        pointers(stack.client().decide(policy.id, &request, Some("k")).await)
    };
    let good = json!({"tenant": "tenant-dao", "workload": "llm_inference", "gpu_hours": 1});
    let with = |field: &str, value: Value| {
        let mut request = good.clone();
        request[field] = value;
        json!({"requests": [good, request]})
    };
    assert_eq!(ask(json!({"requests": []})).await, ["/requests"]);
    assert_eq!(ask(json!({"requests": vec![&good; 1001]})).await, ["/requests"]);
    assert_eq!(ask(with("gpu_hours", json!(0))).await, ["/requests/1/gpu_hours"]);
    assert_eq!(ask(with("tenant", json!("x"))).await, ["/requests/1/tenant"]);
    assert_eq!(ask(with("max_latency_ms", json!(-1))).await, ["/requests/1/max_latency_ms"]);
    let providers = json!({"requests": [good], "providers": [{"id": "nimbus"}]});
    assert_eq!(ask(providers).await, ["/providers/0/id"]);
    assert_eq!(code(stack.client().decide(Uuid::nil(), &asking(1), None).await).1, "policy_not_found");
    assert_eq!(stack.ledger.decisions(policy.digest), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gets_the_same_answer_also_after_a_restart_and_other_requests_a_conflict() {
    let mut stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let first = stack.client().decide(policy.id, &asking(4), Some("order-17")).await.unwrap();
    stack.client().decide(policy.id, &asking(1), None).await.unwrap();
    assert_eq!(stack.client().decide(policy.id, &asking(4), Some("order-17")).await.unwrap(), first);
    restart(&mut stack).await;
    assert_eq!(stack.client().decide(policy.id, &asking(4), Some("order-17")).await.unwrap(), first);
    let other = stack.client().decide(policy.id, &asking(3), Some("order-17")).await;
    assert_eq!(code(other), (422, "idempotency_key_reused".into()));
    let next = stack.client().decide(policy.id, &asking(1), Some("order-18")).await.unwrap();
    assert_eq!(sequences(&next), [5]);
    let metrics = test_support::get(format!("{}/metrics", stack.url())).await.unwrap().text().await.unwrap();
    // since the restart: what was answered again was not served again
    assert!(metrics.contains("ai_mesh_served_decisions_total{action=\"route\"} 1"), "{metrics}");
}

/// Cuts the line to the ledger after each of the calls that an answer under a key takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_broke_off_anywhere_is_answered_once_under_its_key() {
    let scenarios = (1..=16).flat_map(|calls| [(calls, false), (calls, true)]);
    let outcomes = join_all(scenarios.map(async |(calls, overtaken)| {
        let mut stack = Stack::start().await;
        let policy = cheapest(&stack).await;
        stack.ledger.faults().set_after(calls, Fault::Refuse);
        let cut = stack.client().decide(policy.id, &asking(4), Some("k")).await;
        if let Err(error) = &cut {
            assert_eq!((error.status(), error.code()), (Some(503), Some("remembrancer_unavailable")));
        }
        stack.ledger.faults().clear();
        restart(&mut stack).await;
        let mut expected = 4;
        if overtaken {
            // somebody else takes the numbers that may have been meant for it
            stack.client().decide(policy.id, &asking(3), None).await.unwrap();
            expected += 3;
        }
        let answer = stack.client().decide(policy.id, &asking(4), Some("k")).await.unwrap();
        if let Ok(cut) = &cut {
            assert_eq!(cut, &answer);
        }
        assert_eq!(stack.client().decide(policy.id, &asking(4), Some("k")).await.unwrap(), answer);
        let recorded = stack.ledger.decisions(policy.digest);
        assert_eq!(recorded.len(), expected, "cut after {calls} calls, overtaken: {overtaken}");
        let at = |sequence: u64| recorded[sequence as usize].provider.clone();
        assert!(answer.decisions.iter().all(|d| at(d.sequence) == d.provider));
        cut.is_err()
    }))
    .await;
    // a cut line was met, and so was one that was cut too late to matter
    assert!(outcomes.contains(&true) && outcomes.contains(&false));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_remembrancer_is_away_nothing_is_answered() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let served = stack.client().decide(policy.id, &asking(1), None).await.unwrap();
    stack.ledger.faults().set(Fault::Refuse);
    let client = stack.client();
    let away = (503, "remembrancer_unavailable".to_owned());
    let (asked, requests, outcome) = (rule("fastest", "default"), asking(1), Outcome::default());
    let (decided, told, imported, shown) = tokio::join!(
        client.decide(policy.id, &requests, None),
        client.tell_outcome(served.decisions[0].id, &outcome),
        client.import_policy(&asked),
        client.decision(served.decisions[0].id),
    );
    assert_eq!(code(decided), away);
    assert_eq!(code(told.map(drop)), away);
    assert_eq!(code(imported), away);
    assert_eq!(code(shown), away);
    stack.ledger.faults().clear();
    let next = stack.client().decide(policy.id, &asking(1), None).await.unwrap();
    assert_eq!(sequences(&next), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_somebody_else_wrote_to_goes_on_behind_it() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let mut planted = {
        let served = stack.client().decide(policy.id, &asking(1), None).await.unwrap();
        stack.ledger.decisions(served.run)[0].clone()
    };
    planted.reason = "from elsewhere".into();
    stack.ledger.tamper_decision(planted.clone());
    // the trainer thinks that it stands behind its own decision, where nothing is missing
    let served = stack.client().decide(policy.id, &asking(2), None).await.unwrap();
    assert_eq!(sequences(&served), [1, 2]);
    stack.ledger.plant(planted);
    let served = stack.client().decide(policy.id, &asking(1), None).await.unwrap();
    assert_eq!(sequences(&served), [4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_told_once_also_after_a_restart() {
    let mut stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let served = stack.client().decide(policy.id, &asking(2), None).await.unwrap();
    let (id, other) = (served.decisions[0].id, served.decisions[1].id);
    let outcome = Outcome {
        succeeded: true,
        latency_ms: Some(412.5),
        cost_usd: Some(0.9),
        note: Some("late".into()),
        ..Outcome::default()
    };
    assert_eq!(stack.client().decision(id).await.unwrap().outcome, None);
    restart(&mut stack).await;

    let http = test_support::http_client();
    let tell = async |outcome: &Outcome| {
        let request = http.post(format!("{}/v1/decisions/{id}/outcome", stack.url())).json(outcome);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, told) = tell(&outcome).await;
    assert_eq!((status, &told["receipt"]["id"]), (201, &json!(format!("outcome:{id}"))));
    assert_eq!(tell(&outcome).await, (200, told));
    let (status, problem) = tell(&Outcome { succeeded: false, ..outcome.clone() }).await;
    assert_eq!((status, &problem["code"]), (409, &json!("outcome_conflict")));
    let failed = Outcome { succeeded: false, ..Outcome::default() };
    stack.client().tell_outcome(other, &failed).await.unwrap();

    let metrics = test_support::get(format!("{}/metrics", stack.url())).await.unwrap().text().await.unwrap();
    for line in [
        "ai_mesh_outcomes_total{result=\"succeeded\"} 1",
        "ai_mesh_outcomes_total{result=\"failed\"} 1",
        "ai_mesh_outcome_real_latency_seconds_sum 0.4125",
        "ai_mesh_outcome_expected_latency_seconds_sum 0.33",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    restart(&mut stack).await;
    let details = stack.client().decision(id).await.unwrap();
    assert_eq!(details.outcome, Some(outcome));
    assert_eq!((details.policy_id, details.decision.sequence), (policy.id, 0));
    let record = stack.ledger.record(&details.outcome_record_id.unwrap()).unwrap();
    assert_eq!(record.subject, format!("decision:{id}"));
}

/// Statuses of so many calls at the same moment, on two trainers in turn, and how often each came.
async fn at_once(
    stack: &Stack,
    path: &str,
    bodies: impl Iterator<Item = Value>,
) -> std::collections::BTreeMap<u16, usize> {
    let other = stack.another_trainer().await;
    let urls = [stack.url().to_owned(), other.url().to_owned()];
    let http = test_support::http_client();
    // all are under way before the first answer is looked at
    let calls = bodies.enumerate().map(|(i, body)| {
        let request = http.post(format!("{}{path}", urls[i % 2])).json(&body);
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    });
    let calls: Vec<_> = calls.collect();
    let mut statuses = std::collections::BTreeMap::new();
    for call in calls {
        *statuses.entry(call.await.unwrap()).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn of_outcomes_told_at_the_same_moment_one_is_new_whichever_trainer_is_told() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    for _ in 0..5 {
        let served = stack.client().decide(policy.id, &asking(2), None).await.unwrap();
        let path = |i: usize| format!("/v1/decisions/{}/outcome", served.decisions[i].id);
        let same = (0..16).map(|_| json!({"succeeded": true, "latency_ms": 400.0}));
        let statuses = at_once(&stack, &path(0), same).await;
        assert_eq!(statuses, [(200, 15), (201, 1)].into());
        let different = (0..16).map(|i| json!({"succeeded": true, "latency_ms": 400.0 + f64::from(i)}));
        let statuses = at_once(&stack, &path(1), different).await;
        assert_eq!(statuses, [(201, 1), (409, 15)].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_imports_of_the_same_policy_at_the_same_moment_one_is_new() {
    let stack = Stack::start().await;
    for round in 0..5 {
        let body = json!({"rule": "cheapest", "name": format!("round {round}")});
        let statuses = at_once(&stack, "/v1/policies", (0..16).map(|_| body.clone())).await;
        assert_eq!(statuses, [(200, 15), (201, 1)].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_of_what_was_never_served_or_never_sent_is_refused() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let dropped = RoutingRequest { max_latency_ms: Some(1.0), ..inference(0.5) };
    let asked = DecisionRequest { requests: vec![dropped], ..DecisionRequest::default() };
    let served = stack.client().decide(policy.id, &asked, None).await.unwrap();
    assert_eq!(served.decisions[0].action, Action::Drop);
    let tell = async |id| code(stack.client().tell_outcome(id, &Outcome::default()).await);
    assert_eq!(tell(served.decisions[0].id).await, (409, "decision_not_routed".into()));
    let not_yet = trainer::policies::identity::decision_id(&policy.digest, 1);
    assert_eq!(tell(not_yet).await, (404, "decision_not_found".into()));
    assert_eq!(tell(Uuid::now_v7()).await, (404, "decision_not_found".into()));
    let elsewhere = trainer::policies::identity::decision_id(&Hash([3; 32]), 0);
    assert_eq!(tell(elsewhere).await, (404, "decision_not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_in_an_outage_gets_nothing() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let flux = ProviderNow { id: "flux".into(), available: Some(false), ..ProviderNow::default() };
    let asked = DecisionRequest { providers: vec![flux], ..asking(3) };
    let served = stack.client().decide(policy.id, &asked, None).await.unwrap();
    for decision in served.decisions {
        assert_eq!(decision.provider.as_deref(), Some("akash"));
        let flux = decision.alternatives.into_iter().find(|a| a.provider == "flux").unwrap();
        assert_eq!(flux.reason, AlternativeReason::Outage);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_document_work_when_they_are_pasted_one_after_the_other() {
    let stack = Stack::start().await;
    let http = test_support::http_client();
    let document = serde_json::to_value(trainer::openapi()).unwrap();
    let example = |schema: &str| document["components"]["schemas"][schema]["example"].clone();
    let path = |template: &str, method: &str| {
        let parameters = document["paths"][template][method]["parameters"].as_array().unwrap().clone();
        let id = parameters.iter().find(|parameter| parameter["name"] == "id").unwrap();
        format!("{}{}", stack.url(), template.replace("{id}", id["example"].as_str().unwrap()))
    };
    let post = async |url: String, body: Value| {
        let answer = http.post(url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, policy) = post(format!("{}/v1/policies", stack.url()), example("NewPolicy")).await;
    assert_eq!(status, 201, "{policy}");
    let decisions = path("/v1/policies/{id}/decisions", "post");
    assert!(decisions.contains(policy["id"].as_str().unwrap()), "{decisions} is not of {}", policy["id"]);
    let (status, served) = post(decisions, example("DecisionRequest")).await;
    assert_eq!(status, 200, "{served}");
    assert!(served["decisions"].as_array().unwrap().iter().all(|decision| decision["action"] == "route"));
    let outcome = path("/v1/decisions/{id}/outcome", "post");
    let id = served["decisions"][0]["id"].as_str().unwrap();
    assert!(outcome.contains(id), "{outcome} is not of {id}");
    let (status, told) = post(outcome, example("Outcome")).await;
    assert_eq!(status, 201, "{told}");
    for template in ["/v1/policies/{id}", "/v1/decisions/{id}"] {
        assert_eq!(test_support::get(path(template, "get")).await.unwrap().status(), 200, "{template}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_hang_up_leave_a_stream_in_which_nobody_gets_anothers_decisions() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    let client = stack.client();
    let asked = asking(3);
    let calls = (0..60_u64).map(|i| {
        let patience = Duration::from_micros(if i % 3 == 0 { 10_000_000 } else { 400 * i });
        let key = (i % 2 == 0).then(|| format!("key-{i}"));
        let (client, asked) = (&client, &asked);
        async move {
            let call = client.decide(policy.id, asked, key.as_deref());
            let first = tokio::time::timeout(patience, call).await.ok()?.unwrap();
            // under a key the call may be repeated
            if key.is_some() {
                assert_eq!(client.decide(policy.id, asked, key.as_deref()).await.unwrap(), first);
            }
            Some(first)
        }
    });
    let answered: Vec<_> = join_all(calls).await.into_iter().flatten().collect();
    assert!((20..60).contains(&answered.len()), "{} of 60 waited for their answer", answered.len());
    let mut numbers: Vec<_> = answered.iter().flat_map(sequences).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "a decision was answered twice: {numbers:?}");
    let recorded = stack.ledger.decisions(policy.digest);
    for decision in answered.iter().flat_map(|served| &served.decisions) {
        assert_eq!(recorded[decision.sequence as usize].provider, decision.provider);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_wait_too_long_for_their_turn_are_told_that_the_policy_is_busy() {
    let stack = Stack::start().await;
    let policy = cheapest(&stack).await;
    stack.ledger.faults().set(Fault::Refuse);
    let (client, asked) = (stack.client(), asking(1));
    let calls = join_all((0..4).map(|_| client.decide(policy.id, &asked, None))).await;
    let codes: Vec<_> = calls.into_iter().map(code).collect();
    assert!(codes.iter().all(|(status, _)| *status == 503), "{codes:?}");
    assert!(codes.iter().any(|(_, code)| code == "remembrancer_unavailable"), "{codes:?}");
    assert!(codes.iter().any(|(_, code)| code == "policy_busy"), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_whose_file_is_gone_decides_again_when_it_is_back() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let file = stack.artifact(run.policy_sha256);
    stack.ledger.forget_artifact(run.policy_sha256.unwrap());
    let missing = (404, "policy_file_missing".to_owned());
    assert_eq!(code(stack.client().decide(run.id, &asking(1), None).await), missing);
    assert_eq!(code(stack.client().policy_file(run.id).await), missing);
    stack.ledger.put_artifact(&file);
    let served = stack.client().decide(run.id, &asking(1), None).await.unwrap();
    assert_eq!(sequences(&served), [0]);
}
