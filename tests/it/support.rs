//! The four services in one process, on ports of their own.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use service_kit::{Deadlines, HttpConfig};
use test_support::{Proxy, TestDatabase, eventually};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The four services, with a proxy in front of each that another calls.
pub(crate) struct Stack {
    pub(crate) trainer: String,
    pub(crate) evaluator: String,
    pub(crate) remembrancer: Proxy,
    pub(crate) psi_field: Proxy,
    pub(crate) settings: remembrancer::Config,
    pub(crate) http: reqwest::Client,
    _folder: tempfile::TempDir,
    _stop: DropGuard,
}

/// How the services are to be. What says where they find each other is filled in.
pub(crate) struct Settings {
    pub(crate) remembrancer: remembrancer::Config,
    pub(crate) psi_field: psi_field::Config,
    pub(crate) trainer: trainer::Config,
    pub(crate) evaluator: evaluator::Config,
}

impl Settings {
    /// The same limits and keys for all of them.
    pub(crate) fn http(&mut self, http: &HttpConfig) {
        for one in [
            &mut self.remembrancer.http,
            &mut self.psi_field.http,
            &mut self.trainer.http,
            &mut self.evaluator.http,
        ] {
            *one = http.clone();
        }
    }
}

impl Stack {
    /// The four services as they are by default.
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(database.url(), |_| {}).await
    }

    /// The same on this database, with other settings.
    pub(crate) async fn start_with(database_url: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let mut settings = Settings {
            remembrancer: remembrancer::Config {
                database_url: database_url.to_owned(),
                data_dir: folder.path().to_owned(),
                ..remembrancer::Config::default()
            },
            psi_field: psi_field::Config::default(),
            trainer: trainer::Config::default(),
            evaluator: evaluator::Config::default(),
        };
        settings.http(&HttpConfig::on_port(0));
        change(&mut settings);
        let app = remembrancer::build(settings.remembrancer.clone(), stop.clone()).await.unwrap();
        let remembrancer = Proxy::start(serve(app, &stop).await).await.unwrap();
        let config = psi_field::Config { remembrancer_url: Some(remembrancer.url()), ..settings.psi_field };
        let psi_field =
            Proxy::start(serve(psi_field::build(config, stop.clone()).await.unwrap(), &stop).await)
                .await
                .unwrap();
        let config = trainer::Config {
            remembrancer_url: remembrancer.url(),
            psi_field_url: psi_field.url(),
            ..settings.trainer
        };
        let trainer = serve(trainer::build(config, stop.clone()).await.unwrap(), &stop).await;
        let config = evaluator::Config { remembrancer_url: remembrancer.url(), ..settings.evaluator };
        let evaluator = serve(evaluator::build(config, stop.clone()).await.unwrap(), &stop).await;
        let stack = Self {
            trainer: format!("http://{trainer}"),
            evaluator: format!("http://{evaluator}"),
            remembrancer,
            psi_field,
            settings: settings.remembrancer,
            http: test_support::http_client(),
            _folder: folder,
            _stop: stop.drop_guard(),
        };
        for (_, url) in stack.services() {
            stack.until(&format!("{url}/readyz"), |answer| answer["ready"] == true).await;
        }
        stack
    }

    /// Each service's name and address.
    pub(crate) fn services(&self) -> [(&'static str, String); 4] {
        [
            ("trainer", self.trainer.clone()),
            ("psi-field", self.psi_field.url()),
            ("remembrancer", self.remembrancer.url()),
            ("evaluator", self.evaluator.clone()),
        ]
    }

    pub(crate) async fn get(&self, url: &str) -> Value {
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn post(&self, url: &str, body: &Value) -> (u16, Value) {
        let answer = self.http.post(url).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn until(&self, url: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{url} comes to what is expected"), async || {
            let answer = self.get(url).await;
            if holds(&answer) { Ok(answer) } else { Err(answer) }
        })
        .await
    }

    pub(crate) async fn start_run(&self) -> String {
        let (status, run) = self.post(&format!("{}/v1/runs", self.trainer), &run()).await;
        assert_eq!(status, 202, "{run}");
        format!("{}/v1/runs/{}", self.trainer, run["id"].as_str().unwrap())
    }

    pub(crate) async fn ended(&self, run: &str) -> Value {
        let ended = self.until(run, |run| run["status"] != "queued" && run["status"] != "running").await;
        assert_eq!(ended["status"], "completed", "{ended}");
        ended
    }

    pub(crate) async fn is_valid(&self, evidence: &str) -> bool {
        let url = format!("{}/v1/verify", self.remembrancer.url());
        let request =
            self.http.post(url).header("content-type", "application/json").body(evidence.to_owned());
        request.send().await.unwrap().json::<Value>().await.unwrap()["valid"] == true
    }

    /// Computes the whole log again from the database.
    pub(crate) async fn assert_intact(&self) {
        let pool = remembrancer::database::pool(&self.settings).unwrap();
        remembrancer::fsck::fsck(&pool).await.unwrap();
    }
}

async fn serve(app: impl Into<service_kit::App>, stop: &CancellationToken) -> SocketAddr {
    let listener = service_kit::listen(&HttpConfig::on_port(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let deadlines = Deadlines { grace: Duration::from_millis(100), ..Deadlines::default() };
    tokio::spawn(service_kit::serve(listener, app.into(), deadlines, stop.clone()));
    address
}

pub(crate) fn run() -> Value {
    json!({"algorithm": "q-learning", "agents": 3, "episodes": 6, "steps_per_episode": 8, "seed": 7, "checkpoint_every": 2,
        "environment": {"preset": "contended"}})
}

/// The rows of a document's tables with these columns, each cell without its backticks.
pub(crate) fn rows(document: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
        inner.split('|').map(|cell| cell.trim().trim_matches('`').replace('\u{1}', "|")).collect()
    };
    let mut rows = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with('|') {
            continue;
        }
        let wanted = cells(line) == columns;
        let rule = lines.next().unwrap();
        assert!(rule.starts_with("|--") || rule.starts_with("| --"), "no table begins with {line}");
        for line in lines.by_ref().take_while(|line| line.starts_with('|')).filter(|_| wanted) {
            let row = cells(line);
            assert_eq!(row.len(), columns.len(), "{line}");
            rows.push(row);
        }
    }
    rows
}

/// A file of this repository.
pub(crate) fn file(path: &str) -> String {
    let path = self::path(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where it is.
pub(crate) fn path(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
