//! Waiting for what comes in its own time.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

/// Far more than anything here takes, so that a busy machine fails no test: only what never comes does.
const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until it gets an `Ok`. An `Err` is what there is instead, which the message shows if nothing else comes.
///
/// # Panics
/// After two minutes without an `Ok`.
pub async fn eventually<T, S: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(state) => assert_in_time(deadline, what, &state),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// [`eventually`] for tests without a runtime.
///
/// # Panics
/// After two minutes without an `Ok`.
pub fn eventually_blocking<T, S: Debug>(what: &str, mut look: impl FnMut() -> Result<T, S>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        match look() {
            Ok(found) => return found,
            Err(state) => assert_in_time(deadline, what, &state),
        }
        thread::sleep(PAUSE);
    }
}

fn assert_in_time(deadline: Instant, what: &str, state: &impl Debug) {
    assert!(Instant::now() < deadline, "waited {LIMIT:?} until {what}; last there was {state:?}");
}
