//! How many requests a second one caller may send.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use crate::{ApiError, HttpConfig, auth::Access};

/// The limit of one service, shared by its requests.
pub(crate) struct RateLimit {
    access: Access,
    requests_per_second: NonZeroU32,
    callers: Callers<DefaultClock>,
}

impl RateLimit {
    /// `None` when the settings have no limit.
    pub(crate) fn of(http: &HttpConfig, access: Access) -> Option<Arc<Self>> {
        let requests_per_second = NonZeroU32::new(http.requests_per_second)?;
        let burst = NonZeroU32::new(http.burst).unwrap_or(requests_per_second);
        let quota = Quota::per_second(requests_per_second).allow_burst(burst);
        let callers = Callers::new(quota, DefaultClock::default());
        Some(Arc::new(Self { access, requests_per_second, callers }))
    }
}

/// 429 `rate_limited`, with `Retry-After`, for a caller who sends more than the limit.
pub(crate) async fn rate(State(limit): State<Arc<RateLimit>>, request: Request, next: Next) -> Response {
    let caller = match limit.access.key_of(&request) {
        Some(key) => Caller::Key(key.sha256),
        None => {
            Caller::Address(request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| network(info.0)))
        }
    };
    let Err(wait) = limit.callers.admit(caller) else { return next.run(request).await };
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
    /// Who has the key with this SHA-256.
    Key([u8; 32]),
    /// Who has none, by address; together when the server does not say addresses.
    Address(Option<IpAddr>),
}

/// How much each caller may still send.
struct Callers<C: Clock> {
    limiter: RateLimiter<Caller, HashMapStateStore<Caller>, C, NoOpMiddleware<C::Instant>>,
    /// How many callers it may know before those that have gone quiet are forgotten.
    sweep_at: AtomicUsize,
}

impl<C: Clock> Callers<C> {
    fn new(quota: Quota, clock: C) -> Self {
        let limiter = RateLimiter::hashmap_with_clock(quota, clock);
        Self { limiter, sweep_at: AtomicUsize::new(SMALLEST_SWEEP) }
    }

    /// Counts a request, or says how long its caller has to wait; a refused one does not count.
    fn admit(&self, caller: Caller) -> Result<(), Duration> {
        // Without this, a stranger could fill the memory with addresses.
        if self.limiter.len() >= self.sweep_at.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            self.sweep_at.store((self.limiter.len() * 2).max(SMALLEST_SWEEP), Ordering::Relaxed);
        }
        self.limiter.check_key(&caller).map_err(|refused| refused.wait_time_from(self.limiter.clock().now()))
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
    use governor::clock::FakeRelativeClock;

    use super::*;

    const ONE: Caller = Caller::Key([0; 32]);
    const OTHER: Caller = Caller::Key([1; 32]);

    fn callers(requests_per_second: u32, burst: u32) -> (Callers<FakeRelativeClock>, FakeRelativeClock) {
        let of = |number| NonZeroU32::new(number).unwrap();
        let quota = Quota::per_second(of(requests_per_second)).allow_burst(of(burst));
        let clock = FakeRelativeClock::default();
        (Callers::new(quota, clock.clone()), clock)
    }

    #[test]
    fn a_burst_is_let_in_and_then_one_request_an_interval() {
        let (callers, clock) = callers(10, 3);
        let pass = |milliseconds| clock.advance(Duration::from_millis(milliseconds));
        for _ in 0..3 {
            assert_eq!(callers.admit(ONE), Ok(()));
        }
        assert_eq!(callers.admit(ONE), Err(Duration::from_millis(100)));
        pass(60);
        assert_eq!(callers.admit(ONE), Err(Duration::from_millis(40)), "a refused one does not count");
        assert_eq!(callers.admit(OTHER), Ok(()), "nobody pays for another");
        pass(40);
        assert_eq!(callers.admit(ONE), Ok(()));
        pass(50);
        assert_eq!(callers.admit(ONE), Err(Duration::from_millis(50)));
        pass(850);
        for _ in 0..3 {
            assert_eq!(callers.admit(ONE), Ok(()), "quiet for long enough: the whole burst again");
        }
        assert!(callers.admit(ONE).is_err());
    }

    #[test]
    fn callers_that_have_gone_quiet_take_up_no_room() {
        let (callers, clock) = callers(1000, 1);
        for number in 0..100_000_u32 {
            clock.advance(Duration::from_millis(1));
            let address = std::net::Ipv4Addr::from_bits(number).into();
            assert_eq!(callers.admit(Caller::Address(Some(address))), Ok(()));
            assert!(callers.limiter.len() <= SMALLEST_SWEEP);
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
