//! A shadow on a thread of its own: whoever asks the deployment does not wait for it, and if it falls behind or fails, that
//! is seen.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

use api::deployments::ShadowStatus;
use metrics::Counter;
use policy::Swarm;

use super::{event::Event, shadow::Shadow};

/// How many events a shadow may be behind.
const MOST_BEHIND: u64 = 100_000;

/// The same while the past is read: whoever reads waits then.
const MOST_BEHIND_THE_PAST: u64 = 1000;

/// How long one waits for what a shadow says of itself.
const PATIENCE: Duration = Duration::from_millis(20);

/// A shadow at work.
pub(crate) struct ShadowThread {
    events: Events,
    shared: Arc<Shared>,
    thread: JoinHandle<Option<Shadow>>,
}

/// Where events go; `None` once it follows no more. The thread has none of it: it ends when nobody can tell it anything.
type Events = Arc<Mutex<Option<Sender<Message>>>>;

struct Shared {
    /// While the past is read again, whoever reads waits for those that follow.
    is_live: AtomicBool,
    sent: AtomicU64,
    followed: AtomicU64,
    failure: Mutex<Option<String>>,
    failures: Counter,
}

enum Message {
    Event(Event),
    Status(Sender<ShadowStatus>),
}

impl ShadowThread {
    pub(crate) fn begin(mut shadow: Shadow, failures: Counter) -> Self {
        let (events, messages) = channel();
        let shared = Arc::new(Shared {
            is_live: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            failure: Mutex::new(None),
            failures,
        });
        let told = shared.clone();
        let thread = spawn(move || {
            while let Ok(message) = messages.recv() {
                match message {
                    Message::Status(answer) => drop(answer.send(shadow.status())),
                    Message::Event(event) => {
                        let followed = catch_unwind(AssertUnwindSafe(|| shadow.follow(event)));
                        if let Err(panic) = followed {
                            told.fail(format!("it failed: {}", said(panic.as_ref())));
                            return None;
                        }
                        told.followed.fetch_add(1, Ordering::Release);
                    }
                }
            }
            Some(shadow)
        });
        Self { events: Arc::new(Mutex::new(Some(events))), shared, thread }
    }

    /// What is to be told of all that happens.
    pub(crate) fn listener(&self) -> Box<dyn FnMut(Event) + Send> {
        let (events, shared) = (self.events.clone(), self.shared.clone());
        Box::new(move |event| shared.send(&events, event))
    }

    /// The past has been read: nobody waits for it any more.
    pub(crate) fn is_live(&self) {
        self.shared.is_live.store(true, Ordering::Relaxed);
    }

    /// How it does; how far it is behind alone, where it is so far behind that one would wait for the rest.
    pub(crate) fn status(&self) -> ShadowStatus {
        let told = self.ask().unwrap_or_default();
        ShadowStatus { behind: self.shared.behind(), failure: self.shared.failure(), ..told }
    }

    fn ask(&self) -> Option<ShadowStatus> {
        let (answer, status) = channel();
        let events = open(&self.events).clone()?;
        events.send(Message::Status(answer)).ok()?;
        status.recv_timeout(PATIENCE).ok()
    }

    /// Its swarm, once it has followed all that happened.
    ///
    /// # Errors
    /// Says why there is none.
    pub(crate) fn into_swarm(self) -> Result<Swarm, String> {
        open(&self.events).take();
        let shadow = self.thread.join().ok().flatten();
        let failure = || self.shared.failure().unwrap_or_else(|| "it failed".to_owned());
        match (shadow, self.shared.failure()) {
            (Some(shadow), None) => Ok(shadow.into_swarm()),
            _ => Err(failure()),
        }
    }

    /// Why it decides nothing any more.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Events that it has not seen yet.
    pub(crate) fn behind(&self) -> u64 {
        self.shared.behind()
    }
}

impl Shared {
    fn send(&self, events: &Events, event: Event) {
        let Some(sender) = open(events).clone() else { return };
        let is_live = self.is_live.load(Ordering::Relaxed);
        while !is_live && self.behind() >= MOST_BEHIND_THE_PAST && self.failure().is_none() {
            sleep(Duration::from_millis(1));
        }
        if self.behind() >= MOST_BEHIND {
            open(events).take();
            self.fail(format!("it fell {MOST_BEHIND} events behind"));
            return;
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        _ = sender.send(Message::Event(event)); // one that has failed says so itself
    }

    fn fail(&self, why: String) {
        tracing::warn!(why, "a shadow decides nothing any more");
        self.failures.increment(1);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn behind(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).saturating_sub(self.followed.load(Ordering::Acquire))
    }
}

fn open(events: &Events) -> MutexGuard<'_, Option<Sender<Message>>> {
    // Nothing panics while it is held.
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use api::deployments::NewDeployment;
    use policy::Rule;
    use routing_env::{Environment, Preset, Reward};
    use service_kit::Metrics;

    use super::*;
    use crate::deployments::schedule::Schedule;

    fn shadow() -> ShadowThread {
        let env = Environment::built_in(Preset::Default);
        let swarm = Swarm::of_rule(Rule::Cheapest, &env);
        let settings: NewDeployment =
            serde_json::from_value(serde_json::json!({"name": "x", "policy_id": uuid::Uuid::nil()})).unwrap();
        let schedule = Schedule::new(&settings, "2026-11-30T00:00:00Z".parse().unwrap());
        let failures = Metrics::new().counter("failures_total", "Failures.", &[]);
        ShadowThread::begin(Shadow::new(env, swarm, Reward::EXCESS_COST.into(), schedule), failures)
    }

    #[test]
    fn a_shadow_that_fails_says_why_and_is_not_to_be_had() {
        let shadow = shadow();
        let mut tell = shadow.listener();
        let nowhere = Event::Market { providers: Vec::new(), budgets: vec![(usize::MAX, 1.0)] };
        tell(nowhere.clone());
        let begun = Instant::now();
        while shadow.failure().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        tell(nowhere); // nobody hears it, and nobody minds
        let status = shadow.status();
        assert!(status.failure.is_some_and(|failure| failure.contains("out of bounds")));
        assert!(shadow.into_swarm().is_err());
    }

    #[test]
    fn a_shadow_gives_its_swarm_once_it_has_seen_all() {
        let shadow = shadow();
        let mut tell = shadow.listener();
        for next in 1..=50 {
            tell(Event::Settled);
            tell(Event::Window { next });
        }
        assert_eq!(shadow.into_swarm().unwrap().steps_seen(), 50);
    }
}
