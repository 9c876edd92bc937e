use api::{
    Page,
    remembrancer::{Lease, Record, RunHead},
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Fixture, Service, decisions, fixture, json_of, run};

const NAME: &str = "run:0198c7a0-12ab-7abc-8def-0123456789ab";

async fn claim(service: &Service, holder: &str) -> Lease {
    let claim = json!({"holder": holder, "ttl_ms": 60_000});
    json_of(service.post(&format!("/v1/leases/{NAME}/claim"), &claim).await, StatusCode::OK).await
}

async fn release(service: &Service, token: u64) -> Lease {
    let answer = service.post(&format!("/v1/leases/{NAME}/release"), &json!({"token": token})).await;
    json_of(answer, StatusCode::OK).await
}

/// What the database's clock would do in time.
async fn run_out(service: &Fixture) {
    service.database.execute("UPDATE leases SET expires_at = now() - interval '1 second'").await;
}

async fn refusal(service: &Service, path: &str, body: &Value) -> String {
    service.refused(path, body, StatusCode::CONFLICT).await.code
}

fn note(id: &str) -> Value {
    json!({"id": id, "kind": "note", "subject": "s", "body": {}})
}

#[tokio::test]
async fn a_lease_is_held_until_it_is_given_back_and_every_claim_gets_a_greater_token() {
    let service = fixture().await;
    let first = claim(&service, "a").await;
    assert_eq!((first.name.as_str(), first.holder.as_deref(), first.held), (NAME, Some("a"), true));

    let path = format!("/v1/leases/{NAME}/claim");
    let problem =
        service.refused(&path, &json!({"holder": "b", "ttl_ms": 60_000}), StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "lease_held");
    assert!(problem.detail.contains("\"a\"") && problem.detail.contains(&first.expires_at.to_string()));

    let released = release(&service, first.token).await;
    assert_eq!((released.holder, released.held), (None, false));
    let again = release(&service, first.token).await;
    assert_eq!(again.expires_at, released.expires_at, "giving back what was given back changes nothing");
    let second = claim(&service, "b").await;
    assert!(second.token > first.token);
    assert_eq!(
        refusal(&service, &format!("/v1/leases/{NAME}/release"), &json!({"token": first.token})).await,
        "lease_lost"
    );
    assert_eq!(service.get_json::<Lease>(&format!("/v1/leases/{NAME}")).await, second);
}

#[tokio::test]
async fn a_holder_that_did_not_get_its_answer_claims_again_and_only_the_newer_token_counts() {
    let service = fixture().await;
    let (lost, found) = (claim(&service, "a").await, claim(&service, "a").await);
    assert!(found.token > lost.token);
    let path = format!("/v1/records?lease={NAME}&token={}", lost.token);
    assert_eq!(refusal(&service, &path, &note("n")).await, "lease_lost");
}

#[tokio::test]
async fn of_many_claims_at_once_one_succeeds() {
    let service = fixture().await;
    let claims = (0..12).map(|number| {
        let (client, url) = (test_support::http_client(), format!("{}/v1/leases/{NAME}/claim", service.url));
        let claim = json!({"holder": format!("holder-{number}"), "ttl_ms": 60_000});
        tokio::spawn(async move { client.post(url).json(&claim).send().await.unwrap().status() })
    });
    let mut statuses = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        statuses.push(claim.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], StatusCode::OK);
    assert!(statuses[1..].iter().all(|status| *status == StatusCode::CONFLICT), "{statuses:?}");
}

#[tokio::test]
async fn a_lease_that_has_run_out_can_be_claimed_by_anybody_and_renewed_until_somebody_did() {
    let service = fixture().await;
    let first = claim(&service, "a").await;
    run_out(&service).await;
    assert!(!service.get_json::<Lease>(&format!("/v1/leases/{NAME}")).await.held);
    let path = format!("/v1/leases/{NAME}/renew");
    let renewal = json!({"token": first.token, "ttl_ms": 60_000});
    let renewed: Lease = json_of(service.post(&path, &renewal).await, StatusCode::OK).await;
    assert!(renewed.held && renewed.expires_at > first.expires_at);
    assert_eq!(renewed.token, first.token);

    let other = json!({"holder": "b", "ttl_ms": 60_000});
    let code = refusal(&service, &format!("/v1/leases/{NAME}/claim"), &other).await;
    assert_eq!(code, "lease_held", "a renewal keeps it");
    run_out(&service).await;
    let second = claim(&service, "b").await;
    assert!(second.token > first.token);
    assert_eq!(refusal(&service, &path, &renewal).await, "lease_lost");
}

