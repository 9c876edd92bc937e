//! Environments that callers play themselves: so many at a time, each deleted when it is not used.
//!
//! Nothing of them is recorded, and nothing outlives the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use api::{
    FieldError,
    trainer::{EnvironmentTurn, NewEnvironment, NewTurn, PlayedEnvironment},
};
use metrics::{Counter, Gauge};
use routing_env::gym::Space;
use service_kit::Metrics;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::run_config::{assumed_prices, environment};

mod player;

use player::Player;

/// Numbers in the observations of a turn, at most.
const MOST_NUMBERS: usize = 200_000;

/// How many there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentLimits {
    /// At the same time.
    pub most: usize,
    /// One that was not used for so long is deleted.
    pub idle: Duration,
}

/// Why no environment was made.
#[derive(Debug)]
pub enum MakeError {
    /// Fields are wrong.
    Invalid(Vec<FieldError>),
    /// There are as many as there may be.
    TooMany(usize),
    /// The program or the machine is at fault.
    Internal(std::io::Error),
}

/// Why a turn was not played; nothing has changed.
#[derive(Debug)]
pub enum TurnError {
    /// There is no such environment, or not any more.
    NotFound(Uuid),
    /// Another turn is to be decided.
    AnotherTurn {
        /// Which.
        expected: u64,
    },
    /// Choices are wrong.
    Invalid(Vec<FieldError>),
}

/// All environments of this trainer. Cheap to clone.
#[derive(Clone)]
pub struct Environments(Arc<Shared>);

struct Shared {
    limits: EnvironmentLimits,
    hosted: Mutex<HashMap<Uuid, Hosted>>,
    gauge: Gauge,
    decisions: Counter,
}

/// An environment whose episodes a thread of its own plays: they borrow from it.
struct Hosted {
    calls: mpsc::Sender<Call>,
    description: Arc<PlayedEnvironment>,
}

/// What the thread is asked: the turn that these choices lead to, or the one that is to be decided.
struct Call {
    choices: Option<NewTurn>,
    answer: oneshot::Sender<Result<EnvironmentTurn, TurnError>>,
}

impl Environments {
    /// None yet.
    #[must_use]
    pub fn new(limits: EnvironmentLimits, metrics: &Metrics) -> Self {
        let gauge = metrics.gauge("ai_mesh_environments", "Environments that callers play.", &[]);
        gauge.set(0.0);
        let what = "Decisions that callers made in environments that they play.";
        let decisions = metrics.counter("ai_mesh_environment_decisions_total", what, &[]);
        Self(Arc::new(Shared { limits, hosted: Mutex::default(), gauge, decisions }))
    }

    /// Makes one, with its episodes begun.
    ///
    /// # Errors
    /// There is none.
    pub async fn make(&self, new: NewEnvironment) -> Result<PlayedEnvironment, MakeError> {
        let environment = environment(&new.environment).map_err(MakeError::Invalid)?;
        let environment = environment.with_steps(new.steps_per_episode);
        let space = Space::new(&environment);
        let numbers = space.features().len() * new.n as usize;
        if numbers > MOST_NUMBERS {
            let detail = format!(
                "expected at most {} here, because an observation has {} entries and a turn at most {MOST_NUMBERS}",
                MOST_NUMBERS / space.features().len(),
                space.features().len()
            );
            return Err(invalid("/n", detail));
        }
        let id = Uuid::now_v7();
        let NewEnvironment { environment: made_of, seed, n, steps_per_episode } = new;
        let mut description = PlayedEnvironment {
            id,
            environment: made_of,
            seed,
            n,
            steps_per_episode,
            features: space.features().to_vec(),
            actions: space.actions().to_vec(),
            assumed_prices: assumed_prices(environment.catalog()),
            idle_seconds: self.0.limits.idle.as_secs(),
            turn: EnvironmentTurn::default(),
        };
        let (calls, called) = mpsc::channel();
        self.0.insert(id, Hosted { calls, description: Arc::new(description.clone()) })?;
        let (shared, idle) = (Arc::downgrade(&self.0), self.0.limits.idle);
        let started = thread::Builder::new().name("environment".into()).spawn(move || {
            if let Some(player) = Player::new(&environment, &space, seed, n) {
                serve(player, &called, idle);
            }
            shared.upgrade().map(|shared| shared.remove(id));
        });
        if let Err(error) = started {
            self.0.remove(id);
            return Err(MakeError::Internal(error));
        }
        match self.call(id, None).await {
            Ok((_, turn)) => {
                description.turn = turn;
                Ok(description)
            }
            Err(_) => {
                let detail = "expected requests that some provider can take: there was none in 1000 episodes";
                Err(invalid("/environment", detail.into()))
            }
        }
    }

    /// One, with what is to be decided now.
    ///
    /// # Errors
    /// There is none.
    pub async fn get(&self, id: Uuid) -> Result<PlayedEnvironment, TurnError> {
        let (description, turn) = self.call(id, None).await?;
        Ok(PlayedEnvironment { turn, ..(*description).clone() })
    }

    /// Plays a turn.
    ///
    /// # Errors
    /// Nothing was played.
    pub async fn play(&self, id: Uuid, turn: NewTurn) -> Result<EnvironmentTurn, TurnError> {
        let decisions = turn.choices.len() as u64;
        let (_, turn) = self.call(id, Some(turn)).await?;
        self.0.decisions.increment(decisions);
        Ok(turn)
    }

    /// Deletes one; false when there is none.
    #[must_use]
    pub fn delete(&self, id: Uuid) -> bool {
        self.0.remove(id)
    }

    async fn call(
        &self,
        id: Uuid,
        choices: Option<NewTurn>,
    ) -> Result<(Arc<PlayedEnvironment>, EnvironmentTurn), TurnError> {
        let (answer, answered) = oneshot::channel();
        let description = {
            let hosted = self.0.hosted();
            let hosted = hosted.get(&id).ok_or(TurnError::NotFound(id))?;
            let call = Call { choices, answer };
            hosted.calls.send(call).map_err(|_| TurnError::NotFound(id))?;
            hosted.description.clone()
        };
        // it may be deleted while it is asked
        let turn = answered.await.map_err(|_| TurnError::NotFound(id))??;
        Ok((description, turn))
    }
}

impl Shared {
    fn hosted(&self) -> MutexGuard<'_, HashMap<Uuid, Hosted>> {
        self.hosted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, id: Uuid, one: Hosted) -> Result<(), MakeError> {
        let mut hosted = self.hosted();
        if hosted.len() >= self.limits.most {
            return Err(MakeError::TooMany(self.limits.most));
        }
        hosted.insert(id, one);
        self.gauge.set(hosted.len() as f64);
        Ok(())
    }

    fn remove(&self, id: Uuid) -> bool {
        let mut hosted = self.hosted();
        let was_there = hosted.remove(&id).is_some();
        self.gauge.set(hosted.len() as f64);
        was_there
    }
}

/// Answers calls until nobody can call any more, or nobody has for so long.
fn serve(mut player: Player<'_>, calls: &mpsc::Receiver<Call>, idle: Duration) {
    while let Ok(Call { choices, answer }) = calls.recv_timeout(idle) {
        let turn = match choices {
            Some(choices) => player.play(&choices),
            None => Ok(player.turn().clone()),
        };
        let _ = answer.send(turn); // who has hung up finds it by GET
    }
}

fn invalid(pointer: &str, detail: String) -> MakeError {
    MakeError::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail }])
}
