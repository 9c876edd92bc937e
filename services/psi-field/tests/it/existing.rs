use serde_json::{Value, json};
use test_support::FakeRemembrancer;

use crate::support::{Service, interventions, with};

fn rewards(step: u32) -> Vec<f64> {
    (0..8).map(|agent| 40.0 + f64::from((step * 7 + agent * 13) % 11) * 0.1).collect()
}

async fn step(service: &Service, number: u32) -> Value {
    let (status, state) = service.post("/step", &json!({"x": rewards(number), "apply_guardian": true})).await;
    assert_eq!(status, 200, "{state}");
    state
}

#[tokio::test]
async fn a_client_of_the_existing_api_finds_what_it_knows() {
    let service = Service::alone().await;
    let health = service.get("/health").await.1;
    assert_eq!((&health["status"], &health["import_success"]), (&json!("healthy"), &json!(true)));
    let root = service.get("/").await.1;
    assert!(root["name"].is_string() && root["version"].is_string(), "{root}");
    assert!(root["status"] == "active" && root["timestamp"].is_f64(), "{root}");
    let before = service.get("/state").await.1;
    for name in ["Psi", "C", "U", "Phi", "H", "PE", "M", "k"] {
        assert_eq!(before[name].as_f64(), Some(0.0), "{name} is not known yet, and here that is 0");
    }
    assert!(service.text("/metrics").await.contains("psi_field_density 0"));
    for number in 0..60 {
        step(&service, number).await;
    }
    let state = step(&service, 60).await;
    assert_eq!(state["k"], 61);
    for name in ["Psi", "C", "U", "Phi", "H", "PE", "M"] {
        assert!((0.0..=1.0).contains(&state[name].as_f64().unwrap()), "{name}: {state}");
    }
    assert!(state["Psi"].as_f64().unwrap() > 0.5, "{state}");
    assert!(state["timestamp"].is_string() && state["dt_eff"].as_f64().unwrap() > 0.0);
    let guardian = &state["_guardian"];
    assert_eq!((&guardian["red_flag"], &guardian["intervention"]), (&json!(false), &Value::Null));
    assert_eq!(guardian["steps_since_intervention"], 61);
    assert_eq!((&guardian["intervention_count"], &guardian["history_size"]), (&json!(0), &json!(15)));
    assert_eq!(guardian["thresholds"]["pe_high"], 0.7);
    let seen = service.get("/state").await.1;
    assert_eq!((&seen["Psi"], &seen["k"]), (&state["Psi"], &state["k"]));

    let metrics = service.text("/metrics").await;
    for name in [
        "psi_field_density",
        "psi_field_phase_coherence",
        "psi_field_continuity",
        "psi_field_futurity",
        "psi_field_temporal_entropy",
        "psi_field_prediction_error",
        "psi_field_time_dilation",
    ] {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap().is_finite(), "{line}");
    }
    assert!(metrics.contains("guardian_interventions_total 0"), "{metrics}");
}

#[tokio::test]
async fn the_guardian_answers_a_collapse_and_takes_orders() {
    let service = Service::alone().await;
    assert_eq!(
        service.post("/guardian/albedo", &json!(null)).await.0,
        404,
        "there is nothing to intervene in"
    );
    for number in 0..60 {
        step(&service, number).await;
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let state = service.post("/step", &json!({"x": [5.0, 4.0, 6.0, 5.0, 5.0, 4.0, 6.0, 5.0]})).await.1;
        seen.push(state["_guardian"]["intervention"].clone());
        if seen.last() == Some(&json!("nigredo")) {
            assert_eq!(state["_guardian"]["red_flag"], true);
            assert_eq!(service.get("/guardian/status").await.1["current_threat"], true);
        }
    }
    assert!(seen.contains(&json!("nigredo")), "{seen:?}");
    let (status, applied) = service.post("/guardian/albedo", &json!(null)).await;
    assert_eq!((status, &applied["intervention"], &applied["step"]), (200, &json!("albedo"), &json!(64)));
    assert_eq!(step(&service, 63).await["_guardian"]["intervention"], "albedo");
    step(&service, 64).await;
    let statistics = service.get("/guardian/statistics").await.1;
    assert!(statistics["kind"].is_string());
    assert_eq!((&statistics["nigredo_count"], &statistics["albedo_count"]), (&json!(1), &json!(1)));
    assert_eq!(statistics["expired_count"], 0, "the next step acknowledges what the one before brought");
    assert!(service.text("/metrics").await.contains("guardian_interventions_total 2"));
}

#[tokio::test]
async fn without_the_guardian_nothing_is_said_of_it() {
    let service = Service::alone().await;
    let (status, state) = service.post("/step", &json!({"x": [1.0, 2.0], "apply_guardian": false})).await;
    assert_eq!((status, state.get("_guardian")), (200, None));
    assert_eq!(service.post("/step", &json!({"x": []})).await.0, 422);
    assert_eq!(service.post("/step", &json!({"y": [1.0]})).await.0, 422);
}