#[tokio::test]
async fn nothing_is_written_under_a_claim_that_is_over() {
    let service = fixture().await;
    let first = claim(&service, "a").await;
    let under = |token: u64, what: &str| format!("/v1/{what}?lease={NAME}&token={token}");
    let batch = |sequences| json!({"decisions": decisions(run(1), sequences)});
    let taken = service.post(&under(first.token, "decisions"), &batch(0..5)).await;
    assert_eq!(taken.status(), StatusCode::CREATED);
    run_out(&service).await;
    let taken = service.post(&under(first.token, "records"), &note("late")).await;
    assert_eq!(taken.status(), StatusCode::CREATED, "nobody else has claimed it yet");

    let second = claim(&service, "b").await;
    for sequences in [0..5, 5..10] {
        let code = refusal(&service, &under(first.token, "decisions"), &batch(sequences)).await;
        assert_eq!(code, "lease_lost");
    }
    assert_eq!(refusal(&service, &under(first.token, "records"), &note("zombie")).await, "lease_lost");
    assert_eq!(service.get("/v1/records/zombie").await.status(), StatusCode::NOT_FOUND);
    let head: RunHead = service.get_json(&format!("/v1/log/runs/{}", run(1))).await;
    assert_eq!(head.next_sequence, 5);

    let taken = service.post(&under(second.token, "decisions"), &batch(3..10)).await;
    assert_eq!(taken.status(), StatusCode::CREATED);
    release(&service, second.token).await;
    assert_eq!(refusal(&service, &under(second.token, "records"), &note("late-2")).await, "lease_lost");
    let records: Page<Record> = service.get_json("/v1/records").await;
    assert_eq!(records.items.len(), 1);
}

#[tokio::test]
async fn a_run_that_was_recorded_under_a_lease_takes_nothing_without_it() {
    let service = fixture().await;
    let first = claim(&service, "a").await;
    let path = format!("/v1/decisions?lease={NAME}&token={}", first.token);
    let batch = |sequences| json!({"decisions": decisions(run(1), sequences)});
    assert_eq!(service.post(&path, &batch(0..5)).await.status(), StatusCode::CREATED);
    assert_eq!(refusal(&service, "/v1/decisions", &batch(5..6)).await, "lease_required");
    let known = service.post("/v1/decisions", &batch(0..5)).await;
    assert_eq!(known.status(), StatusCode::OK, "what is there already may be asked for by anybody");

    // The leases' table was restored from before the second claim: the run's head remembers it all the same.
    let second = claim(&service, "a").await;
    let newer = format!("/v1/decisions?lease={NAME}&token={}", second.token);
    assert_eq!(service.post(&newer, &batch(5..6)).await.status(), StatusCode::CREATED);
    service.database.execute(&format!("UPDATE leases SET token = {}", first.token)).await;
    assert_eq!(refusal(&service, &path, &batch(6..7)).await, "lease_lost");

    // Another run of the same configuration has the same digest, and a lease of its own.
    let claimed: Lease = json_of(
        service.post("/v1/leases/other/claim", &json!({"holder": "c", "ttl_ms": 60_000})).await,
        StatusCode::OK,
    )
    .await;
    let path = format!("/v1/decisions?lease=other&token={}", claimed.token);
    assert_eq!(service.post(&path, &batch(0..7)).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn leases_are_listed_by_name_holder_and_whether_somebody_has_them() {
    let service = fixture().await;
    for number in 0..7 {
        let (kind, holder) = (["run", "evaluation"][number % 2], format!("h{}", number % 3));
        let path = format!("/v1/leases/{kind}:{number}/claim");
        json_of::<Lease>(
            service.post(&path, &json!({"holder": holder, "ttl_ms": 60_000})).await,
            StatusCode::OK,
        )
        .await;
    }
    json_of::<Lease>(service.post("/v1/leases/run:2/release", &json!({"token": 1})).await, StatusCode::OK)
        .await;
    let names = async |query: &str| {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<Lease> = service.get_json(&format!("/v1/leases?limit=2&{query}{cursor}")).await;
            names.extend(page.items.into_iter().map(|lease| lease.name));
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return names.join(" "),
            }
        }
    };
    assert_eq!(names("prefix=run:").await, "run:0 run:2 run:4 run:6");
    assert_eq!(names("prefix=run:&held=true").await, "run:0 run:4 run:6");
    assert_eq!(names("held=false").await, "run:2");
    assert_eq!(names("holder=h0").await, "evaluation:3 run:0 run:6");
    for (query, pointer) in [("cursor=zz", "?cursor"), ("prefix=", "?prefix"), ("held=maybe", "?held")] {
        let problem: api::Problem =
            json_of(service.get(&format!("/v1/leases?{query}")).await, StatusCode::UNPROCESSABLE_ENTITY)
                .await;
        assert_eq!(problem.errors[0].pointer, pointer);
    }
}

