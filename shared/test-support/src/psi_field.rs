//! A psi-field in memory. Its state depends on every window that it was ever told, and so do its
//! interventions: a window that is lost, doubled or out of order changes what the swarm learns.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::psi_field::{
    FieldState, Intervention, InterventionKind, InterventionParameters, Snapshot, Swarm, Trial, Window,
    WindowAnswer,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use uuid::Uuid;

use crate::{Faults, faults::inject, problem, serve};

/// A fake psi-field on a port of its own.
#[derive(Debug)]
pub struct FakePsiField {
    url: String,
    faults: Arc<Faults>,
    state: Arc<Mutex<Field>>,
}

#[derive(Debug, Default)]
struct Field {
    swarms: BTreeMap<String, KnownSwarm>,
    /// What it does not know was deleted.
    deleted: bool,
    /// At its first sight of this window it restarts.
    restart_at: Option<(u64, Restart)>,
    /// Every window that was posted, by swarm.
    posted: Vec<(String, u64)>,
    /// Every acknowledgement.
    acknowledged: Vec<Uuid>,
    /// Every trial that was told.
    trials: Vec<Trial>,
}

/// What it knows after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    Empty,
    /// What it knew at the last checkpoint.
    LastCheckpoint,
    /// Nothing, and not because of a restart: somebody deleted all swarms.
    Deleted,
}

#[derive(Clone, Debug, Default)]
struct KnownSwarm {
    next_window: u64,
    checkpoint_window: u64,
    memory: f64,
    /// What it issued and nobody has acknowledged yet.
    issued: Vec<Uuid>,
    answers: BTreeMap<u64, (Window, WindowAnswer)>,
    saved: Option<Snapshot>,
    ended: bool,
}

impl FakePsiField {
    /// Starts one that knows no swarm yet.
    pub async fn start() -> Self {
        let (faults, state) = (Arc::new(Faults::default()), Arc::new(Mutex::new(Field::default())));
        let routes = Router::new()
            .route("/readyz", get(async || Json(json!({"ready": true}))))
            .route("/v1/swarms/{id}", get(swarm))
            .route("/v1/swarms/{id}/end", post(end))
            .route("/v1/swarms/{id}/windows", post(post_window))
            .route("/v1/swarms/{id}/snapshot", get(snapshot).put(put_snapshot))
            .route("/v1/swarms/{id}/checkpoints", post(checkpoint))
            .layer(from_fn_with_state(faults.clone(), inject))
            .with_state(state.clone());
        let url = format!("http://{}", serve(routes).await);
        Self { url, faults, state }
    }

    /// `http://<address>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is to go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The swarms that it knows.
    #[must_use]
    pub fn swarm_names(&self) -> Vec<String> {
        lock(&self.state).swarms.keys().cloned().collect()
    }

    /// The window that it expects of a swarm.
    #[must_use]
    pub fn next_window(&self, swarm: &str) -> Option<u64> {
        lock(&self.state).swarms.get(swarm).map(|swarm| swarm.next_window)
    }

    /// Every window that it took, by swarm, in their order.
    #[must_use]
    pub fn posted(&self) -> Vec<(String, u64)> {
        lock(&self.state).posted.clone()
    }

    /// Whether the swarm was ended.
    #[must_use]
    pub fn has_ended(&self, swarm: &str) -> bool {
        lock(&self.state).swarms.get(swarm).is_some_and(|swarm| swarm.ended)
    }

    /// Every intervention that was acknowledged, in their order.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<Uuid> {
        lock(&self.state).acknowledged.clone()
    }

    /// Every trial that it was told of, in their order.
    #[must_use]
    pub fn trials(&self) -> Vec<Trial> {
        lock(&self.state).trials.clone()
    }

    /// As if somebody made a checkpoint here: answers before it are gone.
    pub fn drop_answers(&self, swarm: &str) {
        if let Some(swarm) = lock(&self.state).swarms.get_mut(swarm) {
            swarm.checkpoint();
        }
    }

    /// It forgets what a restart makes it forget.
    pub fn restart(&self, restart: Restart) {
        lock(&self.state).restart(restart);
    }

    /// It restarts when it first sees this window.
    pub fn restart_at(&self, window: u64, restart: Restart) {
        lock(&self.state).restart_at = Some((window, restart));
    }
}

impl Field {
    fn restart(&mut self, restart: Restart) {
        let saved = self.swarms.iter().filter(|_| restart == Restart::LastCheckpoint);
        let restored: BTreeMap<_, _> = saved
            .filter_map(|(name, swarm)| Some((name.clone(), KnownSwarm::of(swarm.saved.as_ref()?)?)))
            .collect();
        self.swarms = restored;
        self.deleted = restart == Restart::Deleted;
    }

    fn unknown(&self) -> Response {
        match self.deleted {
            true => problem(410, "swarm_deleted", "the swarm was deleted"),
            false => problem(404, "swarm_not_found", "no such swarm"),
        }
    }
}

