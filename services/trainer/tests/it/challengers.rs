//! Challengers of deployments over HTTP: shadows, canaries, promotion and rollback, and that all of it follows from records.

use std::collections::HashMap;

use api::{
    deployments::{
        Challenger, ChallengerMode, ChallengerState, ChangeChampion, Clock, DeployedRequest, Deployment,
        DeploymentRequest, DeploymentStream, Durability, Explore, Guardrails, MarketUpdate, NewDeployment,
        Promotion, ShadowStatus,
    },
    policies::{NewPolicy, Outcome, RoutingRequest, ServedDecision},
    remembrancer::Action,
    trainer::EnvironmentSpec,
};
use chrono::{DateTime, TimeDelta, Utc};
use client::{ClientError, Trainer};
use uuid::Uuid;

use crate::support::Stack;

/// 2026-11-30 is a Monday.
fn at(window: i64, seconds: i64) -> Option<DateTime<Utc>> {
    let start: DateTime<Utc> = "2026-11-30T00:00:00Z".parse().unwrap();
    Some(start + TimeDelta::seconds(3600 * window + seconds))
}

async fn import(trainer: &Trainer, rule: &str, preset: &str) -> Uuid {
    let environment: EnvironmentSpec = serde_json::from_value(serde_json::json!({"preset": preset})).unwrap();
    let policy = NewPolicy { rule: Some(rule.into()), environment, ..NewPolicy::default() };
    trainer.import_policy(&policy).await.unwrap().id
}

fn canary(policy_id: Uuid, share: f64) -> Challenger {
    Challenger { policy_id, mode: ChallengerMode::Canary, share: Some(share) }
}

fn shadow(policy_id: Uuid) -> Challenger {
    Challenger { policy_id, mode: ChallengerMode::Shadow, share: None }
}

fn settings(policy_id: Uuid, challengers: Vec<Challenger>) -> NewDeployment {
    NewDeployment {
        name: "gateway".into(),
        policy_id,
        step_seconds: 3600,
        settle_seconds: 60,
        clock: Clock::Caller,
        starts_at: at(0, 0),
        explore: None,
        outcome_deadline_seconds: 2 * 3600,
        hold_seconds: None,
        challengers,
        guardrails: None,
        promotion: Promotion::default(),
        preference: None,
        durability: Durability::default(),
        federate: false,
    }
}

/// An A100 in eu-west-1: flux is the cheapest (1.7 $), aethir the fastest.
fn request(id: Option<String>) -> DeployedRequest {
    let request = RoutingRequest {
        tenant: "tenant-research".into(),
        workload: "llm_inference".into(),
        gpu_hours: 0.01,
        ..RoutingRequest::default()
    };
    DeployedRequest { request, retry_of: None, id }
}

fn numbered(numbers: std::ops::Range<u32>) -> Vec<DeployedRequest> {
    numbers.map(|number| request(Some(format!("request-{number}")))).collect()
}

async fn ask(
    trainer: &Trainer,
    now: Option<DateTime<Utc>>,
    requests: Vec<DeployedRequest>,
) -> Vec<ServedDecision> {
    let call = DeploymentRequest { requests, now, ..DeploymentRequest::default() };
    trainer.ask_deployment("gateway", &call, None).await.unwrap().decisions
}

async fn stream(trainer: &Trainer) -> DeploymentStream {
    trainer.deployment("gateway", None).await.unwrap().stream.unwrap()
}

/// Where the stream stands, once the shadow, its first challenger, has seen all.
async fn followed(trainer: &Trainer) -> DeploymentStream {
    test_support::eventually("the shadow has seen all", async || {
        let stream = stream(trainer).await;
        let shadow = stream.challengers[0].shadow.clone().unwrap();
        if shadow.behind == 0 && shadow.state_sha256.is_some() { Ok(stream) } else { Err(shadow) }
    })
    .await
}

/// What its shadow shows, once it has seen all.
async fn shown(trainer: &Trainer) -> ShadowStatus {
    followed(trainer).await.challengers.remove(0).shadow.unwrap()
}

fn told(succeeded: bool) -> Outcome {
    Outcome { succeeded, latency_ms: succeeded.then_some(300.0), ..Outcome::default() }
}

