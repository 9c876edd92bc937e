//! What goes wrong with the calls of a fake service.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures_util::stream;
use tokio::sync::watch;

use crate::problem;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with 503, and nothing is done.
    Refuse,
    /// It is answered with 401, as one without the right key, and nothing is done.
    Unauthorized,
    /// It is carried out and answered with 504: the caller cannot know what became of it.
    LoseAnswer,
    /// It is carried out, and the connection breaks in the middle of the answer.
    Cut,
    /// It waits until the faults change, and is carried out then.
    Hang,
    /// It is carried out after this time.
    Slow(Duration),
}

/// The switch of a fake service's faults. It has none at first.
#[derive(Debug, Default)]
pub struct Faults {
    plan: watch::Sender<Plan>,
    calls: AtomicUsize,
    failed: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

#[derive(Debug, Default)]
struct Plan {
    always: Option<Fault>,
    /// So many calls are answered first.
    calls_before: usize,
    /// What the next calls meet, before all else.
    next: VecDeque<Option<Fault>>,
}

impl Plan {
    fn now(&self) -> Option<Fault> {
        self.always.filter(|_| self.calls_before == 0)
    }
}

impl Faults {
    /// Every call meets this fault from now on.
    pub fn set(&self, fault: Fault) {
        self.set_after(0, fault);
    }

    /// So many calls are answered, and every later one meets this fault.
    pub fn set_after(&self, calls: usize, fault: Fault) {
        self.plan.send_modify(|plan| (plan.always, plan.calls_before) = (Some(fault), calls));
    }

    /// The next calls meet these, one each.
    pub fn next(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.plan.send_modify(|plan| plan.next.extend(faults));
    }

    /// All is well again.
    pub fn clear(&self) {
        self.plan.send_replace(Plan::default());
    }

    /// What every call meets now.
    #[must_use]
    pub fn now(&self) -> Option<Fault> {
        self.plan.borrow().now()
    }

    /// How many calls have come.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many of them met a fault.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    /// How many calls there were at the same time, at most.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.most_open.load(Ordering::SeqCst)
    }

    /// What this call meets.
    fn meet(&self) -> Option<Fault> {
        let mut met = None;
        self.plan.send_if_modified(|plan| {
            met = plan.next.pop_front().unwrap_or_else(|| plan.now());
            plan.calls_before = plan.calls_before.saturating_sub(1);
            false // whoever hangs waits for a change from outside
        });
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.failed.fetch_add(usize::from(met.is_some()), Ordering::SeqCst);
        met
    }
}

/// Lets calls through, or not.
pub(crate) async fn inject(State(faults): State<Arc<Faults>>, call: Request, next: Next) -> Response {
    let _open = Open::new(&faults);
    let mut changes = faults.plan.subscribe();
    match faults.meet() {
        None => next.run(call).await,
        Some(Fault::Refuse) => problem(503, "database_unavailable", "It is away: a test wants it so."),
        Some(Fault::Unauthorized) => problem(401, "unauthorized", "It has no key: a test wants it so."),
        Some(Fault::LoseAnswer) => {
            next.run(call).await;
            problem(504, "timeout", "There was no answer in time: a test wants it so.")
        }
        Some(Fault::Cut) => {
            next.run(call).await;
            let broken: [Result<&str, &str>; 2] = [Ok("{"), Err("a test cuts it")];
            Response::new(Body::from_stream(stream::iter(broken)))
        }
        Some(Fault::Hang) => {
            let _ = changes.changed().await;
            next.run(call).await
        }
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            next.run(call).await
        }
    }
}

/// A call that has come and is not answered, also when its caller gives it up.
struct Open<'a>(&'a Faults);

impl<'a> Open<'a> {
    fn new(faults: &'a Faults) -> Self {
        let open = faults.open.fetch_add(1, Ordering::SeqCst) + 1;
        faults.most_open.fetch_max(open, Ordering::SeqCst);
        Self(faults)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}
