//! Without keys a service trusts whoever reaches it, and a browser on the same machine reaches it for any page that
//! it shows: by the service's address, or by a name of the page's own that has come to lead here (DNS rebinding). So
//! a request says in `Host` under which name it was meant to arrive, and only the service's own names are answered.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::{ApiError, HttpConfig};

/// The address of this machine at which a connection arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalAddress(pub(crate) SocketAddr);

/// Under which names a service without keys answers.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    bind: IpAddr,
    configured: Arc<[Host]>,
}

impl Hosts {
    pub(crate) fn of(http: &HttpConfig) -> Self {
        // Settings that are no names were refused when they were read.
        Self {
            bind: http.bind.ip(),
            configured: http.hosts.iter().filter_map(|name| Host::parse(name)).collect(),
        }
    }

    /// Whether this is a name of the service that a request which arrived at `local` may have been sent to.
    fn includes(&self, host: &Host, local: Option<IpAddr>) -> bool {
        let own = match host {
            // Whatever the port: a proxy's may be another one than the service's.
            Host::Address(ip) => {
                ip.is_loopback() || *ip == canonical(self.bind) || Some(*ip) == local.map(canonical)
            }
            Host::Name(name) => name == "localhost",
        };
        own || self.configured.contains(host)
    }
}

/// 421 `unknown_host` for a request to a host that is none of the service's, 400 `invalid_host` where HTTP asks for a
/// host and there is none, or more than one.
pub(crate) async fn known_host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let local = request.extensions().get().map(|LocalAddress(address)| address.ip());
    match addressed(&request) {
        Ok(addressed) => match addressed.iter().find(|host| !hosts.includes(host, local)) {
            None => next.run(request).await,
            Some(stranger) => unknown(stranger).into_response(),
        },
        Err(detail) => ApiError::new(StatusCode::BAD_REQUEST, "invalid_host", detail).into_response(),
    }
}

fn unknown(host: &Host) -> ApiError {
    let detail = format!(
        "This service has no API keys, so it answers only to loopback, to its own address, and to the names in its \
         setting http.hosts; `{host}` is none of them. Call it at http://127.0.0.1 with its port, or have its operator \
         add the name or set API keys."
    );
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail)
}

/// Refuses what a page of another site sends with effect, unless its origin is one of the settings': 403 `cross_site_request`.
pub(crate) fn same_site(http: &HttpConfig) -> CsrfLayer<fn(ProtectionError) -> Response<Body>> {
    fn refusal(_: ProtectionError) -> Response<Body> {
        let detail = "This service has no API keys, and a browser sent this for a page of another site (`Origin`, \
                      `Sec-Fetch-Site`). Send it from the service's own pages or without a browser, or have its \
                      operator set API keys.";
        ApiError::new(StatusCode::FORBIDDEN, "cross_site_request", detail).into_response()
    }
    // Settings that are no origins were refused when they were read.
    let trusting =
        |layer: CsrfLayer<_>, origin: &String| layer.clone().add_trusted_origin(origin).unwrap_or(layer);
    http.origins
        .iter()
        .fold(CsrfLayer::new(), trusting)
        .with_rejection_response(refusal as fn(ProtectionError) -> Response<Body>)
}

/// Every host that the request names: in its target (absolute form, HTTP/2's `:authority`) and in `Host`. RFC 9112,
/// section 3.2, lets the target count alone; here each of them must be the service's.
fn addressed(request: &Request) -> Result<Vec<Host>, String> {
    let target = request.uri().authority().map(|authority| authority.as_str());
    let header = only_host(request.headers())?;
    if target.is_none() && header.is_none() && request.version() >= Version::HTTP_11 {
        return Err("The request has no `Host` header, which HTTP asks for since version 1.1.".to_owned());
    }
    let read = |text: &str| {
        Host::parse(text)
            .ok_or_else(|| format!("`{}` is no host with an optional port.", text.escape_debug()))
    };
    target.into_iter().chain(header).map(read).collect()
}

fn only_host(headers: &HeaderMap) -> Result<Option<&str>, String> {
    let mut values = headers.get_all(header::HOST).iter();
    let text = |value: &HeaderValue| value.to_str().is_ok();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if text(value) => Ok(value.to_str().ok()),
        (Some(_), None) => Err("The `Host` header is not ASCII.".to_owned()),
        (Some(_), Some(_)) => Err("The request has more than one `Host` header.".to_owned()),
    }
}

/// A host as a URL names it, in one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    /// In lowercase, without the dot of the root.
    Name(String),
}

impl Host {
    /// Reads a host with an optional port (RFC 3986, section 3.2.2).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            is_port(port).then(|| Self::Address(canonical(address.into())))
        } else {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            is_port(port).then(|| Self::of_name(name)).flatten()
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let sane = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        ((1..=253).contains(&name.len()) && name.bytes().all(sane)).then_some(Self::Name(name))
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Empty, or a colon and a port, which may be left out after it.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(port) => {
            port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
        }
        None => text.is_empty(),
    }
}

/// IPv4 over an IPv6 socket is the same address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(host: &str, local: &str) -> bool {
        let http =
            HttpConfig { hosts: vec!["trainer".into(), "Mesh.Example".into()], ..HttpConfig::on_port(8001) };
        let host = Host::parse(host).unwrap();
        Hosts::of(&http).includes(&host, Some(local.parse().unwrap()))
    }

    #[test]
    fn loopback_the_own_address_and_configured_names_are_answered_in_every_spelling() {
        for host in [
            "localhost",
            "LOCALHOST:8001",
            "localhost.",
            "localhost.:8001",
            "127.0.0.1",
            "127.0.0.1:",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:8001",
            "[0:0:0:0:0:0:0:1]:8001",
            "[::ffff:127.0.0.1]:8001",
            "trainer:8001",
            "TRAINER.",
            "mesh.example:443",
            "10.0.0.7:8001",
        ] {
            assert!(is_answered(host, "10.0.0.7"), "{host}");
        }
    }

    #[test]
    fn names_that_only_look_like_it_are_not() {
        for host in [
            "evil.example",
            "localhost.evil.com",
            "localhost.evil.com:8001",
            "127.0.0.1.nip.io",
            "evil-localhost",
            "x.localhost",
            "127.0.0.1.",
            "mesh.example.evil.com",
            "10.0.0.8",
            "[fe80::1]",
            "0.0.0.0",
            "127.1",
            "2130706433",
        ] {
            let loopback_with_the_roots_dot = host == "127.0.0.1.";
            assert_eq!(is_answered(host, "10.0.0.7"), loopback_with_the_roots_dot, "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_none() {
        for text in [
            "",
            ":8001",
            "localhost:x",
            "localhost:99999",
            "a@localhost",
            "localhost/",
            "[::1",
            "[::1]8001",
            "::1",
            "a b",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }
}
