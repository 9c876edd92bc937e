use api::remembrancer::Verdict;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{decisions, fixture, json_of, run};

#[tokio::test]
async fn evidence_is_verified_and_spoiled_evidence_is_not() {
    let service = fixture().await;
    service.record(&decisions(run(1), 0..500)).await;
    let evidence: Value = service.get_json(&format!("/v1/log/evidence?run={}&sequence=123", run(1))).await;
    let verdict = async |evidence: &Value| -> Verdict {
        json_of(service.post("/v1/verify", evidence).await, StatusCode::OK).await
    };
    let good = verdict(&evidence).await;
    assert!(good.valid && good.detail.contains("leaf 123 of the 500"), "{good:?}");
    for (pointer, value) in [
        ("/record/reward", json!(0.5)),
        ("/record/tenant", json!("Globex")),
        ("/log_index", json!(124)),
        ("/inclusion_path/0", json!(run(3))),
        ("/inclusion_path", json!([])),
        ("/checkpoint", json!("ai-mesh/log\n500\n")),
        ("/verifier_key", json!("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")),
        ("/verifier_key", json!("nothing")),
    ] {
        let mut spoiled = evidence.clone();
        *spoiled.pointer_mut(pointer).unwrap() = value;
        let bad = verdict(&spoiled).await;
        assert!(!bad.valid && bad.detail.starts_with("Not proved: "), "{pointer}: {bad:?}");
    }
}

#[tokio::test]
async fn the_records_characters_count_not_only_its_meaning() {
    let service = fixture().await;
    service.record(&decisions(run(1), 0..1)).await;
    let text =
        service.get(&format!("/v1/log/evidence?run={}&sequence=0", run(1))).await.text().await.unwrap();
    let send = async |body: String| -> Verdict {
        let request =
            service.request(reqwest::Method::POST, "/v1/verify").header("content-type", "application/json");
        json_of(request.body(body).send().await.unwrap(), StatusCode::OK).await
    };
    assert!(send(text.clone()).await.valid);
    assert!(send(text.replace(',', " ,\n ")).await.valid, "white space between tokens is none of the record");
    for (from, to) in
        [("\"sequence\":0", "\"sequence\":0.0"), ("\"tenant\":\"acme\"", "\"tenant\":\"\\u0061cme\"")]
    {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        assert!(!send(other).await.valid, "{to}");
    }
}

#[tokio::test]
async fn what_is_no_evidence_is_refused() {
    let service = fixture().await;
    for body in [json!({}), json!([]), json!({"record": {}, "log_index": -1})] {
        let problem = service.refused("/v1/verify", &body, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem.code, "invalid_request");
    }
}
