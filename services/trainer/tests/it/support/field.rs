//! A psi-field in memory. Its state depends on every window that it was ever told, and so do its
//! interventions: a window that is lost, doubled or out of order changes what the swarm learns.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use api::psi_field::{
    FieldState, Intervention, InterventionKind, InterventionParameters, Snapshot, Swarm, Window, WindowAnswer,
};
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use uuid::Uuid;

use super::problem;

#[derive(Default)]
pub(crate) struct FieldStub {
    swarms: Mutex<BTreeMap<String, SwarmStub>>,
    /// Answers 503 to everything.
    pub(crate) away: AtomicBool,
    /// How long a window takes, in ms.
    pub(crate) delay_ms: AtomicU64,
    /// At its first sight of this window it restarts.
    pub(crate) restart_at: Mutex<Option<(u64, Restart)>>,
    /// Every window that was posted, by swarm.
    posted: Mutex<Vec<(String, u64)>>,
    /// Every acknowledgement.
    acknowledged: Mutex<Vec<Uuid>>,
}

/// What it knows after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Nothing.
    Empty,
    /// What it knew at the last checkpoint.
    LastCheckpoint,
}

#[derive(Clone, Default)]
struct SwarmStub {
    next_window: u64,
    checkpoint_window: u64,
    memory: f64,
    /// What it issued and nobody has acknowledged yet.
    issued: Vec<Uuid>,
    answers: BTreeMap<u64, (Window, WindowAnswer)>,
    saved: Option<Snapshot>,
}

impl FieldStub {
    pub(crate) fn swarm_names(&self) -> Vec<String> {
        self.swarms.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn next_window(&self, swarm: &str) -> Option<u64> {
        self.swarms.lock().unwrap().get(swarm).map(|swarm| swarm.next_window)
    }

    pub(crate) fn posted(&self) -> Vec<(String, u64)> {
        self.posted.lock().unwrap().clone()
    }

    pub(crate) fn acknowledged(&self) -> Vec<Uuid> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// As if somebody made a checkpoint here: answers before it are gone.
    pub(crate) fn drop_answers(&self, swarm: &str) {
        let mut swarms = self.swarms.lock().unwrap();
        swarms.get_mut(swarm).unwrap().checkpoint();
    }

    pub(crate) fn restart(&self, restart: Restart) {
        let mut swarms = self.swarms.lock().unwrap();
        let saved = swarms.iter().filter(|_| restart == Restart::LastCheckpoint);
        let restored: BTreeMap<_, _> = saved
            .filter_map(|(name, swarm)| Some((name.clone(), SwarmStub::of(swarm.saved.as_ref()?))))
            .collect();
        *swarms = restored;
    }
}

impl SwarmStub {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            next_window: snapshot.next_window,
            checkpoint_window: snapshot.next_window,
            memory: snapshot.field["memory"].as_f64().unwrap(),
            issued: serde_json::from_value(snapshot.field["issued"].clone()).unwrap(),
            answers: BTreeMap::new(),
            saved: Some(snapshot.clone()),
        }
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

type Stub = State<Arc<FieldStub>>;

pub(crate) fn router(stub: Arc<FieldStub>) -> Router {
    Router::new()
        .route("/v1/swarms/{id}", get(swarm))
        .route("/v1/swarms/{id}/windows", post(post_window))
        .route("/v1/swarms/{id}/snapshot", get(snapshot).put(put_snapshot))
        .route("/v1/swarms/{id}/checkpoints", post(checkpoint))
        .layer(from_fn_with_state(stub.clone(), availability))
        .with_state(stub)
}

async fn availability(State(stub): Stub, request: Request, next: Next) -> Response {
    if stub.away.load(Ordering::SeqCst) {
        return problem(503, "away", "The field is away.");
    }
    next.run(request).await
}

async fn post_window(State(stub): Stub, Path(id): Path<String>, Json(window): Json<Window>) -> Response {
    // as in psi-field: whether it is sent again is no part of what a window is
    let window = Window { repeated: false, ..window };
    let restart = stub.restart_at.lock().unwrap().take_if(|(number, _)| *number == window.number);
    if let Some((_, restart)) = restart {
        stub.restart(restart);
    }
    tokio::time::sleep(Duration::from_millis(stub.delay_ms.load(Ordering::SeqCst))).await;
    let mut swarms = stub.swarms.lock().unwrap();
    let known = swarms.get(&id).map_or(0, |swarm| swarm.next_window);
    if window.number > known {
        return problem(409, "window_gap", format!("expected window {known}"));
    }
    let swarm = swarms.entry(id.clone()).or_default();
    if window.number < known {
        return match swarm.answers.get(&window.number) {
            None => problem(409, "window_expired", format!("expected window {known}")),
            Some((before, _)) if *before != window => problem(409, "window_conflict", "another body"),
            Some((_, answer)) => Json(answer.clone()).into_response(),
        };
    }
    if let Some(unknown) = window.acknowledged.iter().find(|id| !swarm.issued.contains(id)) {
        return problem(422, "unknown_intervention", format!("{unknown} was never issued"));
    }
    stub.posted.lock().unwrap().push((id.clone(), window.number));
    stub.acknowledged.lock().unwrap().extend(&window.acknowledged);
    swarm.issued.retain(|id| !window.acknowledged.contains(id));
    let answer = swarm.answer(&id, &window);
    swarm.issued.extend(answer.interventions.iter().map(|intervention| intervention.id));
    swarm.next_window += 1;
    swarm.answers.insert(window.number, (window, answer.clone()));
    Json(answer).into_response()
}

async fn swarm(State(stub): Stub, Path(id): Path<String>) -> Response {
    match stub.swarms.lock().unwrap().get(&id) {
        None => problem(404, "swarm_not_found", "no such swarm"),
        Some(swarm) => Json(swarm.shown(id)).into_response(),
    }
}

async fn snapshot(State(stub): Stub, Path(id): Path<String>) -> Response {
    match stub.swarms.lock().unwrap().get(&id) {
        None => problem(404, "swarm_not_found", "no such swarm"),
        Some(swarm) => Json(swarm.snapshot()).into_response(),
    }
}

async fn put_snapshot(State(stub): Stub, Path(id): Path<String>, Json(given): Json<Snapshot>) -> Response {
    let mut swarms = stub.swarms.lock().unwrap();
    match swarms.get(&id) {
        Some(swarm) if swarm.next_window != given.next_window => {
            problem(409, "swarm_exists", format!("expected window {}", swarm.next_window))
        }
        _ => {
            let swarm = SwarmStub::of(&given);
            let shown = swarm.shown(id.clone());
            swarms.insert(id, swarm);
            Json(shown).into_response()
        }
    }
}

async fn checkpoint(State(stub): Stub, Path(id): Path<String>) -> Response {
    match stub.swarms.lock().unwrap().get_mut(&id) {
        None => problem(404, "swarm_not_found", "no such swarm"),
        Some(swarm) => {
            swarm.checkpoint();
            Json(swarm.snapshot()).into_response()
        }
    }
}
