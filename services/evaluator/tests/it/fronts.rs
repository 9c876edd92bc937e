//! Evaluations under many preferences, over HTTP.

use api::{
    Hash, Page, Problem,
    evaluator::{Evaluation, EvaluationStatus, Fronts, Provenance, Weights},
};
use routing_env::{Environment, Preset};
use serde_json::{Value, json};
use test_support::FakeRemembrancer;

use crate::support::{Killable, evaluator, policy_file, policy_file_of};

const STEPS: u32 = 3;

/// A small evaluation under two preferences.
fn request(policies: &[Hash]) -> Value {
    json!({
        "preferences": ["cheap", {"latency": 0.08}], "policies": policies, "rules": ["bid-price"],
        "environment": {"preset": "contended"}, "seeds": 2, "steps": STEPS,
    })
}

fn contended() -> Environment {
    Environment::built_in(Preset::Contended).with_steps(STEPS)
}

/// A policy that plays for any preference, in the ledger.
fn put_cem(ledger: &FakeRemembrancer) -> Hash {
    let file = policy_file_of("cem", &json!({}), &contended(), 7);
    ledger.put_artifact(&serde_json::to_vec(&file).unwrap())
}

#[tokio::test]
async fn every_policy_has_a_point_under_every_preference_and_the_fronts_are_recorded() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let policy = put_cem(&ledger);
    let accepted = service.accepted(&request(&[policy])).await;
    // a policy and two rules on two seeds under two preferences; what was never trained is known once it is read
    assert_eq!((accepted.episodes_total, accepted.limit_steps_total), (12, 4 * u64::from(STEPS)));
    let created = ledger.records_of("evaluation.created");
    assert_eq!(created[0].body["config"]["preferences"], request(&[])["preferences"]);
    let evaluation = service.ended(accepted.id).await;
    assert_eq!(evaluation.status, EvaluationStatus::Completed, "{:?}", evaluation.error);
    assert_eq!((evaluation.episodes_done, evaluation.limit_steps_done), (16, 4 * u64::from(STEPS)));

    let result = evaluation.result.unwrap();
    assert_eq!((result.policies.len(), &result.best_rule, &result.limit), (0, &None, &None));
    let fronts = result.fronts.unwrap();
    let names: Vec<&str> = fronts.policies.iter().map(|front| front.name.as_str()).collect();
    assert_eq!(names, ["weighted-score", "bid-price", "cem", "cem, never trained"]);
    let cem = &fronts.policies[2];
    assert_eq!(
        (cem.learned, cem.trained_episodes, fronts.policies[3].trained_episodes),
        (true, Some(1), Some(0))
    );
    assert_eq!(
        (cem.trainings[0].policy_sha256, cem.trainings[0].provenance),
        (policy, Provenance::Unverified)
    );
    let wanted = [(8.0, 0.02), (3.0, 0.08)];
    let wanted = wanted.map(|(cost, latency)| Weights { request: 50.0, gpu_hour: 0.0, cost, latency });
    for points in fronts.policies.iter().map(|front| &front.points).chain([&fronts.limit.points]) {
        assert_eq!(points.iter().map(|point| point.weights).collect::<Vec<_>>(), wanted);
        for (point, limit) in points.iter().zip(&fronts.limit.points) {
            assert!(point.reward <= limit.reward && point.fill_rate.is_some());
        }
    }
    let records = ledger.records_of("evaluation.completed");
    assert_eq!(records.len(), 1);
    let recorded: Fronts = serde_json::from_value(records[0].body["result"]["fronts"].clone()).unwrap();
    assert_eq!(recorded, fronts);
    assert!(result.verdicts[0].starts_with("cem goes "), "{:?}", result.verdicts);
}

/// The second way: under each preference alone the same policies go the same share of the way to the same limit.
#[tokio::test]
async fn a_front_goes_as_far_under_each_preference_as_an_evaluation_under_that_one_says() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let policy = put_cem(&ledger);
    let fronts = service.completed(&request(&[policy])).await.result.unwrap().fronts.unwrap();
    for (i, preference) in ["cheap", "fast"].into_iter().enumerate() {
        let mut alone = request(&[policy]);
        alone.as_object_mut().unwrap().remove("preferences");
        alone["preference"] = json!(preference);
        let alone = service.completed(&alone).await.result.unwrap();
        for (front, place) in [(&fronts.policies[1], 3), (&fronts.policies[2], 0)] {
            let (own, other) =
                (front.points[i].gap_closed.unwrap(), alone.policies[place].gap_closed.unwrap());
            assert_eq!(alone.policies[place].name, front.name);
            assert!((own.mean - other.mean).abs() < 1e-3, "{preference}: {own:?} {other:?}");
            assert!((own.ci_low - other.ci_low).abs() < 1e-2, "{preference}: {own:?} {other:?}");
        }
    }
}