fn because(reason: &str) -> ChangeChampion {
    ChangeChampion { challenger: None, reason: reason.into() }
}

fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result {
        Err(ClientError::Problem(problem)) => problem.code.clone(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_decides_its_share_of_the_requests_and_the_same_ones_again() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let (cheapest, fastest) =
        (import(&trainer, "cheapest", "default").await, import(&trainer, "fastest", "default").await);
    let deployed = trainer.deploy(&settings(cheapest, vec![canary(fastest, 0.3)])).await.unwrap();
    let first = ask(&trainer, at(0, 0), numbered(0..500)).await;
    let canarys = first.iter().filter(|decision| decision.arm == 1).count();
    assert!((110..=190).contains(&canarys), "150 of 500 were to be the canary's, {canarys} were"); // 4 deviations
    // both are known to choose otherwise, so that the draw is the whole probability
    for decision in &first {
        let expected = if decision.arm == 1 { ("aethir", 0.3) } else { ("flux", 0.7) };
        assert_eq!((decision.provider.as_deref().unwrap(), decision.propensity), expected);
    }
    let again = ask(&trainer, at(1, 0), numbered(0..500)).await;
    assert!(again.iter().map(|decision| decision.arm).eq(first.iter().map(|decision| decision.arm)));
    let recorded = stack.ledger.decisions(deployed.run);
    assert!(recorded.iter().map(|decision| decision.arm).eq(first.iter().chain(&again).map(|d| d.arm)));
    let details = trainer.decision(first.iter().find(|d| d.arm == 1).unwrap().id).await.unwrap();
    assert_eq!(details.policy_id, fastest);
    // requests without an id are drawn for by their places
    let unnamed = ask(&trainer, at(1, 1), vec![request(None); 200]).await;
    let canarys = unnamed.iter().filter(|decision| decision.arm == 1).count();
    assert!((34..=86).contains(&canarys), "60 of 200 were to be the canary's, {canarys} were");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_try_is_decided_by_the_arm_of_the_first() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let (cheapest, fastest) =
        (import(&trainer, "cheapest", "default").await, import(&trainer, "fastest", "default").await);
    trainer.deploy(&settings(cheapest, vec![canary(fastest, 0.5)])).await.unwrap();
    let first = ask(&trainer, at(0, 0), numbered(0..20)).await;
    for decision in &first {
        trainer.tell_outcome(decision.id, &told(false)).await.unwrap();
    }
    let again = first.iter().map(|d| DeployedRequest { retry_of: Some(d.id), ..request(None) }).collect();
    let second = ask(&trainer, at(0, 1), again).await;
    assert!(second.iter().map(|decision| decision.arm).eq(first.iter().map(|decision| decision.arm)));
    assert!(second.iter().zip(&first).all(|(second, first)| second.provider != first.provider));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_sends_nothing_anywhere_and_shows_where_it_agrees() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let (cheapest, same) =
        (import(&trainer, "cheapest", "default").await, import(&trainer, "fastest", "default").await);
    let deployed = trainer.deploy(&settings(cheapest, vec![shadow(same)])).await.unwrap();
    let decisions = ask(&trainer, at(0, 0), vec![request(None); 10]).await;
    assert!(decisions.iter().all(|decision| decision.arm == 0 && decision.propensity == 1.0));
    let figures = shown(&trainer).await;
    assert_eq!((figures.compared, figures.disagreements, figures.disagreement_rate), (10, 10, Some(1.0)));
    assert!(
        figures.expected_cost_usd.unwrap() > 0.0 && figures.expected_latency_ms.unwrap() < 0.0,
        "{figures:?}"
    );
    assert_eq!(stack.ledger.decisions(deployed.run).len(), 10);
    // where only one provider is left, both agree, and what is told is told of both
    let down =
        |id: &str| api::policies::ProviderNow { id: id.into(), available: Some(false), ..Default::default() };
    let update = MarketUpdate {
        providers: vec![down("aethir"), down("akash")],
        now: at(0, 1),
        ..MarketUpdate::default()
    };
    trainer.set_market("gateway", &update).await.unwrap();
    let agreed = ask(&trainer, at(0, 2), vec![request(None); 4]).await;
    for (decision, succeeded) in agreed.iter().zip([true, true, false]) {
        trainer.tell_outcome(decision.id, &told(succeeded)).await.unwrap();
    }
    trainer.tell_outcome(decisions[0].id, &told(true)).await.unwrap();
    let figures = shown(&trainer).await;
    assert_eq!((figures.compared, figures.disagreements), (14, 10));
    assert_eq!((figures.agreed.succeeded, figures.agreed.failed), (2, 1));
    assert_eq!(figures.agreed.mean_latency_ms, Some(300.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_breaches_its_guardrails_is_rolled_back_at_once_with_its_figures() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let (cheapest, fastest) =
        (import(&trainer, "cheapest", "default").await, import(&trainer, "fastest", "default").await);
    let guardrails = Some(Guardrails { max_failure_rate: Some(0.05), ..Guardrails::default() });
    let asked = NewDeployment { guardrails, ..settings(cheapest, vec![canary(fastest, 0.5)]) };
    trainer.deploy(&asked).await.unwrap();
    let decisions = ask(&trainer, at(0, 0), numbered(0..60)).await;
    for decision in &decisions {
        // what the canary sends out fails, what the champion does is done
        trainer.tell_outcome(decision.id, &told(decision.arm == 0)).await.unwrap();
    }
    let next = ask(&trainer, at(0, 1), numbered(0..60)).await;
    assert!(next.iter().all(|decision| decision.arm == 0 && decision.propensity == 1.0));
    let body = &stack.ledger.records_of("deployment.rolled-back")[0].body;
    assert_eq!((&body["cause"], &body["arm"]), (&"failure_rate".into(), &1.into()));
    let figures = &body["comparison"];
    let failed = figures["canary"]["failed"].as_u64().unwrap();
    assert!((3..=8).contains(&failed), "{failed} failures were needed");
    assert_eq!((&figures["canary"]["succeeded"], &figures["champion"]["failed"]), (&0.into(), &0.into()));
    let status = &stream(&trainer).await.challengers[0];
    assert_eq!((status.state, status.share), (ChallengerState::RolledBack, None));
    assert_eq!(
        code(trainer.promote_challenger("gateway", &because("now it is good")).await),
        "no_challenger"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenger_is_promoted_by_hand_and_rolled_back_to_the_champion_before_it() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let (cheapest, fastest) =
        (import(&trainer, "cheapest", "default").await, import(&trainer, "fastest", "default").await);
    trainer.deploy(&settings(cheapest, vec![shadow(fastest)])).await.unwrap();
    ask(&trainer, at(0, 0), vec![request(None); 3]).await;
    let promoted = trainer.promote_challenger("gateway", &because("it is fast")).await.unwrap();
    assert_eq!(promoted.stream.unwrap().champion, 1);
    let decision = ask(&trainer, at(0, 1), vec![request(None)]).await.remove(0);
    assert_eq!((decision.arm, decision.provider.as_deref()), (1, Some("aethir")));
    assert_eq!(code(trainer.promote_challenger("gateway", &because("again")).await), "no_challenger");
    let back: Deployment = trainer.roll_back_challenger("gateway", &because("it is dear")).await.unwrap();
    let back = back.stream.unwrap();
    assert_eq!((back.champion, back.challengers[0].state), (0, ChallengerState::RolledBack));
    let decision = ask(&trainer, at(0, 2), vec![request(None)]).await.remove(0);
    assert_eq!((decision.arm, decision.provider.as_deref()), (0, Some("flux")));
    assert_eq!(code(trainer.roll_back_challenger("gateway", &because("again")).await), "no_challenger");
    let reasons = |kind| stack.ledger.records_of(kind)[0].body["reason"].clone();
    assert_eq!(reasons("deployment.promoted"), "it is fast");
    assert_eq!(reasons("deployment.rolled-back"), "it is dear");
}

/// What happens in a deployment with a shadow, a canary that is promoted, and another one that goes on.
async fn feed(trainer: &Trainer, windows: std::ops::Range<u32>) {
    for window in windows {
        let decisions = ask(trainer, at(window.into(), 0), numbered(window * 40..(window + 1) * 40)).await;
        for decision in decisions.iter().filter(|decision| decision.action == Action::Route) {
            if decision.sequence % 7 > 0 {
                let outcome = Outcome {
                    succeeded: decision.sequence % 5 > 0,
                    latency_ms: Some(decision.expected_latency_ms.unwrap() * 1.2),
                    ..Outcome::default()
                };
                trainer.tell_outcome(decision.id, &outcome).await.unwrap();
            }
        }
        if window == 2 {
            let change = ChangeChampion { challenger: Some(2), reason: "by hand".into() };
            trainer.promote_challenger("gateway", &change).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_interrupted_goes_on_to_the_same_bytes_as_one_that_nobody_disturbed() {
    let mut ends = Vec::new();
    for disturbed in [false, true] {
        let mut stack = Stack::start().await;
        stack.ledger.set_page_size(7);
        let mut policies = HashMap::new();
        for rule in ["cheapest", "fastest", "bid-price-counting"] {
            policies.insert(rule, import(&stack.client(), rule, "unreliable").await);
        }
        let challengers = vec![
            shadow(policies["fastest"]),
            canary(policies["bid-price-counting"], 0.4),
            // it does what the first champion does, and not what the promoted one does
            canary(policies["cheapest"], 0.2),
        ];
        let explore = Some(Explore { epsilon: 0.1, cost_guard: 0.5 });
        let guardrails = Some(Guardrails { max_failure_rate: Some(0.9), ..Guardrails::default() });
        let asked = NewDeployment { explore, guardrails, ..settings(policies["cheapest"], challengers) };
        let run = stack.client().deploy(&asked).await.unwrap().run;
        feed(&stack.client(), 0..2).await;
        for (pause, windows) in [(1, 2..4), (2, 4..6)] {
            // in the middle of a window, in which requests have been decided by every arm
            ask(&stack.client(), at(pause * 2, 0), numbered(1000..1020)).await;
            if disturbed {
                stack.kill_trainer().await;
                stack.ledger.run_out_leases();
                stack.start_trainer().await;
                stack.ready().await;
                test_support::eventually("the deployment is served again", async || {
                    stack.client().deployment("gateway", None).await
                })
                .await;
            }
            feed(&stack.client(), windows).await;
        }
        let end = followed(&stack.client()).await;
        assert_eq!(end.champion, 2);
        assert!(end.challengers[2].comparison.unwrap().difference.disagreements > 0);
        ends.push((stack.ledger.decisions(run), end));
    }
    assert!((0..3).all(|arm| ends[0].0.iter().any(|decision| decision.arm == [0, 2, 3][arm])));
    assert_eq!(ends[0].0, ends[1].0);
    assert_eq!(ends[0].1, ends[1].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn challengers_that_cannot_be_are_refused_with_what_is_wrong() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let (cheapest, fastest) =
        (import(&trainer, "cheapest", "default").await, import(&trainer, "fastest", "default").await);
    let elsewhere = import(&trainer, "fastest", "drifting").await;
    let guardrails = Some(Guardrails { max_failure_rate: Some(0.1), ..Guardrails::default() });
    let shared = Challenger { share: Some(0.1), ..shadow(fastest) };
    let unshared = Challenger { share: None, ..canary(fastest, 0.1) };
    for (challengers, guardrails, pointer) in [
        (vec![canary(fastest, 0.7)], None, "/challengers/0/share"),
        (vec![canary(fastest, 0.5), canary(fastest, 0.45)], None, "/challengers"),
        (vec![shared], None, "/challengers/0/share"),
        (vec![unshared], None, "/challengers/0/share"),
        (vec![shadow(elsewhere)], None, "/challengers/0/policy_id"),
        (vec![shadow(Uuid::nil())], None, "/challengers/0/policy_id"),
        (vec![shadow(fastest)], guardrails, "/guardrails"),
    ] {
        let asked = NewDeployment { guardrails, ..settings(cheapest, challengers) };
        let refused = trainer.deploy(&asked).await;
        let Err(ClientError::Problem(problem)) = refused else { panic!("{pointer}: {refused:?}") };
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, [pointer]);
    }
}
