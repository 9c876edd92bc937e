//! Names, tags and notes, and finding runs by them.

use api::trainer::{NewRun, RunPatch, RunQuery, RunStatus};
use serde_json::json;

use crate::support::{Stack, small_run};

fn patch(json: serde_json::Value) -> RunPatch {
    serde_json::from_value(json).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_change_neither_the_digest_nor_any_byte_of_the_run_and_survive_a_restart() {
    let plain = Stack::start().await.play(&small_run()).await;
    let mut stack = Stack::start().await;
    let labelled = NewRun { name: Some("first".into()), tags: vec!["paper".into()], ..small_run() };
    let run = stack.client().create_run(&labelled, Some("key")).await.unwrap();
    assert_eq!((run.labels.name.as_deref(), run.config.name.as_deref()), (Some("first"), None));
    let run = stack.completed(run.id).await;
    assert_eq!((run.digest, run.run_root), (plain.digest, plain.run_root));
    assert_eq!(run.policy_sha256, plain.policy_sha256);
    let checkpoint = stack.artifact(run.checkpoint.map(|checkpoint| checkpoint.sha256));
    assert!(!String::from_utf8(checkpoint).unwrap().contains("paper"));

    // also after the run's end
    let change = patch(json!({"name": null, "tags": ["paper", "final"], "notes": "good"}));
    let changed = stack.client().label_run(run.id, &change).await.unwrap();
    assert_eq!(changed.labels.name, None);
    assert_eq!(changed.labels.tags, ["paper", "final"]);
    let records = stack.ledger.records().len();
    stack.client().label_run(run.id, &change).await.unwrap();
    stack.client().label_run(run.id, &patch(json!({}))).await.unwrap();
    assert_eq!(stack.ledger.records().len(), records, "nothing has changed");

    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    let found = stack.run(run.id).await;
    assert_eq!((found.labels, found.status), (changed.labels, RunStatus::Completed));
    let again = stack.client().create_run(&labelled, Some("key")).await.unwrap();
    assert_eq!(again.id, run.id, "the key stands for the run as it was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_found_by_their_labels_page_by_page_while_others_begin() {
    let stack = Stack::start().await;
    let client = stack.client();
    let begin = async |seed: u64| {
        let tags = vec![if seed.is_multiple_of(2) { "even".to_owned() } else { "odd".to_owned() }];
        client.create_run(&NewRun { seed, tags, ..small_run() }, None).await.unwrap().id
    };
    let mut even = Vec::new();
    for seed in 0..7 {
        let id = begin(seed).await;
        if seed.is_multiple_of(2) {
            even.insert(0, id);
        }
    }
    let mut query =
        RunQuery { tag: Some("even".into()), limit: Some(2), q: Some("EVE".into()), ..RunQuery::default() };
    let mut found = Vec::new();
    loop {
        let page = client.runs(&query).await.unwrap();
        found.extend(page.items.iter().map(|run| run.id));
        begin(8).await;
        match page.next_cursor {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(found, even);
    let none = RunQuery { tag: Some("even".into()), preset: Some("steady".into()), ..RunQuery::default() };
    assert_eq!(client.runs(&none).await.unwrap().items, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_are_wrong_are_pointed_at() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let (http, url) = (test_support::http_client(), format!("{}/v1/runs", stack.url()));
    let one = format!("{url}/{}", run.id);
    for (body, pointer) in [
        (json!({"name": ""}), "/name"),
        (json!({"tags": ["a b"]}), "/tags"),
        (json!({"notes": "\0"}), "/notes"),
        (json!({"seed": 4}), ""),
    ] {
        let answers = [
            http.patch(&one).json(&body).send().await.unwrap(),
            http.post(&url).json(&body).send().await.unwrap(),
        ];
        for answer in answers.into_iter().filter(|answer| answer.status() != 202) {
            assert_eq!(answer.status(), 422, "{body}");
            let problem: api::Problem = answer.json().await.unwrap();
            assert!(problem.errors.iter().any(|error| error.pointer.starts_with(pointer)), "{problem:?}");
        }
    }
    let merge_patch = http.patch(&one).header("content-type", "application/merge-patch+json");
    assert_eq!(merge_patch.body(r#"{"name":"x"}"#).send().await.unwrap().status(), 200);
    assert_eq!(stack.run(run.id).await.labels.name.as_deref(), Some("x"));
    let unknown = stack.client().label_run(uuid::Uuid::nil(), &RunPatch::default()).await.unwrap_err();
    assert_eq!((unknown.status(), unknown.code()), (Some(404), Some("run_not_found")));
}