#[tokio::test]
async fn the_points_are_told_as_csv_as_a_chart_and_on_a_page() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let evaluation = service.completed(&request(&[put_cem(&ledger)])).await;
    let path = format!("/v1/evaluations/{}", evaluation.id);
    let csv = service.get(&format!("{path}/results.csv")).await.text().await.unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 4 * 2 + 2);
    assert!(lines[0].starts_with("policy,request,gpu_hour,cost,latency,reward,gap_closed,"), "{}", lines[0]);
    assert!(lines[5].starts_with("cem,50,0,8,0.02,") && lines[10].starts_with("limit,50,0,3,0.08,"), "{csv}");
    let fronts = evaluation.result.unwrap().fronts.unwrap();
    let fill = fronts.policies[2].points[0].gpu_hours_fill_by_size.unwrap().under_3h.unwrap();
    let fill_column = lines[0].split(',').position(|name| name == "gpu_hours_fill_under_3h").unwrap();
    assert_eq!(lines[5].split(',').nth(fill_column), Some(fill.to_string().as_str()));
    assert_eq!(lines[10].split(',').nth(fill_column), Some(""), "a limit splits jobs");

    let svg = service.get(&format!("{path}/plots/pareto.svg")).await;
    assert_eq!(svg.headers()["content-type"], "image/svg+xml");
    let other = service.get(&format!("{path}/plots/policy_comparison.svg")).await;
    assert!(other.json::<Problem>().await.unwrap().detail.contains("pareto.svg, pareto.png"));
    let values = service.get(&format!("{path}/values")).await;
    assert_eq!(values.json::<Problem>().await.unwrap().code, "values_not_kept");

    let html = service.get(&format!("{path}/report.html")).await.text().await.unwrap();
    let gap = fronts.policies[2].points[1].gap_closed.unwrap();
    for part in [
        "Fronts: 4 policies under 2 preferences on contended".to_owned(),
        "cem goes ".to_owned(),
        format!(">{:.1} % [{:.1}, {:.1}]</td>", 100.0 * gap.mean, 100.0 * gap.ci_low, 100.0 * gap.ci_high),
        "all hand rules together".to_owned(),
        "Policy cem: artifact ".to_owned(),
    ] {
        assert!(html.contains(&part), "{part} is not in the report");
    }
    assert_eq!(html.matches("<svg").count(), 2, "one chart, for broad pages and for narrow ones");
}

#[tokio::test]
async fn fronts_whose_evaluator_was_killed_end_on_another_with_the_same_bytes() {
    let ledger = FakeRemembrancer::start().await;
    let mut long = request(&[put_cem(&ledger)]);
    (long["seeds"], long["steps"]) = (json!(6), json!(40));
    let first = Killable::start(ledger.url()).await;
    let id = first.service().accepted(&long).await.id;
    first.service().under_way(id).await;
    first.kill();
    assert!(ledger.records_of("evaluation.completed").is_empty());

    let second = evaluator(ledger.url()).await;
    ledger.run_out_leases();
    let resumed = second.ended(id).await;
    let undisturbed = second.completed(&long).await;
    let text = |evaluation: Evaluation| serde_json::to_string(&evaluation.result.unwrap()).unwrap();
    assert_eq!(text(resumed), text(undisturbed));
}

#[tokio::test]
async fn the_grid_has_27_preferences_and_is_played_by_the_rules_that_heed_them() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let grid = json!({"preferences": "grid", "rules": ["reserve"], "seeds": 2, "steps": 1});
    let evaluation = service.completed(&grid).await;
    assert_eq!((evaluation.episodes_total, evaluation.limit_steps_total), (2 * 2 * 27, 2 * 27));
    let fronts = evaluation.result.unwrap().fronts.unwrap();
    assert_eq!(fronts.limit.points.len(), 27);
    assert!(fronts.rules.hypervolume > 0.0 && fronts.policies[0].coverage.expected_utility > 0.0);
}

#[tokio::test]
async fn each_mistake_in_preferences_is_told_where_it_is() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let many: Vec<Value> = (0..65).map(|cost| json!({"cost": cost})).collect();
    for (body, pointers, told) in [
        (json!({"preferences": "grids"}), vec!["/preferences"], "expected `grid`, or a list"),
        (json!({"preferences": {"cost": 8}}), vec!["/preferences"], "expected `grid`, or a list"),
        (json!({"preferences": ["cheap"]}), vec!["/preferences"], "2 to 64 preferences, found 1"),
        (json!({"preferences": many}), vec!["/preferences"], "found 65"),
        (
            json!({"preferences": ["cheapest", {"cost": -1}, "fast", 3]}),
            vec!["/preferences/0", "/preferences/1/cost", "/preferences/3"],
            "balanced, cheap, fast",
        ),
        (
            json!({"preferences": ["cheap", "fast", {"cost": 8}]}),
            vec!["/preferences/2"],
            "those of /preferences/0",
        ),
        (
            json!({"preferences": "grid", "preference": "cheap", "limit_steps": 3}),
            vec!["/preferences", "/limit_steps"],
            "nothing beside `preference`",
        ),
    ] {
        let (status, problem) = service.refused(&body).await;
        assert_eq!((status, problem.code.as_str()), (422, "invalid_request"), "{body}");
        let found: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(found, pointers, "{body}");
        assert!(problem.errors[0].detail.contains(told), "{body}: {:?}", problem.errors);
    }
    let page: Page<Evaluation> = service.get("/v1/evaluations").await.json().await.unwrap();
    assert!(page.items.is_empty());
}

#[tokio::test]
async fn a_policy_that_decides_for_one_preference_alone_is_refused_with_what_to_do() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let policy = ledger.put_artifact(&serde_json::to_vec(&policy_file(&contended(), 7)).unwrap());
    let mut balanced = request(&[policy]);
    balanced["preferences"] = json!(["balanced", "cheap"]); // the first one is what it was trained for
    let (status, problem) = service.refused(&balanced).await;
    assert_eq!((status, problem.code.as_str()), (422, "invalid_policy"));
    assert!(problem.detail.contains("ask a policy of adaptive or cem"), "{}", problem.detail);
    assert!(ledger.records_of("evaluation.created").is_empty());
}
