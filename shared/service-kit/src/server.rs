use std::{
    future::Future as _,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};

use crate::{ApiError, ConfigError, HttpConfig, connections};

/// An address that cannot be listened on, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "cannot listen on {0}: the port is in use. Stop what uses it (`ss -ltnp 'sport = :{port}'` names it), or \
         choose another port",
        port = .0.port()
    )]
    InUse(SocketAddr),
    /// Ports below 1024 are for privileged users.
    #[error("cannot listen on {0}: not permitted. Choose a port from 1024 on, or run with the privilege")]
    NotPermitted(SocketAddr),
    /// The address belongs to another machine.
    #[error(
        "cannot listen on {0}: this machine has no such address. Choose 127.0.0.1, 0.0.0.0 or one of its own"
    )]
    NoSuchAddress(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {0}")]
    Other(SocketAddr, #[source] io::Error),
    /// The settings would let strangers in.
    #[error(transparent)]
    Refused(#[from] ConfigError),
}

/// Listens on an address; port 0 takes a free one.
///
/// # Errors
/// The address is in use, not permitted or not this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        io::ErrorKind::PermissionDenied => BindError::NotPermitted(address),
        io::ErrorKind::AddrNotAvailable => BindError::NoSuchAddress(address),
        _ => BindError::Other(address, error),
    })
}

/// [`bind`], after [`HttpConfig::check`].
///
/// # Errors
/// As [`bind`], and when the settings would let strangers in.
pub async fn listen(http: &HttpConfig) -> Result<TcpListener, BindError> {
    http.check()?;
    bind(http.bind).await
}

/// A service to be served: its routes, and the work that it does beside requests.
#[derive(Clone, Debug)]
pub struct App {
    router: Router,
    work: TaskTracker,
}

impl App {
    /// A service that is served until the tasks of `work` have ended too: they see to it themselves when it shuts
    /// down, and have a few seconds for it. There they put down what others are to take up.
    #[must_use]
    pub fn with_work(router: Router, work: TaskTracker) -> Self {
        Self { router, work }
    }
}

impl From<Router> for App {
    fn from(router: Router) -> Self {
        Self { router, work: TaskTracker::new() }
    }
}

/// For how long a service waits.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For the headers of a request, also of the first one.
    pub head: Duration,
    /// For running requests, when it shuts down.
    pub grace: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        HttpConfig::default().deadlines()
    }
}

/// Serves until `shutdown` is cancelled, and then finishes what it accepted:
///
/// 1. It takes no more connections, and closes those that are idle. A connection that is at work is
///    closed after the answer under way.
/// 2. Running requests and streams get the deadlines' `grace` to end.
/// 3. What still runs then is cut off: a request that has no answer yet gets 503 `shutting_down` with
///    `Retry-After`, a body under way breaks off without its end, so that nobody takes it for whole.
/// 4. The service's own work gets five seconds to come to its end.
///
/// It returns as soon as nothing runs any more. What was answered
/// with 202 is no request any more: each service keeps such work where the next start finds it.
///
/// # Errors
/// None: a connection that cannot be accepted is logged and does not end the others.
pub async fn serve(
    listener: TcpListener,
    app: impl Into<App>,
    deadlines: Deadlines,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let App { router, work } = app.into();
    serve_requests(listener, router, deadlines, shutdown).await;
    work.close();
    if tokio::time::timeout(WORK_LIMIT, work.wait()).await.is_err() {
        tracing::warn!(tasks = work.len(), "work did not come to its end in time and is given up");
    }
    Ok(())
}

/// How long the service's own work may take to come to its end.
const WORK_LIMIT: Duration = Duration::from_secs(5);

async fn serve_requests(
    listener: TcpListener,
    app: Router,
    deadlines: Deadlines,
    shutdown: CancellationToken,
) {
    let Deadlines { head, grace } = deadlines;
    let (cut, stop) = (CancellationToken::new(), shutdown.child_token());
    // Whoever drops this future (a test, a supervisor) ends the requests and the idle connections too.
    let ended = (cut.clone().drop_guard(), stop.clone().drop_guard());
    let app = app.layer(from_fn_with_state(cut, until_cut));
    let mut server = pin!(connections::serve(listener, app, head, stop));
    let deadline = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        () = &mut server => return,
        () = deadline => {
            tracing::warn!(grace_seconds = grace.as_secs_f64(), "requests did not end in time and are cut off");
        }
    }
    drop(ended);
    // The callers are told; one that does not read is not waited for.
    let _ = tokio::time::timeout(CUT_OFF_LIMIT, server).await;
}

/// How long the answers to requests that were cut off may take to leave.
const CUT_OFF_LIMIT: Duration = Duration::from_secs(1);

/// Ends when the process is asked to end: SIGTERM, SIGINT, or SIGHUP.
pub async fn shutdown_signal() {
    Signals::watch().next().await;
}

/// SIGTERM, SIGINT and SIGHUP of this process; from [`watch`](Self::watch) on they no longer end it by themselves.
#[cfg(unix)]
pub(crate) struct Signals(Vec<(&'static str, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    pub(crate) fn watch() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = (!ignores_hangup()).then(|| ("SIGHUP", SignalKind::hangup()));
        let kinds = [("SIGTERM", SignalKind::terminate()), ("SIGINT", SignalKind::interrupt())];
        let watched: Vec<_> = kinds
            .into_iter()
            .chain(hangup)
            .filter_map(|(name, kind)| signal(kind).ok().map(|signal| (name, signal)))
            .collect();
        if watched.is_empty() {
            tracing::error!("signals cannot be watched: only SIGKILL will end this process");
        }
        Self(watched)
    }

    pub(crate) async fn next(&mut self) {
        let signal = std::future::poll_fn(|context| {
            for (name, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*name);
                }
            }
            Poll::Pending
        })
        .await;
        tracing::info!("{signal}: shutting down");
    }
}

/// Whether whoever started this process has it ignore that its terminal goes away, as `nohup` does; watching the signal
/// would undo that. Only Linux says so.
#[must_use]
pub fn ignores_hangup() -> bool {
    const SIGHUP: u32 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

/// Ctrl-C, where there are no signals.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn watch() -> Self {
        Self
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Runs a request until the server is cut off; its body too, which may be an endless stream.
async fn until_cut(State(cut): State<CancellationToken>, request: Request, next: Next) -> Response {
    let response = tokio::select! {
        biased; // once cut off, nothing more is begun
        () = cut.cancelled() => {
            let detail = "The service is shutting down. Try again in a few seconds.";
            return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", detail)
                .retry_after(Duration::from_secs(2))
                .into_response();
        }
        response = next.run(request) => response,
    };
    response.map(|inner| Body::new(CutBody { inner, cut: Box::pin(cut.cancelled_owned()) }))
}

/// A body that breaks off when the server is cut off.
struct CutBody {
    inner: Body,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl HttpBody for CutBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        self.cut.as_mut().poll(context).map(|()| Some(Err(axum::Error::new("the service shut down"))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
