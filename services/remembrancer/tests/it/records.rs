use api::{
    Page, Problem,
    remembrancer::{Record, RecordReceipt},
};
use merkle_log::leaf_hash;
use remembrancer::database::MIGRATIONS;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Service, config, fixture, json_of, start};

fn note(id: &str, body: Value) -> Value {
    json!({"id": id, "kind": "note", "subject": "thing:1", "body": body})
}

async fn append(service: &Service, record: &Value) -> RecordReceipt {
    json_of(service.post("/v1/records", record).await, StatusCode::CREATED).await
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_and_its_leaf_is_its_canonical_json() {
    let service = fixture().await;
    let body = json!({"z": [1, 2.5, null, true], "text": "päper \"x\"\n", "big": 1e17, "small": 1e-7, "nested": {"b": 1, "a": 2}});
    let receipt = append(&service, &note("r/1 ü", body.clone())).await;
    assert_eq!((receipt.log_index, receipt.tree_size), (0, 1));
    assert_eq!(receipt.leaf_hash, receipt.root_hash, "the root of a tree of one leaf is the leaf");

    let record: Record = service.get_json("/v1/records/r%2F1%20%C3%BC").await;
    assert_eq!((record.id.as_str(), record.log_index, record.subject.as_str()), ("r/1 ü", 0, "thing:1"));
    assert_eq!(record.body["nested"], body["nested"]);
    assert_eq!(record.recorded_at.timestamp_subsec_nanos() % 1000, 0, "microseconds, as the database keeps");
    let leaf = format!(
        "{{\"body\":{{\"big\":100000000000000000,\"nested\":{{\"a\":2,\"b\":1}},\"small\":1e-7,\"text\":\"päper \
         \\\"x\\\"\\n\",\"z\":[1,2.5,null,true]}},\"id\":\"r/1 ü\",\"kind\":\"note\",\"recorded_at\":{},\"subject\":\
         \"thing:1\"}}",
        serde_json::to_string(&record.recorded_at).unwrap()
    );
    assert_eq!(receipt.leaf_hash.0, leaf_hash(leaf.as_bytes()), "{leaf}");
}

#[tokio::test]
async fn the_same_record_gets_the_same_receipt_and_another_under_its_id_is_refused() {
    let service = fixture().await;
    let first = append(&service, &note("one", json!({"a": 1, "b": 2.0}))).await;
    append(&service, &note("two", json!({}))).await;
    // The same value in another spelling is the same record.
    let again = service.post("/v1/records", &note("one", json!({"b": 2, "a": 1}))).await;
    assert_eq!(json_of::<RecordReceipt>(again, StatusCode::OK).await, first);

    for other in [
        note("one", json!({"a": 1, "b": 3})),
        json!({"id": "one", "kind": "run", "subject": "thing:1", "body": {"a": 1, "b": 2}}),
        json!({"id": "one", "kind": "note", "subject": "thing:2", "body": {"a": 1, "b": 2}}),
    ] {
        let problem = service.refused("/v1/records", &other, StatusCode::CONFLICT).await;
        assert_eq!(problem.code, "record_conflict");
    }
    let record: Record = service.get_json("/v1/records/one").await;
    assert_eq!(Value::Object(record.body), json!({"a": 1, "b": 2}));
}

#[tokio::test]
async fn an_event_that_was_recorded_under_its_kinds_former_name_is_not_recorded_again() {
    let service = fixture().await;
    let limit =
        |kind: &str| json!({"id": "limit:1", "kind": kind, "subject": "limit:1", "body": {"steps": 120}});
    let first = append(&service, &limit("note")).await;
    let again = service.post("/v1/records", &limit("limit.solved")).await;
    assert_eq!(json_of::<RecordReceipt>(again, StatusCode::OK).await, first);
    let record: Record = service.get_json("/v1/records/limit:1").await;
    assert_eq!(record.kind.as_str(), "note", "the log never changes");
    service.refused("/v1/records", &limit("run.ended"), StatusCode::CONFLICT).await;
}

#[tokio::test]
async fn what_was_indexed_before_kinds_were_open_is_found_after_the_migration() {
    let (database, data) = (test_support::database().await, tempfile::tempdir().unwrap());
    let sql = PgPool::connect(database.url()).await.unwrap();
    MIGRATIONS.run_to(5, &sql).await.unwrap();
    let root = leaf_hash(b"");
    let insert = "INSERT INTO records (log_index, id, kind, subject, recorded_at, body, root) \
                  VALUES (0, 'created', 'run', 'run:1', now(), '{\"name\":\"first walk\"}', $1)";
    sqlx::query(insert).bind(&root[..]).execute(&sql).await.unwrap();

    let service = start(config(database.url(), &data)).await;
    for query in ["q=first+walk", "q=ai-mesh+routing+decisions", "kind=run"] {
        let page: Page<Record> = service.get_json(&format!("/v1/records?{query}")).await;
        assert_eq!(page.items.iter().map(|record| &record.id).collect::<Vec<_>>(), ["created"], "{query}");
    }
}

#[tokio::test]
async fn without_an_id_the_idempotency_key_is_the_id_else_a_new_one() {
    let service = fixture().await;
    let record = json!({"kind": "note", "subject": "thing:1", "body": {}});
    let send = |key: &'static str| {
        service.request(Method::POST, "/v1/records").header("Idempotency-Key", key).json(&record).send()
    };
    let first: RecordReceipt = json_of(send("key-1").await.unwrap(), StatusCode::CREATED).await;
    assert_eq!(first.id, "key-1");
    let again: RecordReceipt = json_of(send("key-1").await.unwrap(), StatusCode::OK).await;
    assert_eq!(again, first);
    let problem: Problem = json_of(send("").await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem.code, "invalid_idempotency_key");

    let (a, b) = (append(&service, &record).await, append(&service, &record).await);
    assert_ne!(a.id, b.id);
    assert_eq!(uuid::Uuid::parse_str(&a.id).unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn records_at_once_under_one_id_are_one_record() {
    let service = fixture().await;
    let sends = (0..10).map(|_| {
        let client = test_support::http_client();
        let url = format!("{}/v1/records", service.url);
        tokio::spawn(async move {
            client
                .post(url)
                .json(&note("one", json!({"a": 1})))
                .send()
                .await
                .unwrap()
                .json::<RecordReceipt>()
                .await
                .unwrap()
        })
    });
    let mut receipts = Vec::new();
    for send in sends.collect::<Vec<_>>() {
        receipts.push(send.await.unwrap());
    }
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]));
    assert_eq!(receipts[0].tree_size, 1);
}

