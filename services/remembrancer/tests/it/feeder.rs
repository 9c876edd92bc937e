//! The feeder between real logs and real witnesses, and between a real log and witnesses that behave badly.

use std::{sync::Arc, time::Duration};

use api::remembrancer::{Evidence, LogKey};
use axum::{Router, http::StatusCode, routing::post};
use client::{
    ClientError, Endpoint, Remembrancer,
    feeder::{FeedError, Round, WitnessFeeder},
};
use merkle_log::{
    checkpoint::Checkpoint,
    cosignature::Cosigner,
    note::{SignedNote, VerifierKey},
    trust_policy::TrustPolicy,
    witness::AddCheckpoint,
};
use remembrancer::Config;

use crate::{
    support::{Fixture, Service, config, decisions, fixture, run, start},
    witness::{copy_folder, policy_of, witness_of},
};

fn client_of(service: &Service) -> Remembrancer {
    Remembrancer::new(Endpoint::new(&service.url)).unwrap()
}

fn feeder(log: &Service, policy: &TrustPolicy) -> WitnessFeeder {
    WitnessFeeder::new(client_of(log), policy).unwrap()
}

/// A log with some decisions, its witnesses, and its policy, with which it was started again.
async fn witnessed_by(witnesses: usize) -> (Fixture, Vec<Fixture>, TrustPolicy) {
    let log = fixture().await;
    log.record(&decisions(run(1), 0..300)).await;
    let key = log.get_json::<LogKey>("/v1/log/key").await.verifier_key;
    let mut all = Vec::new();
    for _ in 0..witnesses {
        all.push(witness_of(&[&key]).await);
    }
    let policy = policy_of(&key, &all).await;
    (with_policy(log, &policy_text(&key, &all).await).await, all, policy)
}

async fn policy_text(log: &str, witnesses: &[Fixture]) -> String {
    let mut text = format!("log {log}\n");
    for (at, witness) in witnesses.iter().enumerate() {
        text.push_str(&format!("witness W{at} {}\n", witness.witness_key().await));
    }
    let names: Vec<String> = (0..witnesses.len()).map(|at| format!("W{at}")).collect();
    text + &format!("group g all {}\nquorum g\n", names.join(" "))
}

/// The same log behind a service with this trust policy.
async fn with_policy(log: Fixture, policy: &str) -> Fixture {
    let Fixture { service, database, data } = log;
    drop(service);
    let file = data.path().join("policy");
    std::fs::write(&file, policy).unwrap();
    let service = start(Config { trust_policy: Some(file), ..config(database.url(), &data) }).await;
    Fixture { service, database, data }
}

fn cosigned(round: &Round) -> Vec<&str> {
    round.asked.iter().filter(|(_, asked)| asked.is_ok()).map(|(name, _)| &**name).collect()
}

#[tokio::test]
async fn every_witness_gets_the_same_checkpoint_and_the_log_their_cosignatures() {
    let (log, _witnesses, policy) = witnessed_by(3).await;
    let mut feeder = feeder(&log, &policy);
    assert_eq!(feeder.witnesses(), 3);
    let round = feeder.feed().await.unwrap();
    assert_eq!((cosigned(&round), round.quorum), (vec!["W0", "W1", "W2"], Some(true)));
    assert!(feeder.feed().await.unwrap().asked.is_empty(), "nothing is new");

    log.record(&decisions(run(1), 300..1000)).await;
    let round = feeder.feed().await.unwrap();
    assert_eq!((round.head.tree_size, cosigned(&round).len()), (1000, 3));
    let bundle: Evidence = log.get_json("/v1/log/evidence?log_index=700&witnessed=true").await;
    let witnessed = policy.verify(&bundle.checkpoint, None).unwrap();
    assert_eq!((witnessed.checkpoint.size, witnessed.cosigned.len()), (1000, 3));

    // Another feeder knows nothing, and is told by the witnesses where they stand.
    log.record(&decisions(run(1), 1000..1001)).await;
    let mut other = WitnessFeeder::new(client_of(&log), &policy).unwrap();
    let round = other.feed().await.unwrap();
    assert_eq!(round.quorum, Some(true), "{:?}", round.asked);
    // And the first one, whose memory is old now, goes on.
    log.record(&decisions(run(1), 1001..1002)).await;
    let round = feeder.feed().await.unwrap();
    assert_eq!(round.quorum, Some(true), "{:?}", round.asked);
}

