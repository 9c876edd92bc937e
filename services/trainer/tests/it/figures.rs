//! Figures as streams, and of two runs side by side.

use api::trainer::{MetricsQuery, NewRewind, NewRun, PsiFieldMode, Resolution, RunComparison, WindowMetrics};
use serde_json::Value;
use test_support::Fault;
use uuid::Uuid;

use crate::support::{Stack, small_run};

async fn get(stack: &Stack, path: &str, accept: &str) -> (u16, String, String) {
    let request =
        test_support::http_client().get(format!("{}/v1/runs/{path}", stack.url())).header("accept", accept);
    let answer = request.send().await.unwrap();
    let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), media_type, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_every_row_of_the_pages_whichever_way_it_is_asked_for() {
    let stack = Stack::start().await;
    // 4 episodes of 300 steps: more windows than one part of a stream
    let run = NewRun { steps_per_episode: 300, agents: 1, psi_field: PsiFieldMode::Off, ..small_run() };
    let run = stack.play(&run).await;
    let query =
        MetricsQuery { resolution: Resolution::Window, limit: Some(10_000), ..MetricsQuery::default() };
    let pages = stack.client().window_metrics(run.id, &query).await.unwrap();
    assert_eq!((pages.items.len(), pages.next_cursor), (1200, None));

    let path = format!("{}/metrics?resolution=window", run.id);
    let (status, media_type, lines) = get(&stack, &path, "application/x-ndjson").await;
    assert_eq!((status, media_type.as_str()), (200, "application/x-ndjson"));
    let rows: Vec<WindowMetrics> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, pages.items);
    let (_, media_type, same) = get(&stack, &format!("{path}&format=ndjson&from=1199"), "text/csv").await;
    assert_eq!(media_type, "application/x-ndjson");
    assert_eq!(same.trim_end(), lines.lines().last().unwrap());

    let (_, media_type, csv) = get(&stack, &path, "text/csv").await;
    assert_eq!(media_type, "text/csv; charset=utf-8");
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with("window,episode,step,requests,avg_reward"));
    let numbers = lines.map(|line| line.split(',').next().unwrap().parse::<u64>().unwrap());
    assert!(numbers.eq(0..1200));

    let (_, _, episodes) = get(&stack, &format!("{}/metrics?format=ndjson", run.id), "*/*").await;
    assert_eq!(episodes.lines().count(), 4);
    // nothing from there on: no line, and in CSV the header alone
    assert_eq!(get(&stack, &format!("{path}&format=ndjson&from=9999"), "*/*").await.2, "");
    assert_eq!(get(&stack, &format!("{path}&format=csv&from=9999"), "*/*").await.2.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_is_shown_in_few_rows_that_keep_the_extremes() {
    let mut stack = Stack::start().await;
    let run = NewRun { steps_per_episode: 300, agents: 1, psi_field: PsiFieldMode::Off, ..small_run() };
    let run = stack.play(&run).await;
    let path = format!("{}/metrics?resolution=window&format=ndjson", run.id);
    let rows = async |stack: &Stack, query: &str| -> Vec<WindowMetrics> {
        let (status, _, lines) = get(stack, &format!("{path}{query}"), "*/*").await;
        assert_eq!(status, 200, "{lines}");
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = rows(&stack, "").await;
    let thinned = rows(&stack, "&points=100&metric=avg_cost_usd").await;
    assert!(thinned.len() <= 100 && thinned.len() > 50, "{}", thinned.len());
    assert!(thinned.iter().all(|row| all[row.window as usize] == *row), "rows are whole");
    assert!(thinned.is_sorted_by_key(|row| row.window));
    let extremes = |rows: &[WindowMetrics]| {
        let figures = rows.iter().filter_map(|row| row.avg_cost_usd);
        figures.fold((f64::MAX, f64::MIN), |(least, most), figure| (least.min(figure), most.max(figure)))
    };
    assert_eq!(extremes(&thinned), extremes(&all));
    assert_eq!(rows(&stack, "&points=10000").await, all, "there are no more");
    assert_eq!(rows(&stack, "&points=4&from=1190").await.len(), 4);

    let (_, _, page) = get(&stack, &format!("{}/metrics?resolution=window&points=100", run.id), "*/*").await;
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["next_cursor"], Value::Null);
    let by_reward = rows(&stack, "&points=100").await;
    assert_eq!(page["items"], serde_json::to_value(&by_reward).unwrap(), "JSON and NDJSON alike");
    let csv =
        get(&stack, &format!("{}/metrics?resolution=window&points=100&format=csv", run.id), "*/*").await.2;
    assert_eq!(csv.lines().count(), 1 + by_reward.len());

    // the same from the ledger
    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    assert_eq!(rows(&stack, "&points=100&metric=avg_cost_usd").await, thinned);
    let episodes = get(&stack, &format!("{}/metrics?points=2", run.id), "*/*").await.2;
    assert_eq!(serde_json::from_str::<Value>(&episodes).unwrap()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_an_ended_run_are_streamed_after_a_restart_too_and_are_a_problem_without_the_ledger() {
    let mut stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let path = format!("{}/metrics?format=ndjson", run.id);
    let before = get(&stack, &path, "*/*").await;
    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    assert_eq!(get(&stack, &path, "*/*").await, before);
    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    stack.ledger.faults().set(Fault::Refuse);
    let (status, _, problem) = get(&stack, &path, "*/*").await;
    assert_eq!(status, 503, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_are_compared_by_what_was_asked_for_what_was_decided_and_what_came_of_it() {
    let stack = Stack::start().await;
    let client = stack.client();
    let run = NewRun { checkpoint_every: 1, ..small_run() };
    let (one, same) = (stack.play(&run).await, stack.play(&run).await);
    let equal = client.compare_runs(one.id, same.id).await.unwrap();
    assert_eq!((equal.same_digest, equal.same_run_root), (true, Some(true)));
    assert_eq!((equal.same_until_episode, &equal.parted), (Some(4), &None));
    assert_eq!((equal.configuration.len(), equal.common_episodes, equal.episodes_in_mean), (0, 4, 1));
    let no_difference = |comparison: &RunComparison| {
        comparison.metrics.iter().all(|m| m.last.difference.unwrap_or(0.0) == 0.0)
    };
    assert!(no_difference(&equal));

    let rewind = NewRewind { episodes_done: Some(2), epsilon: Some(0.9), ..NewRewind::default() };
    let rewound = client.rewind_run(one.id, &rewind, None).await.unwrap();
    let rewound = stack.completed(rewound.id).await;
    let comparison = client.compare_runs(one.id, rewound.id).await.unwrap();
    assert_eq!((comparison.same_digest, comparison.same_run_root), (false, Some(false)));
    assert_eq!(comparison.parted.as_ref().unwrap().episodes_done, 3);
    assert_eq!(comparison.b.run_root, rewound.run_root);
    let places: Vec<_> = comparison.configuration.iter().map(|d| d.pointer.as_str()).collect();
    assert_eq!(places, ["/algorithm/epsilon", "/fork"]);
    assert!(!no_difference(&comparison));
    let epsilon = comparison.metrics.iter().find(|metric| metric.metric == "epsilon").unwrap();
    assert_eq!(epsilon.last.b, Some(0.9));

    let path = format!("compare?a={}&b={}", one.id, rewound.id);
    let (status, media_type, csv) = get(&stack, &path, "text/csv").await;
    assert_eq!((status, media_type.as_str()), (200, "text/csv; charset=utf-8"));
    assert_eq!(
        csv.lines().next(),
        Some("metric,last_a,last_b,last_difference,mean_a,mean_b,mean_difference")
    );
    assert_eq!(csv.lines().count(), 1 + comparison.metrics.len());
    assert_eq!(get(&stack, &format!("{path}&format=csv"), "*/*").await.2, csv);

    let path = format!("compare?a={}&b={}", one.id, Uuid::nil());
    let (status, _, problem) = get(&stack, &path, "*/*").await;
    let problem: Value = serde_json::from_str(&problem).unwrap();
    assert_eq!((status, &problem["code"]), (404, &Value::from("run_not_found")));
    assert_eq!(problem["errors"].as_array().unwrap().len(), 1);
    assert_eq!(problem["errors"][0]["pointer"], "?b");
    assert_eq!(get(&stack, "compare?a=x", "*/*").await.0, 422);
}
