//! Reading catalogs, workloads and traces: what is accepted, and what a mistake is told.

use routing_env::{Catalog, Environment, Origin, Preset, Trace, Workloads};
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
        ("/providers/1/id", Value::Null, ["/providers/1", "`id` is missing"]),
        (
            "/providers/0/base_price_usd_per_hour/A100",
            json!("x"),
            ["base_price_usd_per_hour/A100", "expected a number, found the string \"x\""],
        ),
        ("/providers/0/base_price_usd_per_hour/A100", json!(-1), ["base_price_usd_per_hour/A100", "from 0"]),
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
fn a_file_may_have_been_saved_anywhere_and_spell_whole_numbers_as_floats() {
    let text = catalog().to_string();
    let marked = format!("\u{feff}{}\r\n", text.replace(',', ",\r\n"));
    assert_eq!(Catalog::parse("c", &marked), Catalog::parse("c", &text));
    let spelled = workloads()
        .to_string()
        .replace("\"steps\":120", "\"steps\":120.0")
        .replace("\"seed\":42", "\"seed\":4.2e1");
    assert_ne!(spelled, workloads().to_string());
    let read = |text: &str| Workloads::parse("w", text, &Catalog::built_in()).unwrap();
    assert_eq!(read(&spelled), read(&workloads().to_string()));
    let error = workloads_error("/simulation/steps", json!(120.5));
    assert!(error.ends_with("/simulation/steps: expected a whole number, found 120.5"), "{error}");
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
fn a_gpu_type_listed_without_a_price_is_assumed_to_cost_ten_dollars_and_is_told() {
    let mut document = catalog();
    set(&mut document, "/providers/0/base_price_usd_per_hour", json!({}));
    let catalog = Catalog::parse("x", &document.to_string()).unwrap();
    assert_eq!(catalog.providers[0].base_price("A100"), Some(10.0));
    assert_eq!(catalog.providers[0].base_price("H100"), None);
    assert_eq!(catalog.assumed_prices().collect::<Vec<_>>(), [("akash", "A100")]);
    let told = catalog.assumption().unwrap();
    assert!(
        told.starts_with("The catalog has no price of A100 at akash: 10 $ per GPU-hour is assumed"),
        "{told}"
    );
    assert_eq!(Catalog::built_in().assumption(), None);
    let env = Environment::new(catalog, Workloads::built_in(), Preset::Default).unwrap();
    let a100 = env.gpu_types().iter().position(|gpu| gpu == "A100").unwrap();
    let assumed: Vec<bool> = (0..7).map(|provider| env.price_is_assumed(provider, a100)).collect();
    assert_eq!(assumed, [true, false, false, false, false, false, false]);
    assert_eq!(Catalog::built_in().assumed_prices().count(), 0);
}

#[test]
fn a_price_of_0_is_a_price() {
    let mut document = catalog();
    set(&mut document, "/providers/3/base_price_usd_per_hour/A100", json!(0));
    let catalog = Catalog::parse("x", &document.to_string()).unwrap();
    assert_eq!(catalog.providers[3].base_price("A100"), Some(0.0));
    assert_eq!(catalog.assumed_prices().count(), 0);
}

/// Where this version plays otherwise than an earlier one did, a run has another digest; elsewhere it keeps its own.
#[test]
fn only_an_environment_that_is_played_by_new_rules_has_another_definition() {
    let changed = |change: fn(&mut Catalog, &mut Workloads)| {
        let (mut catalog, mut workloads) = (Catalog::built_in(), Workloads::built_in());
        change(&mut catalog, &mut workloads);
        Environment::new(catalog, workloads, Preset::Contended)
            .unwrap()
            .definition()
            .ends_with(r#","rules":2}"#)
    };
    assert!(!changed(|_, _| {}));
    assert!(!changed(|catalog, _| catalog.providers[3].base_price_usd_per_hour.0[0].1 = 0.0));
    assert!(!changed(|_, workloads| workloads.tenants[0].avg_requests_per_step = 4.0));
    assert!(changed(|_, workloads| workloads.tenants[0].avg_requests_per_step = 3.9));
    assert!(changed(|catalog, _| catalog.providers[3].base_price_usd_per_hour.0.clear()));
    assert!(changed(|_, workloads| {
        let mix = &mut workloads.tenants[3].mix.0;
        (mix[0].1, mix[1].1) = (1.0, 0.0);
    }));
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
fn a_trace_that_another_program_wrote_again_is_the_same_trace() {
    let rows = "0,tenant-dao,llm_inference,A100,0.5,x\n2,tenant-dao,llm_inference,A100,2,x\n";
    let spelled = "0.0,tenant-dao,llm_inference,A100,0.5,x\r\n2e0,tenant-dao,llm_inference,A100,2.0,x\r\n";
    let ours = trace(rows);
    assert!(ours.is_ok());
    assert_eq!(trace(spelled), ours);
    let env = Environment::built_in(Preset::Default);
    let marked = format!("\u{feff}{HEADER}{rows}");
    assert_eq!(Trace::parse("trace.csv", &marked, &env, None).map_err(|e| e.to_string()), ours);
}

#[test]
fn a_mistake_in_a_trace_is_told_with_its_line() {
    for (row, parts) in [
        ("0,tenant-x,llm_inference,A100,1,", ["line 2, tenant_id", "unknown tenant `tenant-x`"]),
        ("0,tenant-dao,llm,A100,1,", ["line 2, workload_type", "unknown workload `llm`"]),
        ("0,tenant-dao,llm_inference,A1000,1,", ["line 2, gpu_type", "unknown GPU type `A1000`"]),
        ("0,tenant-dao,llm_inference,A100,NaN,", ["line 2, gpu_hours", "found NaN"]),
        ("0,tenant-dao,llm_inference,A100,-1,", ["line 2, gpu_hours", "found -1"]),
        ("0,tenant-dao,llm_inference,A100,lots,", ["line 2, gpu_hours", "expected a number"]),
        ("0,tenant-dao,llm_inference,A100,1,\n0,tenant-dao", ["line 3", "fields"]),
        (
            "1,tenant-dao,llm_inference,A100,1,\n0,tenant-dao,llm_inference,A100,1,",
            ["line 3, step", "order of time"],
        ),
        ("0.5,tenant-dao,llm_inference,A100,1,", ["line 2, step", "whole number from 0 on, found 0.5"]),
        ("-1,tenant-dao,llm_inference,A100,1,", ["line 2, step", "whole number from 0 on, found -1"]),
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

/// A trace with these times in this column, with steps of a minute: the step of each request, and the origin.
fn timed(column: &str, times: &[&str]) -> Result<(Vec<u32>, Origin), String> {
    let rows: String = times.iter().map(|time| format!("{time},tenant-dao,llm_inference,A100,1\n")).collect();
    let text = format!("{column},tenant_id,workload_type,gpu_type,gpu_hours\n{rows}");
    let env = Environment::built_in(Preset::Default);
    let step_seconds = (column != "step").then_some(60.0);
    let trace = Trace::parse("t.csv", &text, &env, step_seconds).map_err(|error| error.to_string())?;
    let steps = (0..trace.steps()).flat_map(|step| vec![step; trace.requests(step).len()]).collect();
    Ok((steps, trace.origin().clone()))
}

#[test]
fn times_of_the_clock_count_from_the_first_request_whatever_their_unit() {
    for (column, times) in [
        ("arrival_s", ["1700000000", "1700000059.5", "1700000060", "1700003600"]),
        ("arrival_ms", ["1700000000000", "1700000059500", "1700000060000", "1700003600000"]),
        (
            "arrival_at",
            [
                "2023-11-14T22:13:20Z",
                "2023-11-14T23:14:19.5+01:00",
                "2023-11-14T17:14:20-05:00",
                "2023-11-14T23:13:20Z",
            ],
        ),
    ] {
        let (steps, origin) = timed(column, &times).unwrap();
        assert_eq!(steps, [0, 0, 1, 60], "{column}");
        assert_eq!(origin.to_string(), "with the first request, at 2023-11-14T22:13:20Z");
    }
}

#[test]
fn times_of_a_stopwatch_count_from_0_and_the_steps_before_the_first_request_are_empty() {
    for (column, times) in [("arrival_s", ["120", "3600.5"]), ("arrival_ms", ["120000", "3600500"])] {
        let (steps, origin) = timed(column, &times).unwrap();
        assert_eq!(
            (steps, origin.to_string()),
            (vec![2, 60], "at 0 s; the first request comes 120 s after it".into())
        );
    }
    assert_eq!(timed("step", &["7", "9"]).unwrap(), (vec![7, 9], Origin::Steps));
}

#[test]
fn a_time_that_cannot_be_meant_is_refused_with_what_it_seems_to_be() {
    for (column, times, expected) in [
        ("arrival_s", vec!["1700000000000"], "line 2, arrival_s: expected a time before the year 5000"),
        ("arrival_s", vec!["1700000000000"], "milliseconds or less: name the column arrival_ms"),
        ("arrival_ms", vec!["1700000000000000"], "microseconds or less"),
        ("arrival_s", vec!["-1"], "expected a time from 0 on, found -1"),
        ("arrival_s", vec!["NaN"], "expected a time from 0 on, found NaN"),
        ("arrival_s", vec![""], "expected a time, found nothing"),
        ("arrival_s", vec!["60", "0"], "line 3, arrival_s: expected rows in order of time"),
        (
            "arrival_at",
            vec!["2023-11-14T22:13:20Z", "2023-11-14T22:13:21+01:00"],
            "sort the file by arrival_at",
        ),
        ("arrival_at", vec!["2023-11-14 22:13:20"], "ISO 8601 with its zone"),
        ("arrival_at", vec!["1700000000"], "ISO 8601 with its zone"),
        ("arrival_s", vec!["0", "600000000"], "expected at most 10000000 steps"),
        ("step", vec!["1700000000"], "expected a step below 10000000, found 1700000000"),
        ("when", vec!["0"], "line 1: expected a column `step`, `arrival_s`, `arrival_ms` or `arrival_at`"),
        ("arrival_s,arrival_ms", vec!["0,0"], "found `arrival_s` and `arrival_ms`: remove one"),
    ] {
        let error = timed(column, &times).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn of_steps_and_times_the_length_of_a_step_says_which_are_meant() {
    let env = Environment::built_in(Preset::Default);
    let text =
        "step,arrival_s,tenant_id,workload_type,gpu_type,gpu_hours\n5,61,tenant-dao,llm_inference,A100,1\n";
    let steps = |text, seconds| Trace::parse("t.csv", text, &env, seconds).map(|trace| trace.steps());
    assert_eq!((steps(text, None), steps(text, Some(60.0))), (Ok(6), Ok(2)));
    let only_steps = "step,tenant_id,workload_type,gpu_type,gpu_hours\n5,tenant-dao,llm_inference,A100,1\n";
    let error = steps(only_steps, Some(60.0)).unwrap_err().to_string();
    assert!(error.contains("needs no length of a step"), "{error}");
}

/// Prints how long traces take of which each row is on a step of its own, which is the most that rows can cost. No time is
/// asserted; what grew with the square would take minutes.
#[test]
#[allow(clippy::disallowed_methods, reason = "it is only shown how long it takes")]
fn a_trace_of_a_hundred_thousand_rows_on_as_many_steps_is_read() {
    let env = Environment::built_in(Preset::Default);
    for rows in [10_000, 100_000_u32] {
        let mut text = "arrival_s,tenant_id,workload_type,gpu_type,gpu_hours\n".to_owned();
        for row in 0..rows {
            text.push_str(&format!("{},tenant-dao,llm_inference,A100,1\n", 1_700_000_000 + u64::from(row)));
        }
        let begun = std::time::Instant::now();
        let trace = Trace::parse("t.csv", &text, &env, Some(1.0)).unwrap();
        println!("{rows} rows: {:?}", begun.elapsed());
        assert_eq!(trace.steps(), rows);
    }
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
