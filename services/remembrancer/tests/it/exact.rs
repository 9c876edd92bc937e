//! What is recorded comes back as it was sent, or is refused; and two different bodies are never the same record.

use api::remembrancer::{Record, RecordReceipt};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::{Service, fixture, json_of};

/// Posts a body as it is written.
async fn post(service: &Service, id: &str, body: &str) -> reqwest::Response {
    let text = format!(r#"{{"id":"{id}","kind":"note","subject":"thing:1","body":{body}}}"#);
    let request = service.request(Method::POST, "/v1/records").header("content-type", "application/json");
    request.body(text).send().await.unwrap()
}

#[tokio::test]
async fn a_value_that_would_come_back_as_another_is_refused_wherever_it_stands() {
    let service = fixture().await;
    for value in [
        "9007199254740993",
        "-9007199254740993",
        "9007199254740993.0",
        "9.007199254740993e15",
        "900719925474099.3E+1",
        "18446744073709551617",
        "100000000000000000000",
        "-9223372036854775809",
        "1e400",
        "-1e400",
        "1e-400",
        "-0",
        "-0.0",
        "0.1000000000000000055511151231257827",
        "123456789.123456789123",
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        "NaN",
        "01",
        "0x10",
    ] {
        for body in [
            format!(r#"{{"x":{value}}}"#),
            format!(r#"{{"a":{{"b":[1,{{"c":[{value}]}}]}}}}"#),
            format!(r#"{{"x":[0.5,{value}],"y":1}}"#),
        ] {
            let status = post(&service, "refused", &body).await.status();
            assert!(status.is_client_error(), "{body}: {status}");
        }
    }
    for body in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"x":[{"é":1,"\u00e9":1}]}"#,
        r#"{"\u0000":1}"#,
        r#"{"\ud800":1}"#,
        r#"{"a":"\u0000"}"#,
        "[]",
        "null",
    ] {
        let status = post(&service, "refused", body).await.status();
        assert!(status.is_client_error(), "{body}: {status}");
    }
    let missing = service.get("/v1/records/refused").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_spelling_of_one_value_is_one_record_and_every_other_value_a_conflict() {
    let service = fixture().await;
    for (number, (first, same, others)) in [
        (
            "1",
            &["1.0", "1e0", "10e-1"][..],
            &["1.0000000000000002", "true", "\"1\"", "[1]", "0.9999999999999999"][..],
        ),
        ("0", &["0.0", "0e7"], &["5e-324", "null", "false", "\"\""]),
        (
            "9007199254740991",
            &["9007199254740991.0", "9.007199254740991e15"],
            &["9007199254740990", "9007199254740992.0"],
        ),
        ("0.1", &["0.10", "1e-1"], &["0.10000000000000002", "0.09999999999999999"]),
        ("1e21", &["1E+21", "1000000000000000000000.0"], &["1.0000000000000001e21"]),
        (r#""A""#, &[r#""\u0041""#], &[r#""a""#, r#""A ""#, r#"["A"]"#]),
        (r#""é""#, &[r#""\u00e9""#], &[r#""e\u0301""#, r#""e""#]),
        (
            r#"{"a":1,"b":[]}"#,
            &[r#"{ "b" : [ ], "a" : 1.0 }"#],
            &[r#"{"a":1}"#, r#"{"a":1,"b":[],"c":null}"#, r#"{"a":1,"b":{}}"#],
        ),
        ("[1,2]", &["[1.0,2e0]"], &["[2,1]", "[1,2,2]", "[[1,2]]"]),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("r{number}");
        let body = |value: &str| format!(r#"{{"x":{value}}}"#);
        let receipt: RecordReceipt =
            json_of(post(&service, &id, &body(first)).await, StatusCode::CREATED).await;
        for spelling in same {
            let again: RecordReceipt =
                json_of(post(&service, &id, &body(spelling)).await, StatusCode::OK).await;
            assert_eq!(again, receipt, "{spelling} for {first}");
        }
        for other in others {
            assert_eq!(
                post(&service, &id, &body(other)).await.status(),
                StatusCode::CONFLICT,
                "{other} for {first}"
            );
        }
        let record: Record = service.get_json(&format!("/v1/records/{id}")).await;
        let sent: Value = serde_json::from_str(first).unwrap();
        let same = match (record.body["x"].as_f64(), sent.as_f64()) {
            (Some(back), Some(sent)) => back.to_bits() == sent.to_bits(),
            _ => record.body["x"] == sent,
        };
        assert!(same, "{} for {first}", record.body["x"]);
    }
}

#[tokio::test]
async fn a_time_that_the_database_cannot_keep_is_refused_with_the_range() {
    let service = fixture().await;
    for time in [
        "%2B262142-12-31T23:59:59Z",
        "-262143-01-01T00:00:00Z",
        "%2B10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
    ] {
        for name in ["from", "until"] {
            let answer = service.get(&format!("/v1/records?{name}={time}")).await;
            let problem: api::Problem = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
            assert_eq!(problem.errors[0].pointer, format!("?{name}"));
        }
    }
    let answer = service.get("/v1/records?from=%2B10000-01-01T00:00:00Z").await;
    let problem: api::Problem = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(problem.errors[0].detail.contains("9999-12-31T23:59:59Z"), "{problem:?}");
    for time in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"] {
        assert_eq!(service.get(&format!("/v1/records?from={time}")).await.status(), StatusCode::OK);
    }
}
