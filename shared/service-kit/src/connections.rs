//! Accepts connections, and serves each until it ends.

use std::{future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{hosts::LocalAddress, unreadable::Wire};

/// Serves the connections of a listener until `stop`; then it takes no more of them, closes those that are idle, and
/// returns when the others have ended. Dropped before, it leaves them to `stop`.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, caller)) => {
                connections.spawn(connection(stream, caller, app.clone(), stop.clone().cancelled_owned()));
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

async fn connection(stream: TcpStream, caller: SocketAddr, app: Router, stop: impl Future<Output = ()>) {
    // Answers are often shorter than a packet and must not wait for more.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok().map(LocalAddress);
    let (wire, returned) = Wire::new(stream);
    let requests = app.clone().map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        // By its address the rate limit knows a caller who has no key.
        request.extensions_mut().insert(ConnectInfo(caller));
        if let Some(local) = local {
            request.extensions_mut().insert(local);
        }
        request
    });
    let served = {
        let builder = auto::Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(requests);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
        tokio::select! {
            served = connection.as_mut() => served,
            () = stop => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let Ok(returned) = returned.await else { return };
    let unreadable = served.is_err_and(|error| error.downcast_ref().is_some_and(hyper::Error::is_parse));
    if let Err(error) = returned.end(unreadable, app).await {
        tracing::debug!(%error, "a connection broke off");
    }
}
