//! `<service> healthcheck`: whether the service that runs with the same settings is ready.

use std::{
    error::Error,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use axum::http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{ConfigError, HttpConfig};

/// 0 when ready; 1, and what is missing on standard error, when not.
///
/// # Errors
/// It cannot be reached, does not answer within [`LIMIT`], or is another program.
pub(crate) async fn healthcheck(
    name: &str,
    http: &HttpConfig,
) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let address = to_ask(http.bind)?;
    let (status, body) = match tokio::time::timeout(LIMIT, readyz(address)).await {
        Ok(answer) => answer.map_err(|error| format!("cannot reach http://{address}/readyz: {error}"))?,
        Err(_) => {
            return Err(format!("http://{address}/readyz did not answer within {} s", LIMIT.as_secs()).into());
        }
    };
    if status == StatusCode::OK {
        // The exit code says it too; nobody need read this.
        let _ = writeln!(io::stdout(), "{name} is ready");
        return Ok(ExitCode::SUCCESS);
    }
    match serde_json::from_slice::<api::Problem>(&body) {
        Ok(problem) if status == StatusCode::SERVICE_UNAVAILABLE => {
            let _ = writeln!(io::stderr(), "{name}: {}", problem.detail);
            Ok(ExitCode::from(1))
        }
        _ => {
            Err(format!("http://{address}/readyz answered {status}: is it {name} that listens there?").into())
        }
    }
}

/// The time from the connection to the answer's end.
const LIMIT: Duration = Duration::from_secs(3);

/// The answer of `/readyz` is a sentence for each thing that is missing.
const LONGEST_ANSWER_BYTES: usize = 1 << 20;

/// Where to ask a service that is bound there. Every address of this machine includes loopback.
fn to_ask(bind: SocketAddr) -> Result<SocketAddr, ConfigError> {
    if bind.port() == 0 {
        return Err(ConfigError::new(
            "http.bind has port 0, so the service takes a free port that only its log names; set the port to ask it",
        ));
    }
    let ip: IpAddr = match bind.ip() {
        ip if !ip.is_unspecified() => return Ok(bind),
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    Ok(SocketAddr::new(ip, bind.port()))
}

async fn readyz(address: SocketAddr) -> Result<(StatusCode, Vec<u8>), Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/readyz")
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<axum::body::Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER_BYTES).collect().await?.to_bytes();
    connection.abort();
    Ok((status, body.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_all_addresses_is_asked_on_loopback() {
        let asked = |bind: &str| to_ask(bind.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(asked("0.0.0.0:8000").unwrap(), "127.0.0.1:8000");
        assert_eq!(asked("[::]:8000").unwrap(), "[::1]:8000");
        assert_eq!(asked("192.0.2.7:8000").unwrap(), "192.0.2.7:8000");
        assert!(asked("127.0.0.1:0").unwrap_err().to_string().contains("port 0"));
    }
}
