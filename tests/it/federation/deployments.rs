//! Deployments of several nodes that see the same providers.

use super::*;

const STEP_SECONDS: i64 = 600;

/// A moment of the first hours.
fn at(window: i64, seconds: i64) -> String {
    let seconds = STEP_SECONDS * window + seconds;
    format!("2026-11-30T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Deploys what a short run has learned; its name is known to this node alone.
async fn deploy(node: &Node, name: &str, change: Value) -> (u16, Value) {
    let mut short = run("adaptive", 1);
    short.as_object_mut().unwrap().remove("federate");
    (short["episodes"], short["environment"]) = (json!(1), json!({"preset": "contended"}));
    let policy = node.completed(&short).await["id"].clone();
    let mut settings = json!({"name": name, "policy_id": policy, "step_seconds": STEP_SECONDS, "clock": "caller",
        "starts_at": at(0, 0), "challengers": [{"policy_id": policy, "mode": "shadow"}]});
    settings.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    node.post("/v1/deployments", &settings).await
}

/// Where a deployment sends so many small jobs in this window.
async fn asks(node: &Node, name: &str, window: i64, count: usize) -> Vec<(Value, Option<String>)> {
    let request =
        json!({"request": {"tenant": "tenant-research", "workload": "llm_inference", "gpu_hours": 0.01}});
    let call = json!({"now": at(window, 1), "requests": vec![request; count]});
    let (status, answer) = node.post(&format!("/v1/deployments/{name}/decisions"), &call).await;
    assert_eq!(status, 200, "{answer}");
    let decisions = answer["decisions"].as_array().unwrap().iter();
    decisions.map(|of| (of["id"].clone(), of["provider"].as_str().map(str::to_owned))).collect()
}

/// What became of jobs: all of those at one provider failed.
async fn tell(node: &Node, jobs: &[(Value, Option<String>)], fails: &str) {
    for (decision, provider) in jobs {
        let Some(provider) = provider else { continue };
        let path = format!("/v1/decisions/{}/outcome", decision.as_str().unwrap());
        let (status, answer) = node.post(&path, &json!({"succeeded": provider != fails})).await;
        assert!(status == 200 || status == 201, "{answer}");
    }
}

fn most(jobs: &[(Value, Option<String>)]) -> String {
    let count = |provider: &str| jobs.iter().filter(|(_, to)| to.as_deref() == Some(provider)).count();
    let providers = jobs.iter().filter_map(|(_, to)| to.as_deref());
    providers.max_by_key(|provider| count(provider)).unwrap().to_owned()
}

async fn stream(node: &Node, name: &str) -> Value {
    node.get(&format!("/v1/deployments/{name}")).await["stream"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_jobs_came_to_at_one_node_the_deployments_of_another_act_on() {
    let mut nodes = nodes(2).await;
    let peers: Vec<Peer> = nodes.iter().map(Node::as_peer).collect();
    let federate = json!({"federate": true});
    for (node, name, change) in [
        (0, "busy", federate.clone()),
        (1, "quiet", federate.clone()),
        (1, "promising", json!({"federate": true, "durability": "promise"})),
        (1, "alone", json!({})),
    ] {
        let (status, deployed) = deploy(&nodes[node], name, change).await;
        assert_eq!(status, 201, "{deployed}");
    }
    let everywhere = async |nodes: &[Node], window: i64| {
        let mut asked = Vec::new();
        for name in ["quiet", "promising", "alone"] {
            asked.push(asks(&nodes[1], name, window, 1).await);
        }
        asked.into_iter().map(|jobs| most(&jobs)).collect::<Vec<_>>()
    };
    let favourite = everywhere(&nodes, 0).await;
    assert!(favourite.iter().all(|provider| *provider == favourite[0]), "{favourite:?}");
    for window in 0..6 {
        let jobs = asks(&nodes[0], "busy", window, 20).await;
        tell(&nodes[0], &jobs, &favourite[0]).await;
    }
    asks(&nodes[0], "busy", 6, 1).await;
    nodes[1]
        .until("/v1/federation", |federation| {
            let told = federation["streams"][0]["contributions"].as_array().into_iter().flatten();
            told.filter(|of| of["evidence"].as_u64() >= Some(100)).count() == 1
        })
        .await;

    // nobody told node 1 of any outcome of its own
    let now = everywhere(&nodes, 7).await;
    assert!(now[0] != favourite[0] && now[0] == now[1], "{now:?}: what failed elsewhere is avoided");
    assert_eq!(now[2], favourite[0], "whoever is told nothing goes on");
    let heard = &stream(&nodes[1], "quiet").await["heard"];
    assert_eq!(heard["authors"][0]["author"], nodes[0].author, "{heard}");
    assert_eq!((heard["window"].clone(), heard["left_out"].clone()), (json!(7), json!([])));
    assert_eq!(stream(&nodes[1], "alone").await.get("heard"), None);
    let records = nodes[1].records("deployment.heard").await;
    assert_eq!(records.len(), 2, "{records:?}");

    // whoever continues it from the ledger has heard the same
    let names = ["quiet", "promising"];
    let mut states = Vec::new();
    for name in names {
        let stream = stream(&nodes[1], name).await;
        let shadow = &stream["challengers"][0]["shadow"];
        assert_eq!(shadow["disagreements"], 0, "a shadow of the same policy hears the same: {shadow}");
        states.push(stream["state_sha256"].clone());
    }
    nodes[1].stop_trainer().await;
    // the other node is not to be had, so that its own ledger is all that it has
    nodes.iter().for_each(|node| node.proxy.set(ProxyMode::Refuse));
    nodes[1].start_trainer(&peers).await;
    for (name, state) in names.into_iter().zip(states) {
        assert_eq!(stream(&nodes[1], name).await["state_sha256"], state, "{name}");
    }
    assert_eq!(everywhere(&nodes, 8).await[0], now[0], "it still knows what it was told");
    nodes.iter().for_each(|node| node.proxy.set(ProxyMode::Forward));

    // both have one map, and one fold of it
    let jobs = asks(&nodes[1], "quiet", 8, 1).await;
    tell(&nodes[1], &jobs, "nobody").await;
    asks(&nodes[1], "quiet", 9, 1).await;
    for node in &nodes {
        node.heard_of(2).await;
    }
    let agreed = agreed(&nodes).await;
    assert!(agreed["folds"][0].is_string(), "{agreed}");

    // who is left out is undone
    let exclusion = json!({"author": nodes[0].author, "reason": "its jobs are none of ours"});
    let (status, shown) = nodes[1].post("/v1/federation/exclusions", &exclusion).await;
    assert_eq!(status, 200, "{shown}");
    let undone = everywhere(&nodes, 10).await;
    assert_eq!(undone, favourite, "as if nobody had said anything");
    let heard = &stream(&nodes[1], "quiet").await["heard"];
    assert_eq!(heard["left_out"][0]["why"]["reason"], "excluded", "{heard}");
    nodes[1].assert_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_decides_on_while_it_cannot_hear_of_others() {
    let nodes = nodes(2).await;
    nodes[0].proxy.set(ProxyMode::Refuse);
    let (status, deployed) = deploy(&nodes[1], "gateway", json!({"federate": true})).await;
    assert_eq!(status, 201, "{deployed}");
    for window in 0..3 {
        let jobs = asks(&nodes[1], "gateway", window, 2).await;
        tell(&nodes[1], &jobs, "nobody").await;
    }
    assert_eq!(stream(&nodes[1], "gateway").await.get("heard"), None);
    assert_eq!(nodes[1].records("deployment.heard").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_keeps_no_figures_of_windows_is_not_deployed_to_learn_with_others() {
    let nodes = nodes(1).await;
    let rule = json!({"rule": "cheapest", "environment": {"preset": "contended"}});
    let (_, policy) = nodes[0].post("/v1/policies", &rule).await;
    let settings = json!({"name": "gateway", "policy_id": policy["id"], "federate": true});
    let (status, problem) = nodes[0].post("/v1/deployments", &settings).await;
    assert_eq!((status, problem["errors"][0]["pointer"].as_str()), (422, Some("/policy_id")), "{problem}");
    assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("adaptive"), "{problem}");
}
