//! Deployments over HTTP: what they remember, what they learn, and that the ledger alone gives their state.

use std::collections::BTreeMap;

use api::{
    deployments::{
        Clock, DeployedRequest, DeploymentDecisions, DeploymentRequest, DeploymentStatus, Durability,
        Explore, MarketUpdate, NewDeployment, OpenDecisionQuery, Promotion,
    },
    policies::{AlternativeReason, NewPolicy, Outcome, ProviderNow, RoutingRequest, ServedDecision},
    remembrancer::Action,
    trainer::EnvironmentSpec,
};
use chrono::{DateTime, TimeDelta, Utc};
use client::{ClientError, Trainer};
use futures_util::future::join_all;
use records::{Body as _, deployments::Called};
use serde_json::{Value, json};
use test_support::Fault;
use uuid::Uuid;

use crate::support::Stack;

/// 2026-11-30 is a Monday.
pub(crate) fn start() -> DateTime<Utc> {
    "2026-11-30T00:00:00Z".parse().unwrap()
}

pub(crate) fn at(window: i64, seconds: i64) -> Option<DateTime<Utc>> {
    Some(start() + TimeDelta::seconds(3600 * window + seconds))
}

fn spec(preset: &str) -> EnvironmentSpec {
    serde_json::from_value(serde_json::json!({"preset": preset})).unwrap()
}

pub(crate) async fn import(trainer: &Trainer, rule: &str, preset: &str) -> Uuid {
    let policy = NewPolicy { rule: Some(rule.into()), environment: spec(preset), ..NewPolicy::default() };
    trainer.import_policy(&policy).await.unwrap().id
}

pub(crate) fn settings(name: &str, policy_id: Uuid) -> NewDeployment {
    NewDeployment {
        name: name.into(),
        policy_id,
        step_seconds: 3600,
        settle_seconds: 60,
        clock: Clock::Caller,
        starts_at: Some(start()),
        explore: None,
        outcome_deadline_seconds: 2 * 3600,
        hold_seconds: None,
        challengers: Vec::new(),
        guardrails: None,
        promotion: Promotion::default(),
        preference: None,
        durability: Durability::default(),
        federate: false,
    }
}

/// An A100 in eu-west-1: flux (1.7 $, 140 h), akash (1.8 $, 220 h) and aethir (2.5 $) serve it.
pub(crate) fn inference(hours: f64) -> DeployedRequest {
    let request = RoutingRequest {
        tenant: "tenant-research".into(),
        workload: "llm_inference".into(),
        gpu_hours: hours,
        ..RoutingRequest::default()
    };
    DeployedRequest { request, retry_of: None, id: None }
}

pub(crate) fn call(now: Option<DateTime<Utc>>, requests: Vec<DeployedRequest>) -> DeploymentRequest {
    DeploymentRequest { requests, now, ..DeploymentRequest::default() }
}

async fn ask(trainer: &Trainer, name: &str, call: DeploymentRequest) -> Vec<ServedDecision> {
    let DeploymentDecisions { decisions, .. } = trainer.ask_deployment(name, &call, None).await.unwrap();
    decisions
}

async fn one(trainer: &Trainer, name: &str, now: Option<DateTime<Utc>>, hours: f64) -> ServedDecision {
    ask(trainer, name, call(now, vec![inference(hours)])).await.remove(0)
}

/// What is left of the tenant's budget.
async fn budget(trainer: &Trainer) -> f64 {
    let stream = trainer.deployment("gateway", None).await.unwrap().stream.unwrap();
    stream.tenants.iter().find(|tenant| tenant.id == "tenant-research").unwrap().remaining_budget_usd
}

