//! What strangers send: figures, names and numbers of things at the edge of what may be said, and beyond it.

use routing_env::{Catalog, Choice, Environment, Episode, Preset, Reward, Trace, Turn, Workloads};
use serde_json::{Value, json};

fn catalog() -> Value {
    json!({"providers": [{"id": "a", "regions": ["eu"], "gpu_types": ["A100"], "base_latency_ms": 40,
        "base_price_usd_per_hour": {"A100": 1.5}, "capacity_gpu_hours_per_step": 20, "reputation": 90}]})
}

fn workloads() -> Value {
    json!({"tenants": [{"id": "t", "region": "eu", "budget_usd_per_step": 100, "min_reputation": 0, "max_latency_ms": 1e6,
        "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1}, "mix": {"chat": 1},
        "avg_requests_per_step": 5}],
        "workload_profiles": {"chat": {"gpu_type": "A100", "gpu_hours": [1, 2]}}, "simulation": {"steps": 2, "seed": 1}})
}

fn environment(catalog: &Value, workloads: &Value, preset: Preset) -> Result<Environment, String> {
    let catalog = Catalog::from_value("providers", catalog).map_err(|e| e.to_string())?;
    let workloads = Workloads::from_value("workloads", workloads, &catalog).map_err(|e| e.to_string())?;
    Environment::new(catalog, workloads, preset).map_err(|e| e.to_string())
}

fn refused(catalog: &Value, workloads: &Value, preset: Preset) -> String {
    environment(catalog, workloads, preset).expect_err("it is refused")
}

#[test]
fn a_mistake_under_a_name_with_a_slash_is_told_by_a_pointer_that_leads_there() {
    let mut document = catalog();
    document["providers"][0]["base_price_usd_per_hour"] = json!({"A/1~0": 3});
    let error = Catalog::from_value("providers", &document).unwrap_err();
    assert_eq!(error.pointer, "/providers/0/base_price_usd_per_hour/A~11~00");
    assert_eq!(document.pointer(&error.pointer), Some(&json!(3)));
    let mut document = workloads();
    document["workload_profiles"]["a/b"] = json!({"gpu_type": "A100", "gpu_hours": [0, 1]});
    let error = Workloads::from_value("workloads", &document, &Catalog::built_in()).unwrap_err();
    assert_eq!(document.pointer(&error.pointer), Some(&json!(0)), "{error}");
    let mut document = workloads();
    document["tenants"][0]["mix"] = json!({"a/b": 1});
    let error = Workloads::from_value("workloads", &document, &Catalog::built_in()).unwrap_err();
    assert_eq!(document.pointer(&error.pointer), Some(&json!(1)), "{error}");
}

/// A body of a megabyte could ask for a table of 10^10 entries.
#[test]
fn a_catalog_of_too_many_combinations_of_region_and_gpu_type_is_refused_before_memory_is_taken_for_them() {
    let names = |prefix: &str, count: usize| (0..count).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let mut one = catalog();
    one["providers"][0]["regions"] = json!(names("r", 1001));
    assert!(
        refused(&one, &workloads(), Preset::Default).contains("/providers/0/regions: expected at most 1000")
    );
    one["providers"][0]["regions"] = json!(["eu"]);
    one["providers"][0]["gpu_types"] = json!(names("g", 100_000));
    assert!(
        refused(&one, &workloads(), Preset::Default)
            .contains("/providers/0/gpu_types: expected at most 1000")
    );

    let mut many = catalog();
    let provider = |i: usize| {
        let mut provider = catalog()["providers"][0].clone();
        provider["id"] = format!("p{i}").into();
        provider["base_price_usd_per_hour"] = json!({});
        provider["regions"] = json!(names(&format!("r{i}-"), 100));
        provider["gpu_types"] = json!(names(&format!("g{i}-"), 100));
        provider
    };
    many["providers"] = (0..1000).map(provider).collect();
    let error = refused(&many, &workloads(), Preset::Default);
    assert!(error.contains("providers: /providers: expected at most 1000000 combinations"), "{error}");
}

