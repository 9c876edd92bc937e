//! A service's program from start to end, in this process: its signals, its exit codes, its health check.

use std::{
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::routing::get;
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use service_kit::{
    ConfigError, HttpConfig, Metrics, Readiness, ServiceInfo, app,
    cli::{self, Command, Program},
    telemetry::LogConfig,
};
use test_support::eventually_blocking;
use utoipa_axum::router::OpenApiRouter;

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    http: HttpConfig,
    log: LogConfig,
}

impl Config {
    /// On a port that was free a moment ago.
    fn new() -> Self {
        let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        Self { http: HttpConfig { bind: address, ..HttpConfig::default() }, ..Self::default() }
    }

    fn with_grace(seconds: u64) -> Self {
        let mut config = Self::new();
        config.http.shutdown_grace_seconds = seconds;
        config
    }

    fn run(self, command: Command, missing: Arc<AtomicBool>) -> ExitCode {
        let program = Program { name: "demo", parts: |config: &Self| (&config.http, &config.log) };
        let build = |config: Self, _| async move {
            let slow = async || {
                UNDER_WAY.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(500)).await;
                "done"
            };
            let hangs = async || {
                UNDER_WAY.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            };
            let routes = OpenApiRouter::new().route("/slow", get(slow)).route("/hangs", get(hangs));
            let readiness: Readiness = Arc::new(move || {
                let missing = missing.load(Ordering::Relaxed);
                Box::pin(
                    async move { if missing { vec!["the database is away".to_owned()] } else { vec![] } },
                )
            });
            let info = ServiceInfo { name: "demo", port: 8001, title: "Demo", description: "For tests." };
            Ok::<_, ConfigError>(app(info, routes, &config.http, Metrics::new(), readiness))
        };
        cli::run_command(program, command, || Ok(self), build)
    }

    /// Serves in a thread, and waits until it does.
    fn serve(self) -> (SocketAddr, JoinHandle<ExitCode>) {
        let address = self.http.bind;
        let program = thread::spawn(|| self.run(Command::Serve, Arc::default()));
        eventually_blocking("it listens", || std::net::TcpStream::connect(address));
        (address, program)
    }
}

/// The answer's status and body; `None` when the connection broke. The request is under way when this returns.
fn get_in_thread(address: SocketAddr, path: &str) -> JoinHandle<Option<(u16, String)>> {
    let before = UNDER_WAY.load(Ordering::SeqCst);
    let url = format!("http://{address}{path}");
    let call = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let response = test_support::get(url).await.ok()?;
            Some((response.status().as_u16(), response.text().await.ok()?))
        })
    });
    eventually_blocking("the request is under way", || match UNDER_WAY.load(Ordering::SeqCst) {
        now if now > before => Ok(()),
        now => Err(now),
    });
    call
}

fn signal(signal: Signal) {
    kill_process(getpid(), signal).unwrap();
}

/// What the program ended with; a program that goes on fails the test.
fn ended(program: JoinHandle<ExitCode>) -> ExitCode {
    eventually_blocking(
        "the program has ended",
        || if program.is_finished() { Ok(()) } else { Err("it runs") },
    );
    program.join().unwrap()
}

/// How many requests have come to the handlers above.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// The tests here share the process that the signals go to: one at a time.
static PROCESS: Mutex<()> = Mutex::new(());

#[test]
fn a_signal_finishes_what_was_accepted_the_grace_bounds_it_and_a_second_signal_ends_it() {
    let _alone = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    for ending in [Signal::TERM, Signal::INT] {
        let (address, program) = Config::with_grace(600).serve();
        let slow = get_in_thread(address, "/slow");
        signal(ending);
        assert_eq!(slow.join().unwrap(), Some((200, "done".to_owned())), "{ending:?}");
        assert_eq!(ended(program), ExitCode::SUCCESS, "it waits for what runs, and no longer");
    }

    let (address, program) = Config::with_grace(1).serve();
    let hanging = get_in_thread(address, "/hangs");
    signal(Signal::TERM);
    let (status, body) = hanging.join().unwrap().unwrap();
    assert!(status == 503 && body.contains("shutting_down"), "{body}");
    assert_eq!(ended(program), ExitCode::SUCCESS);

    let (address, program) = Config::with_grace(600).serve();
    let hanging = get_in_thread(address, "/hangs");
    signal(Signal::TERM);
    eventually_blocking("it listens no more", || match std::net::TcpStream::connect(address) {
        Err(_) => Ok(()),
        Ok(connection) => Err(connection),
    });
    assert!(!program.is_finished(), "the first signal leaves it its grace");
    signal(Signal::INT);
    assert_eq!(ended(program), ExitCode::SUCCESS);
    assert!(!matches!(hanging.join().unwrap(), Some((200, _))));
}

#[test]
fn a_healthcheck_tells_ready_not_ready_and_not_there_apart() {
    let _alone = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let check = |config: &Config| config.clone().run(Command::Healthcheck, Arc::default());
    let missing = Arc::new(AtomicBool::new(false));
    let config = Config::new();
    assert_eq!(check(&config), ExitCode::from(3), "nobody listens");

    let (serving, shown) = (config.clone(), missing.clone());
    thread::spawn(move || serving.run(Command::Serve, shown));
    eventually_blocking("it is ready", || match check(&config) {
        ExitCode::SUCCESS => Ok(()),
        other => Err(other),
    });
    missing.store(true, Ordering::Relaxed);
    assert_eq!(check(&config), ExitCode::from(1));

    // Somebody who listens and never answers.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut config = Config::new();
    config.http.bind = silent.local_addr().unwrap();
    assert_eq!(check(&config), ExitCode::from(3));

    config.http.bind.set_port(0);
    assert_eq!(check(&config), ExitCode::from(2), "a setting is wrong for that");
}