#[tokio::test]
async fn records_are_listed_by_kind_and_subject_in_both_directions() {
    let service = fixture().await;
    for number in 0..25 {
        let (kind, subject) = (["note", "run"][number % 2], format!("thing:{}", number % 5));
        append(&service, &json!({"id": format!("r{number}"), "kind": kind, "subject": subject, "body": {}}))
            .await;
    }
    let ids = async |query: &str| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<Record> = service.get_json(&format!("/v1/records?{query}{cursor}")).await;
            ids.extend(page.items.into_iter().map(|record| record.log_index));
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    };
    assert_eq!(ids("limit=4").await, (0..25).collect::<Vec<_>>());
    assert_eq!(ids("limit=4&newest_first=true").await, (0..25).rev().collect::<Vec<_>>());
    assert_eq!(ids("kind=run&limit=5").await, (1..25).step_by(2).collect::<Vec<_>>());
    assert_eq!(ids("subject=thing:3&newest_first=true&limit=2").await, [23, 18, 13, 8, 3]);
    assert_eq!(ids("subject=thing:3&kind=run&limit=2").await, [3, 13, 23]);
    assert_eq!(ids("subject=thing:3&after_log_index=13&limit=1").await, [18, 23]);
    assert_eq!(ids("after_log_index=22&newest_first=true&limit=1").await, [24, 23]);
    assert_eq!(ids("kind=deployment").await, Vec::<u64>::new());
    for kind in ["run.created", "run.created.twice", "run-time", "runner"] {
        append(&service, &json!({"kind": kind, "subject": "thing:9", "body": {}})).await;
    }
    assert_eq!(ids("kind=run&limit=5").await, (1..25).step_by(2).chain([25, 26]).collect::<Vec<_>>());
    assert_eq!(ids("kind=run.created&newest_first=true").await, [26, 25]);
    assert_eq!(ids("kind=run.create").await, Vec::<u64>::new());
    assert_eq!(ids("subject=%00").await, Vec::<u64>::new());
}