#[tokio::test]
async fn a_witness_that_is_away_or_knows_nothing_holds_nobody_up_and_is_asked_again() {
    let (log, mut witnesses, policy) = witnessed_by(2).await;
    let gone = witnesses.pop().unwrap();
    let Fixture { service, database, data } = gone;
    let address = service.url.trim_start_matches("http://").to_owned();
    drop(service);
    test_support::eventually("the witness is away", async || {
        match tokio::net::TcpStream::connect(&address).await {
            Ok(_) => Err("it still listens"),
            Err(_) => Ok(()),
        }
    })
    .await;
    let mut feeder = feeder(&log, &policy);
    let round = feeder.feed().await.unwrap();
    assert_eq!((cosigned(&round), round.quorum), (vec!["W0"], Some(false)));
    assert!(matches!(
        round.asked[1].1,
        Err(FeedError::Client(ClientError::Unreachable { .. } | ClientError::TimedOut { .. }))
    ));
    assert!(feeder.feed().await.unwrap().asked.is_empty(), "it is left alone for a moment");

    let key = log.get_json::<LogKey>("/v1/log/key").await.verifier_key;
    let config = Config {
        http: service_kit::HttpConfig {
            bind: address.parse().unwrap(),
            ..service_kit::HttpConfig::on_port(0)
        },
        log_name: "example.org/node".into(),
        witness_logs: vec![key],
        ..config(database.url(), &data)
    };
    let _back = start(config).await;
    test_support::eventually("the witness is back and cosigns", async || {
        let round = feeder.feed().await.unwrap();
        if round.quorum == Some(true) { Ok(()) } else { Err(format!("{round:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_log_that_was_set_back_is_told_from_one_that_only_grew() {
    let (log, _witnesses, policy) = witnessed_by(2).await;
    let backup = tempfile::tempdir().unwrap();
    let Fixture { service, database, data } = log;
    drop(service);
    copy_folder(&data.path().join("remembrancer"), &backup.path().join("remembrancer"));
    let restored = database.copied().await;
    let log = start(config(database.url(), &data)).await;
    log.record(&decisions(run(1), 300..310)).await;
    let mut before = WitnessFeeder::new(client_of(&log), &policy).unwrap();
    // this service has no policy, so that the cosignatures are not kept; the witnesses have given them nevertheless
    let round = before.feed().await.unwrap();
    assert!(matches!(&round.asked[0].1, Err(FeedError::Client(ClientError::Problem(problem)))
        if problem.code == "no_trust_policy"));
    drop(log);

    let fork = start(config(restored.url(), &backup)).await;
    let fresh = || WitnessFeeder::new(client_of(&fork), &policy).unwrap();
    for (recorded, what) in [(0, "behind"), (10, "of the same size"), (25, "further")] {
        if recorded > 0 {
            fork.record(&decisions(run(2), 0..recorded)).await;
        }
        let round = fresh().feed().await.unwrap();
        assert_eq!(round.asked.len(), 2);
        for (name, asked) in &round.asked {
            let error = asked.as_ref().unwrap_err();
            assert!(error.is_fork(), "{what}: {name}: {error}");
            match recorded {
                0 => assert!(matches!(error, FeedError::Ahead { seen: 310, has: 300 }), "{error}"),
                _ => assert!(matches!(error, FeedError::Forked { seen: 310 }), "{what}: {error}"),
            }
        }
        assert_eq!(round.quorum, None);
    }
}

/// A witness that answers what it is made to.
async fn scripted(answer: impl Fn(AddCheckpoint) -> (StatusCode, String) + Send + Sync + 'static) -> String {
    let answer = Arc::new(answer);
    let handler = move |body: String| {
        let answer = Arc::clone(&answer);
        async move { answer(AddCheckpoint::parse(&body).unwrap()) }
    };
    let router = Router::new().route("/deep/prefix/add-checkpoint", post(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/deep/prefix", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn what_a_bad_witness_answers_is_not_believed() {
    let log = fixture().await;
    log.record(&decisions(run(1), 0..5)).await;
    let key = log.get_json::<LogKey>("/v1/log/key").await.verifier_key;
    let cosigner = Cosigner::new("example.org/witness", &[1; 32]).unwrap();
    let impostor = Cosigner::new("example.org/witness", &[2; 32]).unwrap();
    let line = |by: &Cosigner, checkpoint: &str| {
        by.cosign(SignedNote::parse(checkpoint).unwrap().unverified_text(), 7).unwrap().line
    };
    let text = format!("log {key}\nwitness W {}\nquorum W\n", cosigner.witness_key());
    let log = with_policy(log, &text).await;
    let feed = async |answer: Box<dyn Fn(AddCheckpoint) -> (StatusCode, String) + Send + Sync>| {
        let url = scripted(answer).await;
        let policy = format!("witness W {} {url}/\nquorum W\n", cosigner.witness_key());
        let policy = TrustPolicy::parse(policy.as_bytes()).unwrap();
        let mut round = feeder(&log, &policy).feed().await.unwrap();
        (round.asked.remove(0).1, round.quorum)
    };
    let ok = |text: String| (StatusCode::OK, text);
    let other = impostor.clone();
    let (error, _) = feed(Box::new(move |asked| ok(line(&other, &asked.checkpoint)))).await;
    assert!(matches!(error, Err(FeedError::NoCosignature)), "another key of the same name");
    let honest = cosigner.clone();
    let of_another_text = honest.cosign("ai-mesh/log\n9\nAAAA\n", 7).unwrap().line;
    let (error, _) = feed(Box::new(move |_| ok(of_another_text.clone()))).await;
    assert!(matches!(error, Err(FeedError::BadCosignature(_))));
    let (error, _) = feed(Box::new(move |_| ok("thank you\n".into()))).await;
    assert!(matches!(error, Err(FeedError::BadCosignature(_))));
    let (error, _) = feed(Box::new(move |_| ok(String::new()))).await;
    assert!(matches!(error, Err(FeedError::NoCosignature)));
    let (error, _) = feed(Box::new(move |_| (StatusCode::CONFLICT, "many\n".into()))).await;
    assert!(matches!(error, Err(FeedError::Client(ClientError::InvalidAnswer { status: 409, .. }))));
    let (error, _) = feed(Box::new(move |_| (StatusCode::NOT_FOUND, "no such log".into()))).await;
    assert!(matches!(error, Err(FeedError::Refused { status: 404, detail }) if detail == "no such log"));
    let (error, _) = feed(Box::new(move |_| ok("x".repeat(1 << 20)))).await;
    assert!(matches!(error, Err(FeedError::Client(ClientError::InvalidAnswer { .. }))));
    // one that says something else every time does not keep the feeder for ever
    let moving = std::sync::atomic::AtomicU64::new(1);
    let (error, _) = feed(Box::new(move |_| {
        let size = moving.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (StatusCode::CONFLICT, format!("{size}\n"))
    }))
    .await;
    assert!(matches!(error, Err(FeedError::Overtaken)));
    assert_eq!(log.database.count("cosignatures").await, 0, "nothing of all that was kept");

    // A good one among lines of strangers.
    let good = move |asked: AddCheckpoint| {
        ok(format!("{}{}", line(&impostor, &asked.checkpoint), line(&honest, &asked.checkpoint)))
    };
    let (time, quorum) = feed(Box::new(good)).await;
    assert_eq!((time.unwrap(), quorum), (7, Some(true)));
    let note = log.get("/checkpoint").await.text().await.unwrap();
    assert_eq!(note.matches("example.org/witness").count(), 1, "the stranger's line is not kept");
    Checkpoint::verify(&note, &VerifierKey::parse(&key).unwrap()).unwrap();
}

#[tokio::test]
async fn a_silent_witness_is_not_waited_for_without_end() {
    let log = fixture().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()); // accepts, and never answers
    let key = Cosigner::new("example.org/witness", &[1; 32]).unwrap().witness_key();
    let policy = TrustPolicy::parse(format!("witness W {key} {url}\nquorum W\n").as_bytes()).unwrap();
    let mut feeder = feeder(&log, &policy);
    let round = tokio::time::timeout(Duration::from_secs(60), feeder.feed()).await.unwrap().unwrap();
    assert!(matches!(round.asked[0].1, Err(FeedError::Client(ClientError::TimedOut { .. }))));
}