/// A panic of one test's thread is no reason for another to fail.
fn lock(state: &Mutex<Field>) -> MutexGuard<'_, Field> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KnownSwarm {
    /// `None` if the snapshot is not one of [`Self::snapshot`].
    fn of(snapshot: &Snapshot) -> Option<Self> {
        Some(Self {
            next_window: snapshot.next_window,
            checkpoint_window: snapshot.next_window,
            memory: snapshot.field["memory"].as_f64()?,
            issued: serde_json::from_value(snapshot.field["issued"].clone()).ok()?,
            answers: BTreeMap::new(),
            saved: Some(snapshot.clone()),
            ended: false,
        })
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            next_window: self.next_window,
            field: json!({"memory": self.memory, "issued": self.issued}),
        }
    }

    fn shown(&self, id: String) -> Swarm {
        Swarm {
            id,
            next_window: self.next_window,
            checkpoint_window: self.checkpoint_window,
            agents: 0,
            interventions: 0,
            state: FieldState::default(),
            ended: self.ended,
            last_window_at: None,
        }
    }

    fn checkpoint(&mut self) {
        self.checkpoint_window = self.next_window;
        self.saved = Some(self.snapshot());
        self.answers.clear();
    }

    fn answer(&mut self, swarm: &str, window: &Window) -> WindowAnswer {
        let told = window.swarm.mean_reward.unwrap_or(0.0) + window.agents[0].q_table_size as f64;
        self.memory = (self.memory * 0.9 + told).fract() * 10.0 + window.number as f64 % 3.0;
        let tenth = (self.memory * 10.0) as u64;
        let kind = match tenth % 4 {
            0 => Some(InterventionKind::Nigredo),
            1 => Some(InterventionKind::Albedo),
            _ => None,
        };
        let intervention = |kind| Intervention {
            id: Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{swarm} {} {kind:?}", window.number).as_bytes()),
            kind,
            targets: vec![(tenth % window.agents.len() as u64) as u32],
            parameters: InterventionParameters::default(),
            reason: "the stand-in felt like it".into(),
            evidence: serde_json::Map::new(),
            issued_at_window: window.number,
            expires_after_windows: 10,
            by_operator: false,
        };
        WindowAnswer {
            swarm: swarm.into(),
            window: window.number,
            state: FieldState {
                psi: Some(self.memory / 13.0),
                continuity: Some(0.5),
                prediction_error: (window.number > 2).then_some(self.memory / 26.0),
                ..FieldState::default()
            },
            anomaly: None,
            interventions: kind.map(intervention).into_iter().collect(),
        }
    }
}

type Shared = State<Arc<Mutex<Field>>>;

async fn post_window(State(state): Shared, Path(id): Path<String>, Json(window): Json<Window>) -> Response {
    // as in psi-field: whether it is sent again is no part of what a window is
    let window = Window { repeated: false, ..window };
    let field = &mut *lock(&state);
    if let Some((_, restart)) = field.restart_at.take_if(|(number, _)| *number == window.number) {
        field.restart(restart);
    }
    if field.deleted && window.number > 0 && !field.swarms.contains_key(&id) {
        return field.unknown();
    }
    let known = field.swarms.get(&id).map_or(0, |swarm| swarm.next_window);
    if window.number > known {
        return problem(409, "window_gap", format!("expected window {known}"));
    }
    let swarm = field.swarms.entry(id.clone()).or_default();
    if window.number < known {
        return match swarm.answers.get(&window.number) {
            None => problem(409, "window_conflict", format!("expected window {known}")),
            Some((before, _)) if *before != window => problem(409, "window_conflict", "another body"),
            Some((_, answer)) => Json(answer.clone()).into_response(),
        };
    }
    let tried = window.trials.iter().map(|trial| trial.intervention);
    let known: Vec<Uuid> = window.acknowledged.iter().copied().chain(tried).collect();
    if let Some(unknown) = known.iter().find(|id| !swarm.issued.contains(id)) {
        return problem(422, "unknown_intervention", format!("{unknown} was never issued"));
    }
    field.posted.push((id.clone(), window.number));
    field.acknowledged.extend(&window.acknowledged);
    field.trials.extend(window.trials.iter().cloned());
    swarm.issued.retain(|id| !known.contains(id));
    let answer = swarm.answer(&id, &window);
    swarm.issued.extend(answer.interventions.iter().map(|intervention| intervention.id));
    swarm.next_window += 1;
    swarm.answers.insert(window.number, (window, answer.clone()));
    Json(answer).into_response()
}

async fn swarm(State(state): Shared, Path(id): Path<String>) -> Response {
    let field = lock(&state);
    match field.swarms.get(&id) {
        None => field.unknown(),
        Some(swarm) => Json(swarm.shown(id)).into_response(),
    }
}

async fn end(State(state): Shared, Path(id): Path<String>) -> Response {
    let mut field = lock(&state);
    match field.swarms.get_mut(&id) {
        None => field.unknown(),
        Some(swarm) => {
            swarm.ended = true;
            Json(swarm.shown(id)).into_response()
        }
    }
}

async fn snapshot(State(state): Shared, Path(id): Path<String>) -> Response {
    let field = lock(&state);
    match field.swarms.get(&id) {
        None => field.unknown(),
        Some(swarm) => Json(swarm.snapshot()).into_response(),
    }
}

async fn put_snapshot(State(state): Shared, Path(id): Path<String>, Json(given): Json<Snapshot>) -> Response {
    let swarms = &mut lock(&state).swarms;
    match (swarms.get(&id), KnownSwarm::of(&given)) {
        (Some(swarm), _) if swarm.next_window != given.next_window => {
            problem(409, "snapshot_conflict", format!("expected window {}", swarm.next_window))
        }
        (_, None) => problem(422, "invalid_request", "`/field` is no field of this fake"),
        (_, Some(swarm)) => {
            let shown = swarm.shown(id.clone());
            swarms.insert(id, swarm);
            Json(shown).into_response()
        }
    }
}

async fn checkpoint(State(state): Shared, Path(id): Path<String>) -> Response {
    let mut field = lock(&state);
    match field.swarms.get_mut(&id) {
        None => field.unknown(),
        Some(swarm) => {
            swarm.checkpoint();
            Json(swarm.snapshot()).into_response()
        }
    }
}