pub(crate) fn done(latency_ms: f64) -> Outcome {
    Outcome { succeeded: true, latency_ms: Some(latency_ms), ..Outcome::default() }
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result {
        Err(ClientError::Problem(problem)) => problem.code.clone(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_somewhere_is_not_there_for_the_next_call_and_is_again_in_the_next_window() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let policy = import(&trainer, "cheapest", "default").await;
    let deployed = trainer.deploy(&settings("gateway", policy)).await.unwrap();
    assert_eq!((deployed.name.as_str(), deployed.algorithm.as_str()), ("gateway", "cheapest"));
    let mut providers = Vec::new();
    for _ in 0..4 {
        providers.push(one(&trainer, "gateway", at(0, 5), 60.0).await.provider.unwrap());
    }
    assert_eq!(providers, ["flux", "flux", "akash", "akash"]);
    let stream = trainer.deployment("gateway", None).await.unwrap().stream.unwrap();
    let flux = stream.providers.iter().find(|provider| provider.id == "flux").unwrap();
    assert_eq!((flux.remaining_gpu_hours, flux.open_jobs), (20.0, 2));
    assert_eq!((stream.decisions, stream.outcomes.open), (4, 4));
    let next = one(&trainer, "gateway", at(1, 0), 60.0).await;
    assert_eq!(next.provider.as_deref(), Some("flux"));
    assert_eq!(stack.ledger.records_of("deployment.window").len(), 1);
    // nothing is recorded that deployments without promises did not have before there were any
    let opened = &stack.ledger.records_of("deployment.opened")[0].body;
    assert_eq!(opened.keys().collect::<Vec<_>>(), ["deployment_id", "session_id"]);
    assert!(
        !stack.ledger.records_of("deployment.created")[0].body["settings"].to_string().contains("durability")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_decides_for_what_is_wanted_of_it_also_after_a_restart() {
    let mut stack = Stack::start().await;
    let trainer = stack.client();
    let policy = import(&trainer, "greedy-reward", "default").await;
    let wanting = |name: &str, preference: Value| NewDeployment {
        preference: Some(preference),
        ..settings(name, policy)
    };
    let weights = json!({"request": 15.0, "gpu_hour": 0.0, "cost": 3.0, "latency": 0.02});
    let mut sent = BTreeMap::new();
    for (name, preference) in [("cheap", json!("cheap")), ("fast", json!("fast")), ("balanced", weights)] {
        trainer.deploy(&wanting(name, preference)).await.unwrap();
        sent.insert(name, one(&trainer, name, at(0, 5), 1.0).await.provider);
    }
    assert_ne!(sent["cheap"], sent["fast"]);
    assert_eq!(sent["fast"].as_deref(), Some("aethir"), "it is the nearest");
    trainer.deploy(&wanting("fast", json!("fast"))).await.unwrap();
    let other = trainer.deploy(&wanting("fast", json!("cheap"))).await;
    assert_eq!(code(other), "deployment_exists");

    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    let trainer = stack.client();
    assert_eq!(one(&trainer, "fast", at(0, 6), 1.0).await.provider, sent["fast"]);
    let shown = trainer.deployment("fast", None).await.unwrap().settings.preference.unwrap();
    assert!(shown["latency"].as_f64() > Some(0.02), "its weights are shown: {shown}");

    let own = json!({"cost": 8.0, "tenants": {"tenant-research": "fast"}});
    trainer.deploy(&wanting("of-tenants", own)).await.unwrap();
    let dao = RoutingRequest { tenant: "tenant-dao".into(), ..inference(1.0).request };
    let dao = DeployedRequest { request: dao, ..inference(1.0) };
    let decided = ask(&trainer, "of-tenants", call(at(0, 7), vec![dao, inference(1.0)])).await;
    let sent_to = |decision: &ServedDecision| decision.provider.clone();
    assert_eq!([sent_to(&decided[0]), sent_to(&decided[1])], [sent["cheap"].clone(), sent["fast"].clone()]);
    let nobodys = json!({"tenants": {"tenant-x": "fast"}});
    let ClientError::Problem(problem) = trainer.deploy(&wanting("another", nobodys)).await.unwrap_err()
    else {
        panic!("there is no such tenant")
    };
    assert_eq!(problem.errors[0].pointer, "/preference/tenants/tenant-x");

    let unknown = trainer.deploy(&wanting("another", json!("bold"))).await.unwrap_err();
    let ClientError::Problem(problem) = unknown else { panic!("{unknown:?}") };
    assert_eq!(problem.errors[0].pointer, "/preference");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_the_market_counts_until_something_else_is_said() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let policy = import(&trainer, "cheapest", "default").await;
    trainer.deploy(&settings("gateway", policy)).await.unwrap();
    let flux = |available, remaining_gpu_hours| {
        let now = ProviderNow { id: "flux".into(), available, remaining_gpu_hours, ..ProviderNow::default() };
        MarketUpdate { providers: vec![now], now: at(0, 1), ..MarketUpdate::default() }
    };
    trainer.set_market("gateway", &flux(Some(false), None)).await.unwrap();
    let decided = one(&trainer, "gateway", at(2, 0), 1.0).await;
    assert_eq!(decided.provider.as_deref(), Some("akash"));
    let why = decided.alternatives.iter().find(|other| other.provider == "flux").unwrap();
    assert_eq!(why.reason, AlternativeReason::Outage);
    trainer.set_market("gateway", &flux(Some(true), Some(0.5))).await.unwrap();
    assert_eq!(one(&trainer, "gateway", at(2, 1), 1.0).await.provider.as_deref(), Some("akash"));
    assert_eq!(one(&trainer, "gateway", at(3, 0), 1.0).await.provider.as_deref(), Some("flux"));
    let wrong = MarketUpdate {
        providers: vec![ProviderNow { id: "nimbus".into(), ..ProviderNow::default() }],
        now: at(3, 0),
        ..MarketUpdate::default()
    };
    assert_eq!(code(trainer.set_market("gateway", &wrong).await), "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_failed_goes_elsewhere_and_is_one_request() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let policy = import(&trainer, "cheapest", "default").await;
    trainer.deploy(&settings("gateway", policy)).await.unwrap();
    let whole = budget(&trainer).await;
    let first = one(&trainer, "gateway", at(0, 0), 2.0).await;
    let again = DeployedRequest { retry_of: Some(first.id), ..inference(2.0) };
    let second = ask(&trainer, "gateway", call(at(0, 1), vec![again.clone()])).await.remove(0);
    assert_eq!((first.provider.as_deref(), second.provider.as_deref()), (Some("flux"), Some("akash")));
    let flux = second.alternatives.iter().find(|other| other.provider == "flux").unwrap();
    assert_eq!(flux.reason, AlternativeReason::Failed);
    // neither twice, nor a third time, nor of what is no decision of it
    assert_eq!(
        code(trainer.ask_deployment("gateway", &call(at(0, 2), vec![again]), None).await),
        "invalid_request"
    );
    for retry_of in [Some(second.id), Some(Uuid::now_v7())] {
        let third = DeployedRequest { retry_of, ..inference(2.0) };
        let refused = trainer.ask_deployment("gateway", &call(at(0, 2), vec![third]), None).await;
        assert_eq!(code(refused), "invalid_request");
    }
    // flux is not paid for what failed
    let budget = budget(&trainer).await;
    let expected = whole - second.expected_cost_usd.unwrap();
    assert!((budget - expected).abs() < 1e-9, "{budget}, expected {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_told_once_and_what_is_not_told_is_listed_and_then_missing() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let policy = import(&trainer, "cheapest", "default").await;
    trainer.deploy(&settings("gateway", policy)).await.unwrap();
    let decisions = ask(&trainer, "gateway", call(at(0, 0), vec![inference(1.0); 3])).await;
    let impossible = DeployedRequest {
        request: RoutingRequest { max_latency_ms: Some(1.0), ..inference(1.0).request },
        retry_of: None,
        id: None,
    };
    let dropped = ask(&trainer, "gateway", call(at(0, 0), vec![impossible])).await.remove(0);
    assert_eq!(dropped.action, Action::Drop);
    let told = trainer.tell_outcome(decisions[0].id, &done(333.0)).await.unwrap();
    let again = trainer.tell_outcome(decisions[0].id, &done(333.0)).await.unwrap();
    assert_eq!(told.receipt, again.receipt);
    assert_eq!(code(trainer.tell_outcome(decisions[0].id, &done(334.0)).await), "outcome_conflict");
    assert_eq!(code(trainer.tell_outcome(dropped.id, &done(1.0)).await), "decision_not_routed");
    let open = trainer.open_decisions("gateway", &OpenDecisionQuery::default()).await.unwrap().items;
    let ids: Vec<_> = open.iter().map(|open| open.id).collect();
    assert_eq!(ids, [decisions[1].id, decisions[2].id]);
    assert_eq!(open[0].missing_at, start() + TimeDelta::hours(3));
    // two windows are waited for; what is told later is recorded, and nobody learns from it
    trainer.set_market("gateway", &MarketUpdate { now: at(3, 0), ..MarketUpdate::default() }).await.unwrap();
    trainer.tell_outcome(decisions[1].id, &done(300.0)).await.unwrap();
    let outcomes = trainer.deployment("gateway", None).await.unwrap().stream.unwrap().outcomes;
    assert_eq!((outcomes.succeeded, outcomes.failed, outcomes.open, outcomes.missing), (1, 0, 0, 2));
    let details = trainer.decision(decisions[1].id).await.unwrap();
    assert_eq!(details.outcome, Some(done(300.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_is_decided_before_the_window_ends() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let policy = import(&trainer, "defer-large", "contended").await;
    trainer.deploy(&settings("gateway", policy)).await.unwrap();
    let research = DeployedRequest {
        request: RoutingRequest {
            tenant: "tenant-research".into(),
            workload: "llm_inference".into(),
            gpu_hours: 30.0,
            ..RoutingRequest::default()
        },
        retry_of: None,
        id: None,
    };
    let deferral = ask(&trainer, "gateway", call(at(0, 0), vec![research, inference(1.0)])).await.remove(0);
    assert_eq!((deferral.action, deferral.reason.as_str()), (Action::Hold, "deferred"));
    let look = async |now| trainer.deferred_decision("gateway", deferral.id, now).await.unwrap();
    assert!(look(at(0, 3539)).await.is_waiting);
    let decided = look(at(0, 3540)).await;
    let decision = decided.decision.unwrap();
    assert!(!decided.is_waiting && decision.deferred && decision.wait_ms > 10.0, "{decision:?}");
    assert_eq!(look(at(1, 5)).await.decision.unwrap().id, decision.id);
    assert_eq!(code(trainer.deferred_decision("gateway", decision.id, at(1, 6)).await), "not_deferred");
}

/// A stream with everything that can be in one.
pub(crate) async fn feed(trainer: &Trainer, windows: std::ops::Range<i64>) {
    for window in windows {
        let mut sent = Vec::new();
        for n in 0..12 {
            let hours = 1.0 + f64::from(n * 7 % 11);
            let asked = match n {
                3 => {
                    let request = RoutingRequest { max_latency_ms: Some(310.0), ..inference(hours).request };
                    DeployedRequest { request, retry_of: None, id: None }
                }
                _ => inference(hours),
            };
            let providers = (n == 5).then(|| ProviderNow {
                id: "akash".into(),
                price_multiplier: Some(1.0 + 0.05 * window as f64),
                ..ProviderNow::default()
            });
            let request = DeploymentRequest {
                requests: vec![asked],
                providers: providers.into_iter().collect(),
                now: at(window, i64::from(n)),
                ..DeploymentRequest::default()
            };
            sent.extend(ask(trainer, "gateway", request).await);
        }
        let routed: Vec<_> = sent.iter().filter(|decision| decision.action == Action::Route).collect();
        for (n, decision) in routed.iter().enumerate().filter(|(n, _)| n % 5 > 0) {
            let failed = n % 4 == 3;
            let outcome = Outcome { succeeded: !failed, ..done(decision.expected_latency_ms.unwrap() * 1.3) };
            trainer.tell_outcome(decision.id, &outcome).await.unwrap();
            if failed {
                let again = DeployedRequest { retry_of: Some(decision.id), ..inference(3.0) };
                ask(trainer, "gateway", call(at(window, 100), vec![again])).await;
            }
        }
        let update = MarketUpdate {
            providers: vec![ProviderNow {
                id: "flux".into(),
                available: Some(window % 3 != 1),
                ..ProviderNow::default()
            }],
            now: at(window, 200),
            ..MarketUpdate::default()
        };
        trainer.set_market("gateway", &update).await.unwrap();
        ask(trainer, "gateway", call(at(window, 3590), vec![inference(2.0)])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_that_is_started_again_continues_to_the_same_bytes_as_one_that_nobody_disturbed() {
    let mut ends = Vec::new();
    for disturbed in [false, true] {
        let mut stack = Stack::start().await;
        stack.ledger.set_page_size(7);
        let policy = {
            let policy = NewPolicy {
                file: Some(serde_json::from_slice(&trained(&stack).await).unwrap()),
                environment: spec("drifting"),
                ..NewPolicy::default()
            };
            stack.client().import_policy(&policy).await.unwrap().id
        };
        let explore = Some(Explore { epsilon: 0.2, cost_guard: 0.5 });
        let deployment = NewDeployment { explore, ..settings("gateway", policy) };
        stack.client().deploy(&deployment).await.unwrap();
        feed(&stack.client(), 0..3).await;
        if disturbed {
            // in the middle of a window, in which requests have been sent and told
            one(&stack.client(), "gateway", at(3, 0), 4.0).await;
            stack.kill_trainer().await;
            stack.ledger.run_out_leases();
            stack.start_trainer().await;
            stack.ready().await;
        } else {
            one(&stack.client(), "gateway", at(3, 0), 4.0).await;
        }
        feed(&stack.client(), 3..5).await;
        let deployment = stack.client().deployment("gateway", None).await.unwrap();
        let decisions = stack.ledger.decisions(deployment.run);
        assert!(decisions.iter().any(|decision| decision.explored && decision.propensity < 1.0));
        assert!(
            decisions.iter().any(|decision| decision.deferred)
                || decisions.iter().any(|d| d.reason == "deferred")
        );
        ends.push((decisions, deployment.stream.unwrap()));
    }
    assert_eq!(ends[0].0.len(), ends[1].0.len());
    for (undisturbed, disturbed) in ends[0].0.iter().zip(&ends[1].0) {
        assert_eq!(undisturbed, disturbed);
    }
    assert_eq!(ends[0].1, ends[1].1);
}

/// The policy of a short run.
async fn trained(stack: &Stack) -> Vec<u8> {
    let run = api::trainer::NewRun {
        agents: 2,
        episodes: 1,
        steps_per_episode: 3,
        algorithm: Some("adaptive".into()),
        environment: spec("drifting"),
        ..api::trainer::NewRun::default()
    };
    let run = stack.play(&run).await;
    stack.artifact(run.policy_sha256)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_whose_records_were_changed_says_what_differs() {
    let mut stack = Stack::start().await;
    let policy = import(&stack.client(), "cheapest", "default").await;
    let deployed = stack.client().deploy(&settings("gateway", policy)).await.unwrap();
    one(&stack.client(), "gateway", at(0, 0), 4.0).await;
    stack.kill_trainer().await;
    stack.ledger.run_out_leases();
    let mut decision = stack.ledger.decisions(deployed.run).remove(0);
    decision.provider = Some("akash".into());
    stack.ledger.tamper_decision(decision);
    stack.start_trainer().await;
    stack.ready().await;
    // the trainer that was killed may have renewed its lease once more
    test_support::eventually("what differs is said", async || {
        let refused =
            stack.client().ask_deployment("gateway", &call(at(0, 1), vec![inference(1.0)]), None).await;
        let code = code(refused);
        if code == "deployment_cannot_continue" { Ok(()) } else { Err(code) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trainer_serves_a_deployment_and_another_one_takes_over_when_it_has_ended() {
    let mut stack = Stack::start().await;
    let policy = import(&stack.client(), "cheapest", "default").await;
    stack.client().deploy(&settings("gateway", policy)).await.unwrap();
    let first = one(&stack.client(), "gateway", at(0, 0), 130.0).await;
    assert_eq!(first.provider.as_deref(), Some("flux"));
    let other = stack.another_trainer().await;
    let refused =
        other.client().ask_deployment("gateway", &call(at(0, 1), vec![inference(60.0)]), None).await;
    assert_eq!(code(refused), "deployment_elsewhere");
    stack.kill_trainer().await;
    let next = test_support::eventually("the other trainer serves it", async || {
        other.client().ask_deployment("gateway", &call(at(0, 2), vec![inference(60.0)]), None).await
    })
    .await;
    assert_eq!(next.decisions[0].provider.as_deref(), Some("akash"));
    assert_eq!(next.decisions[0].sequence, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_with_its_key_gets_the_same_decisions_also_after_a_restart() {
    let mut stack = Stack::start().await;
    let policy = import(&stack.client(), "cheapest", "default").await;
    let run = stack.client().deploy(&settings("gateway", policy)).await.unwrap().run;
    let asked = call(at(0, 5), vec![inference(60.0), inference(50.0)]);
    let first = stack.client().ask_deployment("gateway", &asked, Some("order-1")).await.unwrap();
    assert_eq!(first.decisions.len(), 2);
    one(&stack.client(), "gateway", at(0, 6), 1.0).await;
    let again = stack.client().ask_deployment("gateway", &asked, Some("order-1")).await.unwrap();
    assert_eq!(again, first);
    let other = call(at(0, 5), vec![inference(60.0)]);
    let refused = stack.client().ask_deployment("gateway", &other, Some("order-1")).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (Some(409), Some("idempotency_key_reused")));

    stack.kill_trainer().await;
    stack.ledger.run_out_leases();
    stack.start_trainer().await;
    stack.ready().await;
    let again = stack.client().ask_deployment("gateway", &asked, Some("order-1")).await.unwrap();
    // why not the others is not in the ledger
    let told = |served: &ServedDecision| ServedDecision { alternatives: Vec::new(), ..served.clone() };
    assert_eq!(again.decisions, first.decisions.iter().map(told).collect::<Vec<_>>());
    assert_eq!((again.run, again.window), (first.run, first.window));
    let refused = stack.client().ask_deployment("gateway", &other, Some("order-1")).await.unwrap_err();
    assert_eq!(refused.code(), Some("idempotency_key_reused"));
    assert_eq!(stack.ledger.decisions(run).len(), 3, "nothing was decided twice");
    let next = stack.client().ask_deployment("gateway", &asked, Some("order-2")).await.unwrap();
    assert_eq!(next.decisions[0].sequence, 3, "another key is another call");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_caller_hung_up_is_decided_once_and_of_several_at_once_with_a_key_one_is() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let policy = import(&trainer, "cheapest", "default").await;
    let run = trainer.deploy(&settings("gateway", policy)).await.unwrap().run;
    one(&trainer, "gateway", at(0, 0), 1.0).await;
    let asked = call(at(0, 5), vec![inference(60.0)]);
    stack.ledger.faults().set(Fault::Hang);
    let hung_up = trainer.ask_deployment("gateway", &asked, Some("order-1"));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), hung_up).await.is_err());
    stack.ledger.faults().clear();
    let once_more: Vec<_> =
        join_all((0..8).map(|_| trainer.ask_deployment("gateway", &asked, Some("order-1")))).await;
    for answer in &once_more {
        if let Err(error) = answer {
            assert_eq!((error.status(), error.code()), (Some(409), Some("idempotency_key_in_use")));
        }
    }
    let answer = trainer.ask_deployment("gateway", &asked, Some("order-1")).await.unwrap();
    assert!(once_more.into_iter().flatten().all(|other| other == answer));
    assert_eq!(answer.decisions[0].sequence, 1);
    assert_eq!(stack.ledger.decisions(run).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_broke_off_before_its_decisions_were_recorded_is_decided_afresh() {
    let mut stack = Stack::start().await;
    let policy = import(&stack.client(), "cheapest", "default").await;
    let deployed = stack.client().deploy(&settings("gateway", policy)).await.unwrap();
    let asked = call(at(0, 5), vec![inference(60.0)]);
    for key in ["order-1", "order-2"] {
        // as a session leaves it that is killed before it appends the first decision
        let broken = Called {
            deployment_id: deployed.id,
            session_id: Uuid::now_v7(),
            idempotency_key: key.into(),
            request_sha256: api::Hash([7; 32]),
            first_sequence: 0,
            decisions: 1,
        };
        let record = broken.to_record().unwrap();
        let posted =
            test_support::http_client().post(format!("{}/v1/records", stack.ledger.url())).json(&record);
        assert!(posted.send().await.unwrap().status().is_success());
    }
    let first = stack.client().ask_deployment("gateway", &asked, Some("order-1")).await.unwrap();
    assert_eq!(first.decisions[0].sequence, 0);
    let second = stack.client().ask_deployment("gateway", &asked, Some("order-2")).await.unwrap();
    assert_eq!(second.decisions[0].sequence, 1, "what another session decided is not its answer");
    stack.kill_trainer().await;
    stack.ledger.run_out_leases();
    stack.start_trainer().await;
    stack.ready().await;
    for (key, answer) in [("order-1", first), ("order-2", second)] {
        let again = stack.client().ask_deployment("gateway", &asked, Some(key)).await.unwrap();
        assert_eq!(again.decisions[0].id, answer.decisions[0].id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_made_once_and_when_it_is_stopped_it_takes_no_requests() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let policy = import(&trainer, "cheapest", "default").await;
    let made = trainer.deploy(&settings("gateway", policy)).await.unwrap();
    assert_eq!(trainer.deploy(&settings("gateway", policy)).await.unwrap().run, made.run);
    let other = NewDeployment { step_seconds: 60, settle_seconds: 0, ..settings("gateway", policy) };
    assert_eq!(code(trainer.deploy(&other).await), "deployment_exists");
    assert_eq!(code(trainer.deployment("highway", None).await), "deployment_not_found");
    let never = NewDeployment { settle_seconds: 3600, ..settings("highway", policy) };
    assert_eq!(code(trainer.deploy(&never).await), "invalid_request");
    let nobody = settings("highway", Uuid::now_v7());
    assert_eq!(code(trainer.deploy(&nobody).await), "invalid_request");
    let unspoken = trainer.ask_deployment("gateway", &call(None, vec![inference(1.0)]), None).await;
    assert_eq!(code(unspoken), "invalid_request");
    let decision = one(&trainer, "gateway", at(0, 0), 1.0).await;
    let stopped = trainer.stop_deployment("gateway", Some("enough".into())).await.unwrap();
    assert_eq!(stopped.status, DeploymentStatus::Stopped);
    let refused = trainer.ask_deployment("gateway", &call(at(0, 1), vec![inference(1.0)]), None).await;
    assert_eq!(code(refused), "deployment_stopped");
    trainer.tell_outcome(decision.id, &done(300.0)).await.unwrap();
    assert_eq!(trainer.deployments().await.unwrap().items.len(), 1);
}

/// A deployment that has made two checkpoints, has decided on since, and has an open window.
async fn with_checkpoints(stack: &Stack) -> Vec<(u32, api::Hash)> {
    let trainer = stack.client();
    let policy = import(&trainer, "bid-price-counting", "contended").await;
    trainer.deploy(&settings("gateway", policy)).await.unwrap();
    for window in 0..8 {
        let requests = (0..7).map(|n| inference(0.5 + f64::from(n))).collect();
        let made = ask(&trainer, "gateway", call(at(window, 5), requests)).await;
        for decision in made.iter().step_by(2) {
            if decision.provider.is_some() {
                trainer.tell_outcome(decision.id, &done(120.0)).await.unwrap();
            }
        }
    }
    let mut checkpoints = Vec::new();
    for record in stack.ledger.records_of("deployment.window") {
        let ended = records::deployments::WindowEnded::read(&record).unwrap();
        checkpoints.extend(ended.checkpoint_sha256.map(|name| (ended.next, name)));
    }
    checkpoints
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_goes_on_from_its_last_checkpoint_and_reads_only_what_came_since() {
    let mut stack = Stack::without_trainer().await;
    stack.checkpoint_decisions = 20;
    stack.start_trainer().await;
    stack.ready().await;
    let checkpoints = with_checkpoints(&stack).await;
    assert_eq!(checkpoints.iter().map(|(window, _)| *window).collect::<Vec<_>>(), [3, 6]);
    let before = stack.client().deployment("gateway", None).await.unwrap();
    stack.kill_trainer().await;
    // a decision of the first window is not what it was: whoever reads it finds that
    let mut first = stack.ledger.decisions(before.run).remove(0);
    first.agent += 1;
    stack.ledger.tamper_decision(first);
    stack.start_trainer().await;
    stack.ready().await;
    let after = stack.client().deployment("gateway", None).await.unwrap().stream;
    assert_eq!(after, before.stream);
    one(&stack.client(), "gateway", at(8, 5), 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_gone_or_false_is_passed_over() {
    let mut stack = Stack::without_trainer().await;
    stack.checkpoint_decisions = 20;
    stack.start_trainer().await;
    stack.ready().await;
    let checkpoints = with_checkpoints(&stack).await;
    let before = stack.client().deployment("gateway", None).await.unwrap().stream;
    let (_, last) = checkpoints[1];
    let bytes = stack.ledger.artifact(last).unwrap();
    let mut other: Value = serde_json::from_slice(&bytes).unwrap();
    other["market_updates"] = json!(5);
    let other = stack.ledger.put_artifact(&serde_json::to_vec(&other).unwrap());
    for name in [Some(other), None] {
        stack.kill_trainer().await;
        match name {
            Some(name) => stack.ledger.tamper_records(|records| {
                let named = records.iter_mut().filter_map(|record| record.body.get_mut("checkpoint_sha256"));
                named.for_each(|named| *named = json!(name));
            }),
            None => stack.ledger.forget_artifact(other),
        }
        stack.start_trainer().await;
        stack.ready().await;
        assert_eq!(stack.client().deployment("gateway", None).await.unwrap().stream, before);
    }
}