#[tokio::test]
async fn what_is_no_claim_is_pointed_at() {
    let service = fixture().await;
    for (path, body, pointer) in [
        ("/v1/leases/x/claim", json!({"holder": "", "ttl_ms": 60_000}), "/holder"),
        ("/v1/leases/x/claim", json!({"holder": "a", "ttl_ms": 99}), "/ttl_ms"),
        ("/v1/leases/x/renew", json!({"token": 0, "ttl_ms": 100}), "/token"),
        ("/v1/leases/a%00b/claim", json!({"holder": "a", "ttl_ms": 100}), "{name}"),
        ("/v1/records?lease=x", note("n"), "?token"),
        ("/v1/records?token=1", note("n"), "?lease"),
    ] {
        let problem = service.refused(path, &body, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem.errors[0].pointer, pointer, "{path}");
    }
    let problem: api::Problem = json_of(service.get("/v1/leases/nobody").await, StatusCode::NOT_FOUND).await;
    assert_eq!(problem.code, "lease_not_found");
    let nobody = json!({"token": 1, "ttl_ms": 100});
    assert_eq!(refusal(&service, "/v1/leases/nobody/renew", &nobody).await, "lease_lost");
}

/// What somebody does with a lease.
#[derive(Clone, Debug)]
enum Act {
    Claim(usize),
    Renew,
    Release,
    RunOut,
}

#[tokio::test]
async fn whatever_is_done_tokens_grow_and_only_the_last_claim_writes() {
    let act = prop_oneof![
        4 => (0..3_usize).prop_map(Act::Claim),
        1 => Just(Act::Renew),
        2 => Just(Act::Release),
        2 => Just(Act::RunOut),
    ];
    let acts = prop::collection::vec(act, 120).new_tree(&mut TestRunner::deterministic()).unwrap().current();
    let service = fixture().await;
    let mut tokens: Vec<u64> = Vec::new();
    for (number, act) in acts.into_iter().enumerate() {
        match act {
            Act::Claim(holder) => {
                let claim = json!({"holder": format!("h{holder}"), "ttl_ms": 60_000});
                let answer = service.post(&format!("/v1/leases/{NAME}/claim"), &claim).await;
                if answer.status() == StatusCode::OK {
                    let token = answer.json::<Lease>().await.unwrap().token;
                    assert!(tokens.last().is_none_or(|last| *last < token), "{tokens:?}, then {token}");
                    tokens.push(token);
                }
            }
            Act::Renew => {
                let renewal = json!({"token": tokens.last().unwrap_or(&1), "ttl_ms": 60_000});
                service.post(&format!("/v1/leases/{NAME}/renew"), &renewal).await;
            }
            Act::Release => {
                let token = tokens.last().unwrap_or(&1);
                service.post(&format!("/v1/leases/{NAME}/release"), &json!({"token": token})).await;
            }
            Act::RunOut => run_out(&service).await,
        }
        for (age, token) in tokens.iter().rev().enumerate().take(3) {
            let path = format!("/v1/records?lease={NAME}&token={token}");
            let status = service.post(&path, &note(&format!("{number}-{token}"))).await.status();
            assert!(age == 0 || status == StatusCode::CONFLICT, "an older claim wrote");
        }
    }
    assert!(tokens.len() > 10, "{tokens:?}");
}
