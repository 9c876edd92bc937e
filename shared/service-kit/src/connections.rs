//! Accepts connections, and serves each until it ends.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    hosts::LocalAddress,
    unreadable::{End, Wire},
};

/// Serves the connections of a listener until `stop`; then it takes no more of them, closes those that are idle, and
/// returns when the others have ended. Dropped before, it leaves them to `stop`.
///
/// A connection is closed on which for so long as `head` no request came, or none to the end of its headers.
pub(crate) async fn serve(listener: TcpListener, app: Router, head: Duration, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, caller)) => {
                let stop = stop.clone().cancelled_owned();
                connections.spawn(connection(stream, caller, app.clone(), head, stop));
            }
            Err(error) if is_the_callers(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The pause after a connection that could not be accepted: there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Whether a connection broke off before it was accepted.
fn is_the_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    caller: SocketAddr,
    app: Router,
    head: Duration,
    stop: impl Future<Output = ()>,
) {
    // Answers are often shorter than a packet and must not wait for more.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok().map(LocalAddress);
    let (wire, returned) = Wire::new(stream);
    let came = Arc::new(AtomicBool::new(false));
    let comes = came.clone();
    let requests = app.clone().map_request(move |request: Request<Incoming>| {
        comes.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        // By its address the rate limit knows a caller who has no key.
        request.extensions_mut().insert(ConnectInfo(caller));
        if let Some(local) = local {
            request.extensions_mut().insert(local);
        }
        request
    });
    let end = {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(head);
        let service = TowerToHyperService::new(requests);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
        tokio::select! {
            served = connection.as_mut() => end_of(served),
            // Before the first request, hyper waits for as long as it takes to know which version of HTTP it is.
            () = no_request_comes(head, &came) => End::TooSlow,
            () = stop => {
                connection.as_mut().graceful_shutdown();
                end_of(connection.await)
            }
        }
    };
    let Ok(returned) = returned.await else { return };
    if let Err(error) = returned.end(end, app).await {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Waits until no first request has come for this time.
async fn no_request_comes(within: Duration, came: &AtomicBool) {
    tokio::time::sleep(within).await;
    if came.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

fn end_of(served: Result<(), Box<dyn std::error::Error + Send + Sync>>) -> End {
    let error = served.err();
    match error.as_ref().and_then(|error| error.downcast_ref::<hyper::Error>()) {
        Some(error) if error.is_parse() => End::Unreadable,
        Some(error) if error.is_timeout() => End::TooSlow,
        _ => End::Whole,
    }
}
