//! Reading catalogs, workloads and traces: what is accepted, and what a mistake is told.

use routing_env::{Catalog, Environment, Preset, Trace, Workloads};
use serde_json::{Value, json};

fn catalog() -> Value {
    serde_json::to_value(Catalog::built_in()).unwrap()
}

fn workloads() -> Value {
    serde_json::to_value(Workloads::built_in()).unwrap()
}

/// Sets one value (null removes it) and gives what the catalog's reader says of it.
fn catalog_error(pointer: &str, value: Value) -> String {
    let mut document = catalog();
    set(&mut document, pointer, value);
    Catalog::parse("providers.json", &document.to_string()).unwrap_err().to_string()
}

fn workloads_error(pointer: &str, value: Value) -> String {
    let mut document = workloads();
    set(&mut document, pointer, value);
    Workloads::parse("workloads.json", &document.to_string(), &Catalog::built_in()).unwrap_err().to_string()
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match parent {
        Value::Object(map) if value.is_null() => {
            map.remove(key);
        }
        Value::Object(map) => {
            map.insert(key.into(), value);
        }
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        _ => panic!("no container at {pointer}"),
    }
}

#[test]
fn a_mistake_in_the_catalog_is_told_with_file_place_and_expectation() {
    for (pointer, value, parts) in [
        ("/providers/0/base_latencyms", json!(3), ["/providers/0", "unknown field `base_latencyms`"]),
        ("/providers/2/reputation", json!(101), ["/providers/2/reputation", "from 0 to 100, found 101"]),
        ("/providers/2/base_latency_ms", json!(0), ["/providers/2/base_latency_ms", "found 0"]),
        ("/providers/1/capacity_gpu_hours_per_step", json!(-1), ["/providers/1/capacity", "found -1"]),
        ("/providers/1/id", json!("akash"), ["/providers/1/id", "also the id of /providers/0"]),
        ("/providers/1/id", Value::Null, ["/providers/1", "missing field `id`"]),
        (
            "/providers/0/base_price_usd_per_hour/A100",
            json!("x"),
            ["base_price_usd_per_hour", "invalid type"],
        ),
        ("/providers/0/base_price_usd_per_hour/A100", json!(0), ["base_price_usd_per_hour/A100", "above 0"]),
        (
            "/providers/0/base_price_usd_per_hour/H200",
            json!(3),
            ["base_price_usd_per_hour/H200", "gpu_types (A100)"],
        ),
        ("/providers", json!([]), ["/providers", "1 to 1000 providers"]),
    ] {
        let error = catalog_error(pointer, value);
        assert!(error.starts_with("providers.json: "), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{pointer}: {error}");
    }
}

#[test]
fn a_mistake_in_the_workloads_is_told_with_file_place_and_expectation() {
    for (pointer, value, parts) in [
        ("/demand_multplier", json!(2), ["/demand_multplier", "unknown field `demand_multplier`"]),
        ("/demand_multiplier", json!(0), ["/demand_multiplier", "above 0"]),
        ("/tenants/1/mix/cloud_gaming", json!(0.9), ["/tenants/1/mix", "sum to 1"]),
        ("/tenants/1/mix/cloud_dreaming", json!(0.0), ["/tenants/1/mix/cloud_dreaming", "workload_profiles"]),
        ("/tenants/0/max_latency_ms", json!(0), ["/tenants/0/max_latency_ms", "above 0"]),
        ("/workload_profiles/llm_training/gpu_hours", json!([5, 3]), ["gpu_hours/1", "from 5"]),
        (
            "/scenarios/0/provider_id",
            json!("vaast"),
            ["/scenarios/0/provider_id", "unknown provider `vaast`"],
        ),
        ("/scenarios/0/event", json!("flood"), ["/scenarios/0/event", "unknown event `flood`"]),
        ("/scenarios/0/multiplier", Value::Null, ["/scenarios/0/multiplier", "price_spike needs"]),
        ("/scenarios/1/delta", json!(3), ["/scenarios/1/delta", "outage does not take"]),
        ("/simulation/steps", json!(0), ["/simulation/steps", "1 to 1000000"]),
        ("/simulation/seed", json!(1u64 << 53), ["/simulation/seed", "below 2^53"]),
        ("/actions/wait", json!(true), ["/actions", "unknown field `wait`"]),
    ] {
        let error = workloads_error(pointer, value);
        assert!(error.starts_with("workloads.json: "), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{pointer}: {error}");
    }
}

#[test]
fn json_that_is_not_json_and_numbers_that_are_none_are_refused() {
    for text in ["", "{", "NaN", "{\"providers\": [NaN]}", "{\"providers\": []} trailing", "[1e999]"] {
        assert!(Catalog::parse("providers.json", text).is_err(), "{text}");
    }
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let text = catalog().to_string().replace(r#"{"A100":1.8}"#, r#"{"A100":1.8,"A100":1.9}"#);
    let error = Catalog::parse("providers.json", &text).unwrap_err().to_string();
    assert!(error.contains("`A100` stands here twice"), "{error}");
}

#[test]
fn the_order_of_a_workload_mix_is_part_of_the_definition() {
    let env = Environment::built_in(Preset::Default);
    let mut workloads = Workloads::built_in();
    workloads.tenants[0].mix.0.reverse();
    let other = Environment::new(Catalog::built_in(), workloads, Preset::Default).unwrap();
    assert_ne!(env.definition(), other.definition());
}

#[test]
fn a_written_catalog_reads_back_the_same() {
    let text = serde_json::to_string(&Catalog::built_in()).unwrap();
    assert_eq!(Catalog::parse("x", &text).unwrap(), Catalog::built_in());
}

#[test]
fn a_gpu_type_listed_without_a_price_costs_ten_dollars() {
    let mut document = catalog();
    set(&mut document, "/providers/0/base_price_usd_per_hour", json!({}));
    let catalog = Catalog::parse("x", &document.to_string()).unwrap();
    assert_eq!(catalog.providers[0].base_price("A100"), Some(10.0));
    assert_eq!(catalog.providers[0].base_price("H100"), None);
}

const HEADER: &str = "step,tenant_id,workload_type,gpu_type,gpu_hours,note\n";

fn trace(rows: &str) -> Result<Trace, String> {
    let env = Environment::built_in(Preset::Default);
    Trace::parse("trace.csv", &format!("{HEADER}{rows}"), &env, None).map_err(|e| e.to_string())
}

#[test]
fn a_trace_keeps_its_order_and_its_empty_steps() {
    let trace = trace(
        "0,tenant-dao,llm_inference,A100,0.5,x\n0,tenant-render,3d_rendering,RTX4090,2,x\n2,tenant-dao,llm_inference,A100,0.25,x\n",
    )
    .unwrap();
    assert_eq!(trace.steps(), 3);
    let hours: Vec<f64> = (0..3).flat_map(|s| trace.requests(s)).map(|r| r.hours).collect();
    assert_eq!(hours, [0.5, 2.0, 0.25]);
    assert!(trace.requests(1).is_empty());
}

#[test]
fn a_mistake_in_a_trace_is_told_with_its_line() {
    for (row, parts) in [
        ("0,tenant-x,llm_inference,A100,1,", ["line 2, tenant_id", "unknown tenant `tenant-x`"]),
        ("0,tenant-dao,llm,A100,1,", ["line 2, workload_type", "unknown workload `llm`"]),
        ("0,tenant-dao,llm_inference,A1000,1,", ["line 2, gpu_type", "unknown GPU type `A1000`"]),
        ("0,tenant-dao,llm_inference,A100,NaN,", ["line 2, gpu_hours", "found NaN"]),
        ("0,tenant-dao,llm_inference,A100,-1,", ["line 2, gpu_hours", "found -1"]),
        ("0,tenant-dao,llm_inference,A100,lots,", ["line 2", "invalid float"]),
        ("0,tenant-dao,llm_inference,A100,1,\n0,tenant-dao", ["line 3", "fields"]),
        (
            "1,tenant-dao,llm_inference,A100,1,\n0,tenant-dao,llm_inference,A100,1,",
            ["line 3, step", "order of time"],
        ),
        ("", ["line 1", "at least one request"]),
    ] {
        let error = trace(row).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{row}: {error}");
    }
}

#[test]
fn arrival_times_fall_into_steps_of_the_given_length() {
    let env = Environment::built_in(Preset::Default);
    let text = "arrival_s,tenant_id,workload_type,gpu_type,gpu_hours\n0,tenant-dao,llm_inference,A100,1\n59.9,tenant-dao,llm_inference,A100,1\n60,tenant-dao,llm_inference,A100,1\n";
    let trace = Trace::parse("t.csv", text, &env, Some(60.0)).unwrap();
    assert_eq!((trace.requests(0).len(), trace.requests(1).len()), (2, 1));
    let error = Trace::parse("t.csv", text, &env, None).unwrap_err().to_string();
    assert!(error.contains("length of a step"), "{error}");
}

/// Reference files in the public schema, if present beside the checkout.
#[test]
fn the_public_reference_files_load_unmodified_and_mean_what_the_built_in_ones_mean() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let (Ok(providers), Ok(workloads)) = (read("reference-providers.json"), read("reference-workloads.json"))
    else {
        println!("skipped: no reference files beside this checkout");
        return;
    };
    let catalog = Catalog::parse("reference-providers.json", &providers).unwrap();
    let workloads = Workloads::parse("reference-workloads.json", &workloads, &catalog).unwrap();
    assert_eq!(workloads, Workloads::built_in());
    for (reference, ours) in catalog.providers.iter().zip(&Catalog::built_in().providers) {
        assert_eq!(reference.base_price_usd_per_hour, ours.base_price_usd_per_hour);
        assert_eq!(reference.capacity_gpu_hours_per_step, ours.capacity_gpu_hours_per_step);
        assert_eq!((&reference.id, &reference.regions), (&ours.id, &ours.regions));
        assert_eq!(
            (reference.base_latency_ms, reference.reputation),
            (ours.base_latency_ms, ours.reputation)
        );
    }
}
