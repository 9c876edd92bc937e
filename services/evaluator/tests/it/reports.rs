//! `/v1/evaluations/{id}/report.html` and `/plots`, over HTTP.

use api::Hash;
use routing_env::{Environment, Preset};
use serde_json::{Value, json};
use test_support::FakeRemembrancer;

use crate::support::{evaluator, policy_file};

fn request(policies: &[Hash]) -> Value {
    json!({"policies": policies, "environment": {"preset": "contended"}, "seeds": 3, "steps": 2})
}

#[tokio::test]
async fn the_report_tells_verdicts_figures_the_way_to_get_it_again_and_how_to_verify_it() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let environment = Environment::built_in(Preset::Contended).with_steps(2);
    let policy = ledger.put_artifact(&serde_json::to_vec(&policy_file(&environment, 7)).unwrap());
    let evaluation = service.completed(&request(&[policy])).await;
    let path = format!("/v1/evaluations/{}/report.html", evaluation.id);
    let answer = service.get(&path).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let html = answer.text().await.unwrap();
    let result = evaluation.result.unwrap();
    let learned = &result.policies[0];
    let (fill, worst) =
        (learned.metrics.gpu_hours_fill.unwrap(), learned.metrics.worst_tenant_gpu_hours_fill.unwrap());
    let record = evaluation.record_id.unwrap();
    for part in [
        result.verdicts[0].clone(),
        format!("q-learning ({})", &policy.to_string()[..8]),
        format!("data-of=\"GPU-hours fill\">{:.4}</td>", fill.mean),
        format!(">{:.4}</td>", worst.mean),
        "fill from 6 on".into(),
        "cost index".into(),
        "deferred share".into(),
        format!("curl -s http://127.0.0.1:8002/v1/artifacts/{policy} -o "),
        format!(
            "mesh evaluate --ai-agents {}.json --preset contended --steps 2 --seeds 3",
            &policy.to_string()[..8]
        ),
        "curl -s http://127.0.0.1:8003/v1/evaluations".into(),
        format!("http://127.0.0.1:8002/v1/log/evidence?record={record}"),
        "mesh verify evaluation_receipt.json".into(),
        result.environment_digest.to_string(),
    ] {
        let escaped = if part.starts_with("data-of") {
            part.clone()
        } else {
            part.replace('\'', "&#39;").replace('"', "&#34;")
        };
        assert!(html.contains(&escaped), "{part} is not in the report");
    }
    assert_eq!(html.matches("<svg").count(), 2 * 6, "each chart for broad pages and for narrow ones");
    for outside in ["<script", "src=", "href=", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(service.get(&path).await.text().await.unwrap(), html);
    // whoever is asked later tells the same
    drop(service);
    assert_eq!(evaluator(ledger.url()).await.get(&path).await.text().await.unwrap(), html);
}

#[tokio::test]
async fn the_request_that_the_report_shows_gives_the_same_result() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let mut body = request(&[]);
    body["rules"] = json!(["cheapest"]);
    let evaluation = service.completed(&body).await;
    let html =
        service.get(&format!("/v1/evaluations/{}/report.html", evaluation.id)).await.text().await.unwrap();
    let shown = html.split("-d &#39;").nth(1).unwrap().split("&#39;</pre>").next().unwrap();
    let again = service.completed(&serde_json::from_str(&shown.replace("&#34;", "\"")).unwrap()).await;
    assert_ne!(again.id, evaluation.id);
    assert_eq!(again.result, evaluation.result);
    assert!(!html.contains("mesh evaluate --ai-agents"), "it has no flag for rules");
}

#[tokio::test]
async fn every_plot_is_there_as_svg_and_png() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let id = service.completed(&request(&[])).await.id;
    for name in
        ["policy_comparison", "gain_over_time", "reward_by_seed", "fill_by_tenant", "fill_by_job_size"]
    {
        let svg = service.get(&format!("/v1/evaluations/{id}/plots/{name}.svg")).await;
        assert_eq!(svg.headers()["content-type"], "image/svg+xml");
        assert!(svg.text().await.unwrap().starts_with("<svg xmlns="), "{name}");
        let png = service.get(&format!("/v1/evaluations/{id}/plots/{name}.png")).await;
        assert_eq!(png.headers()["content-type"], "image/png");
        assert!(png.bytes().await.unwrap().starts_with(b"\x89PNG\r\n"), "{name}");
    }
}

#[tokio::test]
async fn a_plot_that_there_is_not_is_refused_with_those_that_there_are() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let id = service.completed(&request(&[])).await.id;
    for file in ["pareto.svg", "policy_comparison.gif", "policy_comparison", ".svg"] {
        let answer = service.get(&format!("/v1/evaluations/{id}/plots/{file}")).await;
        assert_eq!(answer.status(), 404, "{file}");
        let problem: api::Problem = answer.json().await.unwrap();
        assert_eq!(problem.code, "plot_not_found");
        assert!(problem.detail.contains(&format!("no plot {file}")), "{}", problem.detail);
        assert!(
            problem.detail.contains("policy_comparison.svg, policy_comparison.png"),
            "{}",
            problem.detail
        );
    }
    let unknown = service.get("/v1/evaluations/01980000-0000-7000-8000-000000000000/report.html").await;
    assert_eq!(unknown.json::<api::Problem>().await.unwrap().code, "evaluation_not_found");
}
