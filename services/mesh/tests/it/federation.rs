//! `mesh up --peer`, `mesh train --federate` and `mesh federation`.

use std::path::Path;

use serde_json::{Value, json};
use test_support::{database, eventually_blocking, http_client};

use crate::support::{Ran, Up, mesh};

/// A small run that learns with others on a node.
fn train(folder: &Path, node: &Up, evaluator: &str, output: &str, seed: &str) -> Ran {
    let usual =
        ["train", "--trainer", &node.trainer, "--remembrancer", &node.remembrancer, "--evaluator", evaluator];
    let small = [
        "--agents",
        "2",
        "--episodes",
        "4",
        "--steps-per-episode",
        "10",
        "--training-seeds",
        "1",
        "--seeds",
        "2",
    ];
    let told =
        ["--preset", "drifting", "--psi-field", "off", "--federate", "2", "--seed", seed, "--output", output];
    mesh(folder, &[&usual[..], &small, &told].concat())
}

fn status(folder: &Path, node: &Up) -> Value {
    let status = mesh(folder, &["federation", "status", "--json", "--trainer", &node.trainer]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    status.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_another_and_who_lied_is_convicted_by_playing_its_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let (of_a, of_b) = (database().await, database().await);
    let [at_a, at_b] = ["a", "b"].map(|node| {
        let at = folder.path().join(node);
        std::fs::create_dir(&at).unwrap();
        at
    });
    let a = Up::start(&at_a, &of_a);
    let told = mesh(&at_a, &["federation", "status", "--trainer", &a.trainer]);
    assert!(told.stdout.contains("peers       none: `mesh up --peer KEY@URL` names one"), "{}", told.stdout);
    // what is printed can be given to the other node
    let line = told.stdout.lines().find(|line| line.starts_with("to others")).unwrap();
    let peer = line.split('"').nth(1).unwrap().to_owned();
    let b = Up::with(&at_b, &of_b, &["--peer", &peer]);

    let trained = train(&at_a, &a, &a.evaluator, "out", "1");
    assert_eq!(trained.code, 0, "{}", trained.stderr);
    let heard = eventually_blocking("the other node hears of it", || {
        let status = status(&at_b, &b);
        let of = status["streams"][0]["contributions"][0].clone();
        if of["sequence"] == 2 { Ok(of) } else { Err(status) }
    });
    let trained = train(&at_b, &b, &b.evaluator, "out", "77");
    assert_eq!(trained.code, 0, "{}", trained.stderr);
    let shown = mesh(&at_b, &["federation", "status", "--trainer", &b.trainer]).stdout;
    assert!(shown.contains("heeded") && shown.contains(heard["sha256"].as_str().unwrap()), "{shown}");

    // B plays A's run again, from A's ledger
    let audit = |sha256: &Value| {
        let sha256 = sha256.as_str().unwrap();
        let of_b = ["--trainer", &*b.trainer, "--remembrancer", &*a.remembrancer];
        mesh(&at_b, &[&["federation", "audit", sha256], &of_b[..]].concat())
    };
    let confirmed = audit(&heard["sha256"]);
    assert_eq!(confirmed.code, 0, "{}{}", confirmed.stdout, confirmed.stderr);
    assert!(confirmed.stdout.starts_with("CONFIRMED"), "{}", confirmed.stdout);

    // A says that it has seen a hundred failures more at one provider, in its own log
    let lie = lie(&a, heard["sha256"].as_str().unwrap()).await;
    eventually_blocking("the other node hears the lie", || {
        let status = status(&at_b, &b);
        let of = status["streams"][0]["contributions"].as_array().unwrap();
        if of.iter().any(|of| of["sha256"] == lie) { Ok(()) } else { Err(status) }
    });
    let convicted = audit(&lie);
    assert_eq!(convicted.code, 1, "{}{}", convicted.stdout, convicted.stderr);
    assert!(
        convicted.stdout.starts_with("CONVICTED") && convicted.stdout.contains(&peer[..20]),
        "{}",
        convicted.stdout
    );

    let author = heard["author"].as_str().unwrap();
    let excluded =
        mesh(&at_b, &["federation", "exclude", author, "--reason", "it lied", "--trainer", &b.trainer]);
    assert_eq!(excluded.code, 0, "{}", excluded.stderr);
    assert!(
        excluded.stdout.contains("excluded") && excluded.stdout.contains("it lied"),
        "{}",
        excluded.stdout
    );
    let nobody = mesh(&at_b, &["federation", "exclude", "nobody", "--reason", "x", "--trainer", &b.trainer]);
    assert_ne!(nobody.code, 0);
    assert!(nobody.stderr.contains("expected the verifier key of a log"), "{}", nobody.stderr);
}

/// Publishes what the node's run has not seen, as its operator could; the contribution's name.
async fn lie(node: &Up, honest: &str) -> Value {
    let http = http_client();
    let get = async |url: String| http.get(url).send().await.unwrap().json::<Value>().await.unwrap();
    let put = async |content: &Value| {
        let bytes = merkle_log::canonical_json(content).unwrap();
        let name = trainer::digest::sha256(&bytes);
        let url = format!("{}/v1/artifacts/{name}", node.remembrancer);
        let answer =
            http.put(url).header("content-type", "application/json").body(bytes).send().await.unwrap();
        assert!(answer.status().is_success());
        json!(name)
    };
    let mut forged = get(format!("{}/v1/artifacts/{honest}", node.remembrancer)).await;
    let records = get(format!("{}/v1/records?kind=federation.contribution", node.remembrancer)).await;
    let last = records["items"].as_array().unwrap().last().unwrap().clone();
    for figure in [0, 1] {
        let tries = &mut forged["knowledge"]["learned"]["facts"]["failures"][0][figure];
        *tries = json!(tries.as_f64().unwrap() + 100.0);
    }
    forged["sequence"] = json!(3);
    forged["made_by"]["run_evidence_sha256"] = put(&forged["knowledge"].clone()).await;
    let name = put(&forged).await;
    let (mut body, subject) = (last["body"].clone(), last["subject"].clone());
    body["sequence"] = json!(3);
    body["contribution_sha256"] = name.clone();
    body["run_evidence_sha256"] = forged["made_by"]["run_evidence_sha256"].clone();
    let id = last["id"].as_str().unwrap().replace(":2", ":3");
    let record = json!({"id": id, "kind": "federation.contribution", "subject": subject, "body": body});
    let answer = http.post(format!("{}/v1/records", node.remembrancer)).json(&record).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    name
}