#[test]
fn demand_that_only_a_preset_makes_too_high_is_refused() {
    let mut document = workloads();
    document["tenants"][0]["avg_requests_per_step"] = json!(1e6);
    assert!(environment(&catalog(), &document, Preset::Default).is_ok());
    let error = refused(&catalog(), &document, Preset::Contended);
    assert!(error.contains("at most 1000000 requests a step on average, found 8000000"), "{error}");
}

#[test]
fn however_many_events_fall_together_every_price_and_capacity_is_a_figure() {
    for (event, multiplier) in [("price_spike", 1e3), ("price_spike", 1e-3), ("capacity_surge", 1e3)] {
        let mut document = workloads();
        let event = json!({"step": 0, "event": event, "provider_id": "a", "multiplier": multiplier});
        document["scenarios"] = vec![event; 400].into();
        let environment = environment(&catalog(), &document, Preset::Default).unwrap();
        let mut episode = Episode::new(&environment, 1, Reward::EXCESS_COST);
        assert!(episode.begin_step());
        while let Some(Turn::Request(observation)) = episode.turn() {
            let candidate = observation.candidates[0];
            assert!(candidate.price.is_finite() && candidate.price > 0.0, "{candidate:?}");
            episode.act(Choice::Route(0));
        }
        let state = episode.market().providers()[0];
        assert!(state.capacity.is_finite() && state.remaining.is_finite(), "{state:?}");
    }
    let mut document = workloads();
    let event = json!({"step": 0, "event": "outage", "provider_id": "a"});
    document["scenarios"] = vec![event; 1001].into();
    let error = refused(&catalog(), &document, Preset::Default);
    assert!(error.contains("/scenarios: expected at most 1000 events, found 1001"), "{error}");
}

#[test]
fn a_mistake_in_a_trace_is_told_with_the_line_that_an_editor_shows() {
    let environment = environment(&catalog(), &workloads(), Preset::Default).unwrap();
    let header = "step,tenant_id,workload_type,gpu_type,gpu_hours,note";
    for (rows, place) in [
        ("0,t,chat,A100,1,x\n\n\n0,t,chat,A100,no,x\n", "line 5, gpu_hours: expected a number"),
        ("0,t,chat,A100,1,\"over\ntwo lines\"\n0,t,chat,A100,-1,x\n", "line 4, gpu_hours: expected a number"),
        ("\r\n0,t,chat,A100,1,x\r\n\r\n0,t,talk,A100,1,x\r\n", "line 5, workload_type: unknown workload"),
        ("0,t,chat,A100,1,x\n\n0,t\n", "line 4: expected 6 fields as in the header, found 2"),
        ("3,t,chat,A100,1,x\n\n2,t,chat,A100,1,x\n", "line 4, step: expected rows in order of time"),
    ] {
        let error = Trace::parse("t.csv", &format!("{header}\n{rows}"), &environment, None).unwrap_err();
        assert!(error.to_string().contains(place), "{error}");
    }
}

#[test]
fn steps_without_requests_cost_a_trace_nothing() {
    let environment = environment(&catalog(), &workloads(), Preset::Default).unwrap();
    let text = "step,tenant_id,workload_type,gpu_type,gpu_hours\n7,t,chat,A100,1\n9999999,t,chat,A100,2\n";
    // 240 MB each when every step had a list of its own
    let traces: Vec<Trace> =
        (0..400).map(|_| Trace::parse("t.csv", text, &environment, None).unwrap()).collect();
    let trace = &traces[399];
    assert_eq!(trace.steps(), 10_000_000);
    let lengths = [0, 7, 8, 9_999_999].map(|step| trace.requests(step).len());
    assert_eq!(lengths, [0, 1, 0, 1]);
    let late = "arrival_s,tenant_id,workload_type,gpu_type,gpu_hours\n0,t,chat,A100,1\n1e9,t,chat,A100,1\n";
    let error = Trace::parse("t.csv", late, &environment, Some(60.0)).unwrap_err().to_string();
    assert!(
        error.contains(
            "line 3, arrival_s: expected at most 10000000 steps, but 1000000000 s after the beginning"
        ),
        "{error}"
    );
}
