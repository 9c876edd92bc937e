use api::{
    Problem,
    remembrancer::{DecisionQuery, RecordedDecision},
};
use reqwest::{Method, StatusCode, header};
use serde_json::json;
use test_support::eventually;

use crate::support::{Service, config, decision, decisions, fixture, json_of, run, start};

const HEADER: &str = "log_index,run,sequence,episode,step,agent,tenant,workload,gpu_type,gpu_hours,action,reason,\
    provider,price_usd_per_hour,latency_ms,cost_usd,reward,explored,propensity,value,policy_version,deferred,wait_ms,\
    price_assumed,arm";

/// Two runs in turns: 2,400 and 1,200 decisions, more than one fetch of a cursor.
async fn fill(service: &Service) {
    for part in 0..4 {
        service.record(&decisions(run(1), part * 600..(part + 1) * 600)).await;
        service.record(&decisions(run(2), part * 300..(part + 1) * 300)).await;
    }
}

async fn text(service: &Service, query: &str) -> String {
    let answer = service.get(&format!("/v1/decisions?{query}")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.unwrap()
}

#[tokio::test]
async fn every_line_of_ndjson_is_a_decision_and_none_is_missing() {
    let service = fixture().await;
    fill(&service).await;
    let lines = async |query: &str| -> Vec<RecordedDecision> {
        let text = text(&service, &format!("format=ndjson&{query}")).await;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines("").await;
    assert!(all.iter().map(|item| item.log_index).eq(0..3600));
    let of_run: Vec<_> =
        lines(&format!("run={}", run(1))).await.into_iter().map(|item| item.decision).collect();
    assert_eq!(of_run, decisions(run(1), 0..2400));
    let filtered = lines(&format!("run={}&provider=aws&from_sequence=1000", run(2))).await;
    let expected = (1000..1200).map(|n| decision(run(2), n)).filter(|d| d.provider.as_deref() == Some("aws"));
    assert!(filtered.into_iter().map(|item| item.decision).eq(expected));
    for nothing in [format!("run={}", run(9)), "tenant=%00".into(), "tenant=nobody".into()] {
        assert_eq!(text(&service, &format!("format=ndjson&{nothing}")).await, "");
    }
}

#[tokio::test]
async fn csv_has_a_header_also_without_decisions_and_every_field_exactly() {
    let service = fixture().await;
    assert_eq!(text(&service, "format=csv").await, format!("{HEADER}\n"));
    fill(&service).await;
    let csv = text(&service, &format!("format=csv&run={}", run(1))).await;
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let rows: Vec<_> = lines.collect();
    assert_eq!(rows.len(), 2400, "one header");
    let (held, routed) = (decision(run(1), 0), decision(run(1), 2));
    assert_eq!(
        rows[0],
        format!(
            "0,{},0,0,0,0,acme,fine-tune,H100,{:?},hold,held,,,,,{:?},true,{:?},,0,true,12.5,false,1",
            run(1),
            held.gpu_hours,
            held.reward,
            held.propensity
        )
    );
    assert!(rows[2].contains(r#","ünïcode ""quoted""","#), "{}", rows[2]);
    let price = routed.price_usd_per_hour.unwrap();
    assert!(rows[2].contains(&format!(",route,ok,aws,{price:?},")), "{}", rows[2]);
}

#[tokio::test]
async fn accept_asks_for_a_stream_and_format_goes_before_it() {
    let service = fixture().await;
    for (accept, query, expected) in [
        ("application/x-ndjson", "", "application/x-ndjson"),
        ("text/csv", "", "text/csv; charset=utf-8"),
        ("*/*", "", "application/json"),
        ("text/csv", "?format=json", "application/json"),
        ("application/json", "?format=ndjson", "application/x-ndjson"),
    ] {
        let request = service.request(Method::GET, &format!("/v1/decisions{query}"));
        let answer = request.header(header::ACCEPT, accept).send().await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], expected, "{accept} {query}");
    }
}

#[tokio::test]
async fn a_stream_has_no_pages() {
    let service = fixture().await;
    for (query, pointer) in [("format=csv&limit=5", "?limit"), ("format=ndjson&cursor=x", "?cursor")] {
        let answer = service.get(&format!("/v1/decisions?{query}")).await;
        let problem: Problem = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    assert_eq!(serde_json::to_value(DecisionQuery::default()).unwrap(), json!({}));
}

#[tokio::test]
async fn an_export_reads_no_further_than_its_reader_takes_and_leaves_connections_for_others() {
    let fixture = fixture().await;
    // 60,000 decisions are about 25 MB: far more than the sockets' buffers hold.
    for part in 0..6 {
        fixture.record(&decisions(run(1), part * 10_000..(part + 1) * 10_000)).await;
    }
    let service = start(config(fixture.database.url(), &fixture.data)).await;
    let (first, second) =
        (service.get("/v1/decisions?format=ndjson").await, service.get("/v1/decisions?format=ndjson").await);
    // Of four connections exports may have two.
    let refused = service.get("/v1/decisions?format=csv").await;
    assert_eq!(refused.headers()[header::RETRY_AFTER], "5");
    let problem: Problem = json_of(refused, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(problem.code, "overloaded");
    // Both stand still within an open transaction: neither is read to its end into memory.
    let sql = fixture.sql().await;
    eventually("both exports wait for their readers", async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND state = 'idle in transaction' AND query LIKE 'FETCH%' \
             AND clock_timestamp() - state_change > interval '300 ms'",
        )
        .fetch_one(&sql)
        .await
        .unwrap();
        if waiting == 2 { Ok(()) } else { Err(waiting) }
    })
    .await;
    service.record(&decisions(run(2), 0..10)).await;
    drop(second);
    // What was recorded meanwhile is not in it.
    assert_eq!(first.text().await.unwrap().lines().count(), 60_000);
    // A reader that went away gives its connection back.
    eventually("another export may begin", async || {
        match service.get("/v1/decisions?format=csv&tenant=nobody").await.status() {
            StatusCode::OK => Ok(()),
            other => Err(other),
        }
    })
    .await;
}