#[tokio::test]
async fn init_begins_anew_with_the_parameters_given() {
    let service = Service::alone().await;
    for number in 0..5 {
        step(&service, number).await;
    }
    let defaults = service.get("/params").await.1;
    assert_eq!((&defaults["dt"], &defaults["W_r"], &defaults["w6"]), (&json!(0.2), &json!(3.0), &json!(0.7)));
    let (status, answer) =
        service.post("/init", &json!({"dt": 0.5, "W_r": 10.0, "w2": 0.9, "input_dim": 16})).await;
    assert_eq!((status, &answer["status"]), (200, &json!("initialized")));
    let params = service.get("/params").await.1;
    assert_eq!((&params["dt"], &params["w2"], &params["lambda_"]), (&json!(0.5), &json!(0.9), &json!(0.6)));
    assert_eq!(service.get("/state").await.1["k"], 0);
    assert_eq!(step(&service, 0).await["M"], json!(1.0 / 20.0), "10 s of 0.5 s steps");
    assert_eq!(service.post("/init", &json!({"dt": 0.0})).await.0, 422);
}

#[tokio::test]
async fn the_default_swarm_comes_back_after_a_restart_and_never_meets_its_own_records() {
    let ledger = FakeRemembrancer::start().await;
    let mut life = Vec::new();
    for _ in 0..2 {
        let service = Service::start(with(ledger.url())).await;
        life.push(service.get("/state").await.1["k"].as_u64().unwrap());
        for number in 0..62 {
            step(&service, number).await;
        }
        // Each life collapses at the same step, with other figures.
        for _ in 0..3 {
            let low = 5.0 + life.len() as f64;
            let (status, state) = service.post("/step", &json!({"x": vec![low; 8]})).await;
            assert_eq!(status, 200, "{state}");
        }
    }
    assert_eq!(life, [0, 60]);
    let issued = interventions(&ledger).iter().filter(|r| r.starts_with("issued")).count();
    assert!(issued >= 2, "{:?}", interventions(&ledger));
}

#[tokio::test]
async fn the_guardian_has_statistics_of_the_terms_and_of_what_it_did() {
    let service = Service::alone().await;
    for number in 0..60 {
        step(&service, number).await;
    }
    let by_hand = service.post("/guardian/albedo", &json!(null)).await.1;
    assert_eq!((&by_hand["action"], &by_hand["success"]), (&json!("albedo"), &json!(true)));
    step(&service, 60).await;
    let told = service.get("/guardian/statistics").await.1;
    assert_eq!(told["kind"], "advanced");
    assert_eq!(
        (&told["interventions"]["total"], &told["interventions"]["last_step"]),
        (&json!(1), &json!(61))
    );
    for term in ["psi", "pe", "h"] {
        let of = |name: &str| told["statistics"][term][name].as_f64().unwrap();
        assert!(of("min") <= of("mean") && of("mean") <= of("max") && of("std") >= 0.0, "{term}: {told}");
        assert!((of("min")..=of("max")).contains(&of("p95")), "{term}: {told}");
    }
    for name in ["psi_low", "pe_high", "h_high"] {
        assert!(told["thresholds"][name].is_f64(), "{name}: {told}");
    }
    assert!(told["thresholds"]["type"].is_string());
}

#[tokio::test]
async fn init_without_a_body_begins_again_with_the_defaults() {
    let service = Service::alone().await;
    step(&service, 0).await;
    let request = service.http().post(service.url("/init"));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!((&answer["status"], &answer["params"]["dt"]), (&json!("initialized"), &json!(0.2)));
    assert_eq!(service.get("/state").await.1["k"], 0);
}

#[tokio::test]
async fn a_federation_of_fields_reads_this_one_and_the_mean_of_all_its_swarms() {
    let service = Service::alone().await;
    for number in 0..60 {
        step(&service, number).await;
    }
    let state = service.get("/state").await.1;
    let own = service.get("/federation/metrics").await.1;
    assert_eq!((&own["agent_id"], &own["psi"]), (&json!("default"), &state["Psi"]));
    assert_eq!(own["metrics"]["PE"], state["PE"]);
    let all = service.post("/federation/swarm", &json!(null)).await.1;
    assert_eq!(all["swarm_metrics"]["agent_count"], 1);
    assert_eq!(all["swarm_metrics"]["Psi"], state["Psi"], "of one swarm the mean is its own");
}

#[tokio::test]
async fn a_trace_is_recorded_once_and_not_under_another_account_of_it() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let trace = json!({"trace_type": "memory", "trace_hash": "9f86d0", "metadata": {"step": 3}});
    for _ in 0..2 {
        let (status, told) = service.post("/record", &trace).await;
        assert_eq!((status, told), (200, json!({"status": "recorded", "trace_hash": "9f86d0"})));
    }
    assert_eq!(ledger.records_of("psi.trace").len(), 1);
    let longest = json!({"trace_type": "t".repeat(100), "trace_hash": "0".repeat(200), "metadata": {}});
    let (status, told) = service.post("/record", &longest).await;
    assert_eq!((status, &told["trace_hash"]), (200, &longest["trace_hash"]), "{told}");
    let ids: Vec<_> = ledger.records_of("psi.trace").iter().map(|record| record.id.len()).collect();
    assert!(ids.iter().all(|id| *id <= 200), "a ledger refuses longer ids: {ids:?}");
    let other = json!({"trace_type": "memory", "trace_hash": "9f86d0", "metadata": {"step": 4}});
    let (status, told) = service.post("/record", &other).await;
    assert_eq!((status, &told["code"]), (409, &json!("record_conflict")), "{told}");
    let (status, told) = Service::alone().await.post("/record", &trace).await;
    assert_eq!((status, &told["code"]), (503, &json!("remembrancer_unavailable")), "{told}");
}
