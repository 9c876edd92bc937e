//! Nodes, each with its own ledger and key, that learn from each other over HTTP.

use std::{net::TcpListener, time::Duration};

use serde_json::{Value, json};
use service_kit::{Deadlines, HttpConfig};
use test_support::{Proxy, ProxyMode, TestDatabase, database, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trainer::federation::Peer;

mod deployments;

/// Where a node's remembrancer and its trainer are, and what stops them.
struct Node {
    remembrancer: String,
    author: String,
    /// What other nodes reach its trainer by.
    proxy: Proxy,
    port: u16,
    trainer: Option<(CancellationToken, JoinHandle<std::io::Result<()>>)>,
    http: reqwest::Client,
    settings: remembrancer::Config,
    stop: CancellationToken,
    _database: TestDatabase,
    folder: tempfile::TempDir,
}

impl Node {
    /// Its ledger; the trainer is started when the others' names are known.
    async fn start(name: &str) -> Self {
        let (database, folder, stop) =
            (database().await, tempfile::tempdir().unwrap(), CancellationToken::new());
        let settings = remembrancer::Config {
            http: HttpConfig::on_port(0),
            database_url: database.url().to_owned(),
            data_dir: folder.path().to_owned(),
            log_name: format!("{name}.test/log"),
            ..remembrancer::Config::default()
        };
        let app = remembrancer::build(settings.clone(), stop.clone()).await.unwrap();
        let listener = service_kit::listen(&HttpConfig::on_port(0)).await.unwrap();
        let remembrancer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(service_kit::serve(listener, app, Deadlines::default(), stop.clone()));
        let http = test_support::http_client();
        let key = async || -> Result<String, String> {
            let answer =
                http.get(format!("{remembrancer}/v1/log/key")).send().await.map_err(|e| e.to_string())?;
            let key: Value = answer.json().await.map_err(|e| e.to_string())?;
            key["verifier_key"].as_str().map(str::to_owned).ok_or_else(|| key.to_string())
        };
        let author = eventually("the log has a key", key).await;
        // a port that is free now, so that the trainer can be started again where the others know it
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await.unwrap();
        Self {
            remembrancer,
            author,
            proxy,
            port,
            trainer: None,
            http,
            settings,
            stop,
            _database: database,
            folder,
        }
    }

    fn as_peer(&self) -> Peer {
        format!("{}@{}", self.author, self.proxy.url()).parse().unwrap()
    }

    async fn start_trainer(&mut self, peers: &[Peer]) {
        let config = trainer::Config {
            http: HttpConfig::on_port(self.port),
            remembrancer_url: self.remembrancer.clone(),
            peers: peers.iter().filter(|peer| peer.author.as_str() != self.author).cloned().collect(),
            data_dir: Some(self.folder.path().join("trainer")),
            ..trainer::Config::default()
        };
        let shutdown = self.stop.child_token();
        let listener = service_kit::listen(&config.http).await.unwrap();
        let app = trainer::build(config, shutdown.clone()).await.unwrap();
        let deadlines = Deadlines { grace: Duration::from_millis(100), ..Deadlines::default() };
        let server = tokio::spawn(service_kit::serve(listener, app, deadlines, shutdown.clone()));
        self.trainer = Some((shutdown, server));
        self.until("/readyz", |answer| answer["ready"] == true).await;
    }

    async fn stop_trainer(&mut self) {
        let (shutdown, server) = self.trainer.take().unwrap();
        shutdown.cancel();
        server.await.unwrap().unwrap();
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn get(&self, path: &str) -> Value {
        self.http.get(self.url(path)).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.http.post(self.url(path)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{path} comes to what is expected"), async || {
            let answer =
                self.http.get(self.url(path)).send().await.map_err(|error| json!(error.to_string()))?;
            let answer: Value = answer.json().await.map_err(|error| json!(error.to_string()))?;
            if holds(&answer) { Ok(answer) } else { Err(answer) }
        })
        .await
    }

    async fn create(&self, run: &Value) -> String {
        let (status, created) = self.post("/v1/runs", run).await;
        assert_eq!(status, 202, "{created}");
        created["id"].as_str().unwrap().to_owned()
    }

    async fn ended(&self, id: &str) -> Value {
        let running = ["queued", "running"];
        let path = format!("/v1/runs/{id}");
        self.until(&path, |run| !running.contains(&run["status"].as_str().unwrap_or("queued"))).await
    }

    async fn completed(&self, run: &Value) -> Value {
        let run = self.ended(&self.create(run).await).await;
        assert_eq!(run["status"], "completed", "{run}");
        run
    }

    /// The bodies of the records of a kind, oldest first.
    async fn records(&self, kind: &str) -> Vec<Value> {
        let url = format!("{}/v1/records?kind={kind}&limit=1000", self.remembrancer);
        let page: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        page["items"].as_array().unwrap().iter().map(|record| record["body"].clone()).collect()
    }

    async fn heard_of(&self, contributions: usize) -> Value {
        let heard = |federation: &Value| {
            let of = federation["streams"][0]["contributions"].as_array().map_or(0, Vec::len);
            of == contributions
        };
        self.until("/v1/federation", heard).await
    }

    async fn assert_intact(&self) {
        let pool = remembrancer::database::pool(&self.settings).unwrap();
        remembrancer::fsck::fsck(&pool).await.unwrap();
    }
}

/// A deployment is served on a thread of its own, which a runtime waits for when it ends.
impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// So many nodes that know each other.
async fn nodes(count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for number in 0..count {
        nodes.push(Node::start(&format!("node-{number}")).await);
    }
    let peers: Vec<Peer> = nodes.iter().map(Node::as_peer).collect();
    for node in &mut nodes {
        node.start_trainer(&peers).await;
    }
    nodes
}

fn run(algorithm: &str, seed: u64) -> Value {
    json!({"algorithm": algorithm, "agents": 2, "episodes": 6, "steps_per_episode": 20, "seed": seed, "psi_field": "off",
        "checkpoint_every": 3, "environment": {"preset": "drifting"}, "federate": {"every": 2}})
}

/// What the nodes' maps and folds come to, once they are the same.
async fn agreed(nodes: &[Node]) -> Value {
    eventually("the nodes have the same", async || {
        let mut seen = Vec::new();
        for node in nodes {
            let federation = node.get("/v1/federation").await;
            seen.push(
                json!({"root": federation["root"], "folds": federation["streams"].as_array().unwrap().iter()
                .map(|stream| stream["fold_sha256"].clone()).collect::<Vec<_>>()}),
            );
        }
        if seen.iter().all(|one| *one == seen[0]) { Ok(seen.remove(0)) } else { Err(seen) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_learned_another_acts_on_and_both_come_to_the_same_bytes() {
    let nodes = nodes(2).await;
    for algorithm in ["adaptive", "q-learning", "afterstate", "cem"] {
        let first = nodes[0].completed(&run(algorithm, 1)).await;
        let stream = nodes[0].records("federation.contribution").await.pop().unwrap()["stream"].clone();
        let path = format!("/v1/federation/streams/{}", stream.as_str().unwrap());
        nodes[1].until(&path, |stream| stream["contributions"][0]["sequence"] == 3).await;
        let second = nodes[1].completed(&run(algorithm, 1)).await;
        assert_ne!(second["run_root"], first["run_root"], "{algorithm}: it has learned from the other node");

        let merged = nodes[1].records("federation.merge").await;
        let last = merged.last().unwrap();
        assert_eq!((last["episodes_done"].clone(), last["stream"].clone()), (json!(4), stream));
        assert_eq!(last["heads"][0]["author"], nodes[0].author);
        assert_eq!((last["heads"][0]["sequence"].clone(), last["left_out"].clone()), (json!(3), json!([])));
        assert_ne!(last["heeded_sha256"], Value::Null);
    }
    let agreed = agreed(&nodes).await;
    assert_eq!(agreed["folds"].as_array().unwrap().len(), 4, "{agreed}");
    assert!(agreed["folds"].as_array().unwrap().iter().all(Value::is_string), "{agreed}");
    nodes[1].assert_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federated_run_that_is_repeated_or_killed_takes_in_the_same_and_comes_to_the_same_root() {
    let mut nodes = nodes(2).await;
    nodes[0].completed(&run("adaptive", 1)).await;
    nodes[1].heard_of(1).await;
    let undisturbed = nodes[1].completed(&run("adaptive", 50)).await;
    // the other node learns more, so that a run that is begun now meets other evidence
    nodes[0].completed(&run("adaptive", 300)).await;
    nodes[1]
        .until("/v1/federation", |federation| {
            let contributions = federation["streams"][0]["contributions"].as_array().unwrap();
            contributions.iter().any(|of| of["sequence"] == 6)
        })
        .await;
    let mut again = run("adaptive", 50);
    again["federate"] = undisturbed["config"]["federate"].clone();
    let repeated = nodes[1].completed(&again).await;
    assert_eq!(repeated["run_root"], undisturbed["run_root"]);
    assert_eq!(repeated["digest"], undisturbed["digest"]);
    let met_more = nodes[1].completed(&run("adaptive", 50)).await;
    assert_ne!(met_more["digest"], undisturbed["digest"], "another run of the same configuration");

    // killed over and over, each time somewhere else
    let mut long = run("adaptive", 50);
    (long["episodes"], long["steps_per_episode"], long["checkpoint_every"]) =
        (json!(40), json!(60), json!(1));
    let whole = nodes[1].completed(&long).await;
    long["federate"] = whole["config"]["federate"].clone();
    let peers: Vec<Peer> = nodes.iter().map(Node::as_peer).collect();
    let id = nodes[1].create(&long).await;
    let done =
        async |node: &Node| node.get(&format!("/v1/runs/{id}")).await["progress"]["episodes_done"].clone();
    for kill in 0..20 {
        // once it has come further: a run that is killed sooner and sooner comes nowhere
        nodes[1]
            .until(&format!("/v1/runs/{id}"), |run| run["progress"]["episodes_done"].as_u64() > Some(kill))
            .await;
        tokio::time::sleep(Duration::from_millis(7 * kill)).await;
        assert!(
            done(&nodes[1]).await.as_u64() < Some(40),
            "it is killed while it is under way, 20 times, not {kill}"
        );
        nodes[1].stop_trainer().await;
        nodes[1].start_trainer(&peers).await;
    }
    let killed = nodes[1].ended(&id).await;
    assert_eq!(
        (&killed["status"], &killed["run_root"]),
        (&json!("completed"), &whole["run_root"]),
        "{killed}"
    );
    nodes[1].assert_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_left_out_is_undone_and_others_are_told_as_advice() {
    let nodes = nodes(3).await;
    let mut undone = Value::Null;
    for (number, node) in nodes.iter().enumerate() {
        if number == 2 {
            undone = agreed(&nodes[..2]).await["folds"][0].clone();
        }
        node.completed(&run("adaptive", 1000 * number as u64)).await;
    }
    for node in &nodes {
        node.heard_of(3).await;
    }
    let with_all = agreed(&nodes).await;
    assert_ne!(with_all["folds"][0], undone);
    let exclusion = json!({"author": nodes[2].author, "reason": "a test of honesty"});
    let (status, shown) = nodes[0].post("/v1/federation/exclusions", &exclusion).await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(shown["streams"][0]["left_out"][0]["why"]["reason"], "excluded", "{shown}");
    // byte for byte what was folded before the third node had said anything
    assert_eq!(shown["streams"][0]["fold_sha256"], undone);
    let told = nodes[1].until("/v1/federation", |federation| federation["advice"][0].is_object()).await;
    assert_eq!(told["advice"][0]["by"], nodes[0].author);
    assert_eq!(told["advice"][0]["exclusion"]["reason"], "a test of honesty");
    assert_eq!(told["streams"][0]["fold_sha256"], with_all["folds"][0], "advice is no command");
    // and back
    let (_, shown) = nodes[0]
        .post(
            "/v1/federation/exclusions",
            &json!({"author": nodes[2].author, "reason": "a mistake", "stands": false}),
        )
        .await;
    assert_eq!(shown["streams"][0]["fold_sha256"], with_all["folds"][0]);
    let found = format!("{}/v1/records?q=federation%20honesty", nodes[0].remembrancer);
    let found: Value = nodes[0].http.get(found).send().await.unwrap().json().await.unwrap();
    assert_eq!(found["items"][0]["kind"], "federation.exclusion", "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_proved_by_its_authors_log_does_not_count() {
    let nodes = nodes(2).await;
    nodes[0].completed(&run("adaptive", 1)).await;
    nodes[1].heard_of(1).await;
    // the contribution that another node of a name nobody knows would send, and one with a figure changed
    let stranger = Node::start("stranger").await;
    let federation = nodes[0].get("/v1/federation").await;
    let contribution = &federation["streams"][0]["contributions"][0];
    let path = format!("/v1/federation/contributions/{}", contribution["sha256"].as_str().unwrap());
    let answer = nodes[0].http.get(nodes[0].url(&path)).send().await.unwrap();
    let proved: Proved = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let (evidence, bytes) = (proved.evidence.get().to_owned(), proved.contribution.get().to_owned());
    let url = format!("{}/v1/verify", nodes[0].remembrancer);
    let verdict = nodes[0].http.post(url).header("content-type", "application/json").body(evidence.clone());
    let verdict: Value = verdict.send().await.unwrap().json().await.unwrap();
    assert_eq!(verdict["valid"], true, "the evidence is a proof that anybody can check: {verdict}");

    let before = nodes[1].get("/v1/federation").await["root"].clone();
    for (changed, why) in [
        (bytes.replace("\"sequence\":3", "\"sequence\":4"), "the log of its author names another"),
        (bytes.replace(&nodes[0].author, &stranger.author), "is no peer"),
    ] {
        assert_ne!(changed, bytes);
        let sealed = federation_message(&changed, &evidence);
        let said = json!({"from": nodes[0].author, "messages": [sealed]});
        let (status, answer) = nodes[1].post("/v1/federation/messages", &said).await;
        assert_eq!(status, 200, "{answer}: {why}");
        assert_eq!(nodes[1].get("/v1/federation").await["root"], before, "{why}");
    }
    for (said, pointer) in [
        (json!({"from": "nobody", "messages": []}), "/from"),
        (json!({"from": nodes[0].author, "messages": [{"message": "shout"}]}), "/messages/0"),
    ] {
        let (status, problem) = nodes[1].post("/v1/federation/messages", &said).await;
        assert_eq!((status, problem["errors"][0]["pointer"].as_str()), (422, Some(pointer)), "{problem}");
    }
}

/// Both exactly as they were sent.
#[derive(serde::Deserialize)]
struct Proved {
    contribution: Box<serde_json::value::RawValue>,
    evidence: Box<serde_json::value::RawValue>,
}

/// A contribution as one node sends it to another.
fn federation_message(contribution: &str, evidence: &str) -> Value {
    let sealed = federation::Sealed::open(contribution.as_bytes()).unwrap();
    let mut replica = federation::Replica::new(sealed.contribution().author.clone());
    replica.publish(sealed.clone(), Value::String(evidence.to_owned()));
    let mut sent: Vec<(federation::Author, federation::gossip::Message)> = Vec::new();
    let want = federation::gossip::Message::Want { artifact: sealed.name(), have: Vec::new() };
    let nobody = Believes;
    let from = sealed.contribution().author.clone();
    federation::Gossip::new(Vec::new()).receive(&mut replica, &from, want, &nobody, &mut sent);
    serde_json::to_value(&sent.remove(0).1).unwrap()
}

struct Believes;

impl federation::replica::Proofs for Believes {
    fn contribution(&self, _: &federation::Sealed, _: &Value) -> Result<(), String> {
        Ok(())
    }

    fn advice(&self, _: &federation::exclusion::Advised, _: &Value) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_come_to_the_same_through_a_network_that_fails() {
    let mut nodes = nodes(5).await;
    let peers: Vec<Peer> = nodes.iter().map(Node::as_peer).collect();
    // the first two are cut off from the others, which still hear of each other
    for node in &nodes[..2] {
        node.proxy.set(ProxyMode::Refuse);
    }
    // and one whose answers are lost
    nodes[4].proxy.set(ProxyMode::CutAfter(300));
    for (number, node) in nodes.iter().enumerate() {
        node.completed(&run("adaptive", 1000 * number as u64)).await;
    }
    // one is restarted, and has what it published from its own ledger
    nodes[3].stop_trainer().await;
    nodes[3].start_trainer(&peers).await;
    for node in &nodes {
        node.proxy.set(ProxyMode::Forward);
    }
    for node in &nodes {
        node.heard_of(5).await;
    }
    let agreed = agreed(&nodes).await;
    assert!(agreed["folds"][0].is_string(), "{agreed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_learn_with_others_is_told_so_and_one_without_peers_learns_alone() {
    let nodes = nodes(1).await;
    for (change, pointer) in [
        (json!({"algorithm": "cheapest"}), "/federate"),
        (json!({"algorithm": {"name": "adaptive", "regions": {"enabled": true}}}), "/federate"),
        (json!({"federate": {"every": 0}}), "/federate/every"),
    ] {
        let mut wrong = run("adaptive", 1);
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, problem) = nodes[0].post("/v1/runs", &wrong).await;
        assert_eq!((status, problem["errors"][0]["pointer"].as_str()), (422, Some(pointer)), "{problem}");
    }
    let federated = nodes[0].completed(&run("adaptive", 1)).await;
    let mut alone = run("adaptive", 1);
    alone.as_object_mut().unwrap().remove("federate");
    let alone = nodes[0].completed(&alone).await;
    assert_ne!(federated["digest"], alone["digest"]);
    let rewards = async |run: &Value| {
        nodes[0].get(&format!("/v1/runs/{}/metrics?resolution=episode", run["id"].as_str().unwrap())).await["items"].clone()
    };
    assert_eq!(rewards(&federated).await, rewards(&alone).await, "there was nothing to take in");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_in_another_world_is_another_stream() {
    let nodes = nodes(1).await;
    nodes[0].completed(&run("q-learning", 1)).await;
    let mut elsewhere = run("q-learning", 1);
    elsewhere["environment"]["preset"] = json!("unreliable");
    nodes[0].completed(&elsewhere).await;
    let mut longer = run("q-learning", 500);
    longer["steps_per_episode"] = json!(21);
    nodes[0].completed(&longer).await;
    let streams = nodes[0].get("/v1/federation").await["streams"].clone();
    let mut sequences: Vec<_> =
        streams.as_array().unwrap().iter().map(|s| s["contributions"][0]["sequence"].clone()).collect();
    sequences.sort_by_key(Value::to_string);
    assert_eq!(sequences, [json!(3), json!(6)], "longer episodes are no other world: {streams}");
    for node in &nodes {
        for merged in node.records("federation.merge").await {
            assert_eq!(merged["heads"], json!([]), "a node takes in nothing of itself");
        }
    }
}
