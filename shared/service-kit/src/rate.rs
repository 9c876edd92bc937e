//! How many requests a second one caller may send.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{ApiError, HttpConfig, auth::Access};

/// The limit of one service, shared by its requests.
pub(crate) struct RateLimit {
    access: Access,
    requests_per_second: u32,
    callers: Mutex<Callers>,
}

impl RateLimit {
    /// `None` when the settings have no limit.
    pub(crate) fn of(http: &HttpConfig, access: Access) -> Option<Arc<Self>> {
        let HttpConfig { requests_per_second, burst, .. } = *http;
        if requests_per_second == 0 {
            return None;
        }
        let burst = if burst == 0 { requests_per_second } else { burst };
        let interval = Duration::from_secs(1) / requests_per_second;
        Some(Arc::new(Self {
            access,
            requests_per_second,
            callers: Mutex::new(Callers::new(interval, burst)),
        }))
    }

    fn admit(&self, caller: Caller) -> Result<(), Duration> {
        // Nothing panics while it holds the lock; were it to, the map would still be whole.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).admit(caller, Instant::now())
    }
}

/// 429 `rate_limited`, with `Retry-After`, for a caller who sends more than the limit.
pub(crate) async fn rate(State(limit): State<Arc<RateLimit>>, request: Request, next: Next) -> Response {
    let caller = match limit.access.key_of(&request) {
        Some(index) => Caller::Key(index),
        None => {
            Caller::Address(request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| network(info.0)))
        }
    };
    let Err(wait) = limit.admit(caller) else { return next.run(request).await };
    let whom = match caller {
        Caller::Key(_) => "with one API key",
        Caller::Address(_) => "from one address",
    };
    let detail = format!(
        "More than {} requests per second came {whom}. Wait as long as Retry-After says, then continue more slowly.",
        limit.requests_per_second
    );
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(wait).into_response()
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Caller {
    /// Who has this one of the service's keys.
    Key(usize),
    /// Who has none, by address; together when the server does not say addresses.
    Address(Option<IpAddr>),
}

/// A generic cell rate algorithm (ITU-T I.371, the virtual scheduling form) for each caller: a caller's
/// next request is due one interval after the one before, and may come early by what makes up the burst.
struct Callers {
    interval: Duration,
    tolerance: Duration,
    /// When the next request of a caller is due. Who is not in it has been quiet.
    due: HashMap<Caller, Instant>,
    /// How long the map may become before it is swept.
    sweep_at: usize,
}

impl Callers {
    fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, tolerance: interval * (burst - 1), due: HashMap::new(), sweep_at: SMALLEST_SWEEP }
    }

    /// Counts a request, or says how long its caller has to wait; a refused one does not count.
    fn admit(&mut self, caller: Caller, now: Instant) -> Result<(), Duration> {
        let due = self.due.get(&caller).map_or(now, |due| (*due).max(now));
        let early = due - now;
        if early > self.tolerance {
            return Err(early - self.tolerance);
        }
        if self.due.len() >= self.sweep_at {
            self.due.retain(|_, due| *due > now);
            self.sweep_at = (self.due.len() * 2).max(SMALLEST_SWEEP);
        }
        self.due.insert(caller, due + self.interval);
        Ok(())
    }
}

const SMALLEST_SWEEP: usize = 1024;

/// One customer usually gets 64 bits of IPv6 and could take a fresh address for every request.
fn network(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Caller = Caller::Key(0);
    const OTHER: Caller = Caller::Key(1);

    #[test]
    fn a_burst_is_let_in_and_then_one_request_an_interval() {
        let mut callers = Callers::new(Duration::from_millis(100), 3);
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        for _ in 0..3 {
            assert_eq!(callers.admit(ONE, at(0)), Ok(()));
        }
        assert_eq!(callers.admit(ONE, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(
            callers.admit(ONE, at(60)),
            Err(Duration::from_millis(40)),
            "a refused one does not count"
        );
        assert_eq!(callers.admit(OTHER, at(60)), Ok(()), "nobody pays for another");
        assert_eq!(callers.admit(ONE, at(100)), Ok(()));
        assert_eq!(callers.admit(ONE, at(150)), Err(Duration::from_millis(50)));
        for _ in 0..3 {
            assert_eq!(callers.admit(ONE, at(1000)), Ok(()), "quiet for long enough: the whole burst again");
        }
        assert!(callers.admit(ONE, at(1000)).is_err());
    }

    #[test]
    fn callers_that_have_gone_quiet_take_up_no_room() {
        let mut callers = Callers::new(Duration::from_millis(1), 1);
        let start = Instant::now();
        for number in 0..100_000 {
            let now = start + Duration::from_millis(number as u64);
            assert_eq!(callers.admit(Caller::Key(number), now), Ok(()));
            assert!(callers.due.len() <= SMALLEST_SWEEP);
        }
    }

    #[test]
    fn an_address_counts_with_its_network() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("[2001:db8::1]:1"), of("[2001:db8::ffff]:2"));
        assert_ne!(of("[2001:db8::1]:1"), of("[2001:db8:0:1::1]:1"));
        assert_ne!(of("192.0.2.1:1"), of("192.0.2.2:1"));
        assert_eq!(of("[::ffff:192.0.2.1]:1"), of("192.0.2.1:9"), "IPv4 over an IPv6 socket");
    }
}