#[tokio::test]
async fn a_search_finds_what_a_person_means_the_best_match_first() {
    let service = fixture().await;
    let run = "0198c7a0-12ab-7abc-8def-0123456789ab";
    for record in [
        json!({"id": "created", "kind": "run", "subject": format!("run:{run}"),
            "body": {"run_id": run, "config": {"agents": 50, "learning_rate": 0.1}}}),
        json!({"id": "deploy", "kind": "deployment", "subject": "component:ai-mesh-training",
            "body": {"version": "1.4.2", "evidence": "all tests passed"}}),
        json!({"id": "merge", "kind": "table.merged", "subject": "swarm:north", "body": {"from": ["south"]}}),
        json!({"id": "ended", "kind": "run", "subject": format!("run:{run}"),
            "body": {"run_id": run, "status": "completed", "decisions": 34_300}}),
        note("note", json!({"text": "an unrelated deployment of coffee"})),
    ] {
        append(&service, &record).await;
    }
    let found = async |query: &str| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<Record> = service.get_json(&format!("/v1/records?limit=1&{query}{cursor}")).await;
            ids.extend(page.items.into_iter().map(|record| record.id));
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    };
    for (query, expected) in [
        // The end of a run says how many decisions there are, so it matches better than its beginning.
        ("q=ai-mesh+routing+decisions", &["ended", "created"][..]),
        ("q=ai-mesh+routing+decisions&newest_first=false", &["created", "ended"]),
        ("q=%22ai-mesh+routing%22", &[]),
        ("q=%22routing+decisions%22&kind=run", &["ended", "created"]),
        ("q=ai-mesh-training+deployments", &["deploy"]),
        ("q=deployed+ai-mesh&kind=deployment", &["deploy"]),
        ("q=deployment", &["deploy", "note"]),
        ("q=deployment+-coffee", &["deploy"]),
        ("q=coffee+or+merges&newest_first=true", &["note", "merge"]),
        ("q=1.4.2", &["deploy"]),
        ("q=learning_rate", &["created"]),
        // A kind that this program does not know is found by its words.
        ("q=merge+table", &["merge"]),
        ("q=table.merged", &["merge"]),
        (&format!("q={run}&newest_first=true"), &["ended", "created"]),
        (&format!("q=run:{run}&newest_first=true"), &["ended", "created"]),
        ("q=tea", &[]),
        ("q=%00", &[]),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn equal_matches_are_listed_the_newest_first_and_no_page_loses_one() {
    let service = fixture().await;
    for number in 0..9 {
        append(&service, &note(&format!("r{number}"), json!({"text": "the same words"}))).await;
    }
    let (mut indexes, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Page<Record> = service.get_json(&format!("/v1/records?q=same+words&limit=2{cursor}")).await;
        indexes.extend(page.items.iter().map(|record| record.log_index));
        let Some(next) = page.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(indexes, (0..9).rev().collect::<Vec<_>>());
    let answer = service.get(&format!("/v1/records?limit=2{cursor}")).await;
    let problem: Problem = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem.errors[0].pointer, "?cursor", "a cursor of another order");
}

#[tokio::test]
async fn a_span_of_time_includes_its_beginning_and_not_its_end() {
    let service = fixture().await;
    for id in ["one", "two", "three"] {
        append(&service, &note(id, json!({}))).await;
    }
    let record: Record = service.get_json("/v1/records/two").await;
    let time = record.recorded_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let ids = async |query: String| {
        let page: Page<Record> = service.get_json(&format!("/v1/records?{query}")).await;
        page.items.into_iter().map(|record| record.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(format!("from={time}")).await, ["two", "three"]);
    assert_eq!(ids(format!("until={time}")).await, ["one"]);
    assert_eq!(ids(format!("from={time}&q=things&newest_first=true")).await, ["three", "two"]);
}

#[tokio::test]
async fn a_search_that_cannot_be_made_is_pointed_at() {
    let service = fixture().await;
    for (query, pointer) in [
        ("q=", "?q"),
        ("q=the+of", "?q"),
        ("from=yesterday", "?from"),
        ("from=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z", "?until"),
    ] {
        let answer = service.get(&format!("/v1/records?{query}")).await;
        let problem: Problem = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(
            (problem.code.as_str(), problem.errors[0].pointer.as_str()),
            ("invalid_request", pointer),
            "{problem:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_exactly_is_pointed_at() {
    let service = fixture().await;
    for (record, pointer) in [
        (note("a\u{0}", json!({})), "/id"),
        (note("", json!({})), "/id"),
        (note("a", json!({"x": ["\u{0}"]})), "/body/x/0"),
        (note("a", json!({"x": 9_007_199_254_740_993_u64})), "/body/x"),
        (note("a", json!([1])), "/body"),
        (json!({"kind": "note", "subject": "a\u{0}", "body": {}}), "/subject"),
        (json!({"kind": "Poem", "subject": "a", "body": {}}), "/kind"),
    ] {
        let problem = service.refused("/v1/records", &record, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(
            (problem.code.as_str(), problem.errors[0].pointer.as_str()),
            ("invalid_request", pointer),
            "{problem:?}"
        );
    }
    for id in ["nobody", "%00"] {
        let problem: Problem =
            json_of(service.get(&format!("/v1/records/{id}")).await, StatusCode::NOT_FOUND).await;
        assert_eq!(problem.code, "record_not_found");
    }
}

#[tokio::test]
async fn a_huge_body_is_recorded_although_its_words_do_not_fit_a_search_column() {
    let service = fixture().await;
    // Two million distinct words: more than the megabyte that a tsvector holds.
    let words: String = (0..1_000_000).map(|n| format!("w{n} ")).collect();
    append(&service, &note("huge", json!({"words": words}))).await;
    // Just below the length from which on only the beginning is indexed.
    let words: String = (0..14_000).map(|n| format!("w{n:05}.")).collect();
    append(&service, &note("large", json!({"words": words}))).await;
}

#[tokio::test]
async fn what_was_begun_and_has_not_ended_is_found_by_what_it_is_without() {
    let service = fixture().await;
    let record = |subject: &str, kind: &str| {
        let id = format!("{subject}:{kind}");
        json!({"id": id, "kind": kind, "subject": subject, "body": {"of": subject}})
    };
    for subject in ["a", "b", "c", "d"] {
        append(&service, &record(subject, "thing.created")).await;
    }
    append(&service, &record("a", "thing.ended")).await;
    append(&service, &record("c", "thing.lost.twice")).await;
    append(&service, &record("d", "thing.endless")).await;
    let subjects = async |query: &str| {
        let page: Page<Record> = service.get_json(&format!("/v1/records?{query}")).await;
        page.items.into_iter().map(|record| record.subject).collect::<Vec<_>>()
    };
    assert_eq!(subjects("kind=thing.created&without=thing.ended,thing.lost").await, ["b", "d"]);
    assert_eq!(subjects("kind=thing.created&without=thing.ended").await, ["b", "c", "d"]);
    assert_eq!(subjects("without=thing.created").await, Vec::<String>::new());
    assert_eq!(subjects("q=thing&without=thing.ended,thing.lost&newest_first=false").await, ["b", "d", "d"]);
    let wrong = service.get("/v1/records?without=Thing").await;
    let problem: Problem = json_of(wrong, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem.errors[0].pointer, "?without");
}
