//! Where the services of a stack listen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use service_kit::HttpConfig;
use tokio::net::TcpListener;

/// The ports that were asked for; 0 takes a free one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) psi_field: Option<u16>,
    pub(crate) trainer: Option<u16>,
    pub(crate) remembrancer: Option<u16>,
    pub(crate) evaluator: Option<u16>,
    /// Whether a service for which nothing is asked listens at its usual port, not at a free one.
    pub(crate) usual: bool,
}

/// An address that has been taken for a service.
pub(super) struct ReservedPort {
    pub(super) name: &'static str,
    pub(super) listener: TcpListener,
    pub(super) url: String,
    /// How it is served there.
    pub(super) http: HttpConfig,
}

impl ReservedPort {
    /// Takes the port, else the address that the settings name, else the usual one or a free one.
    ///
    /// # Errors
    /// Somebody else has it, or strangers could reach it and need no key.
    pub(super) async fn take(
        name: &'static str,
        port: Option<u16>,
        is_usual: bool,
        (http, default): (&HttpConfig, &HttpConfig),
    ) -> anyhow::Result<Self> {
        let is_set = http.bind != default.bind;
        let wanted = match port {
            Some(port) => SocketAddr::from((http.bind.ip(), port)),
            None if is_set || is_usual => http.bind,
            None => SocketAddr::from((http.bind.ip(), 0)),
        };
        let listener = service_kit::bind(wanted)
            .await
            .with_context(|| format!("{name} (its port is set with --{name}-port, all with --port-base)"))?;
        let address = listener.local_addr().with_context(|| format!("{name} has no address"))?;
        let url = format!("http://{}", reached_at(address));
        Ok(Self { name, listener, url, http: HttpConfig { bind: address, ..http.clone() } })
    }
}

/// How this machine reaches an address on which somebody listens.
fn reached_at(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port()))
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_told_with_the_service_and_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let http = HttpConfig::on_port(8001);
        let taken = ReservedPort::take("trainer", Some(port), true, (&http, &http)).await;
        let error = crate::exit::line(&taken.err().unwrap());
        for part in ["trainer", &port.to_string(), "in use", "--trainer-port"] {
            assert!(error.contains(part), "{part} is missing in {error}");
        }
    }

    #[tokio::test]
    async fn an_address_that_the_settings_name_is_taken_unless_a_port_is_asked_for() {
        let default = HttpConfig::on_port(8001);
        let set = HttpConfig { bind: "127.0.0.2:0".parse().unwrap(), ..default.clone() };
        for (port, usual) in [(None, false), (None, true), (Some(0), true)] {
            let taken = ReservedPort::take("trainer", port, usual, (&set, &default)).await.unwrap();
            assert!(taken.url.starts_with("http://127.0.0.2:"), "{}", taken.url);
        }
        let free = ReservedPort::take("trainer", None, false, (&default, &default)).await.unwrap();
        assert_ne!(free.http.bind.port(), 8001);
        assert_eq!(reached_at("0.0.0.0:8001".parse().unwrap()), "127.0.0.1:8001".parse().unwrap());
    }
}
