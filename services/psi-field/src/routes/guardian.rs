use api::psi_field::{InterventionKind, InterventionStatus};
use axum::extract::State;
use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use service_kit::{ApiResult, Json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    conversion,
    error::SwarmError,
    existing::{self, GuardianView},
    metrics::DEFAULT_SWARM,
    state::AppState,
    swarm::Entry,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(apply_nigredo))
        .routes(routes!(apply_albedo))
        .routes(routes!(get_guardian_status))
        .routes(routes!(get_guardian_statistics))
}

/// An intervention by hand is on its way.
#[derive(Debug, Serialize, ToSchema)]
struct Applied {
    /// `nigredo` or `albedo`.
    intervention: &'static str,
    /// The same.
    action: &'static str,
    /// Always true.
    success: bool,
    /// Its id.
    id: Uuid,
    /// Always `issued`: the answer to the next step carries it.
    status: &'static str,
    /// The number of that step.
    step: u64,
    /// When this was answered.
    timestamp: String,
}

/// What the guardian thinks of the last step.
#[derive(Debug, Serialize, ToSchema)]
struct Status {
    #[serde(flatten)]
    view: GuardianView,
    /// As `red_flag`.
    current_threat: bool,
    /// As `reason`.
    #[schema(required)]
    current_threat_reason: Option<String>,
}

/// What the guardian did, and what it thinks now.
#[derive(Debug, Serialize, ToSchema)]
struct Done {
    /// Interventions so far.
    total: u64,
    /// The step of the last one.
    #[schema(required)]
    last_step: Option<u64>,
    /// Something is wrong.
    current_red_flag: bool,
    /// What, in a sentence.
    #[schema(required)]
    current_reason: Option<String>,
}

/// What the guardian has done so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GuardianStatistics)]
struct Statistics {
    /// Always `advanced`: its thresholds follow from what it has seen.
    kind: &'static str,
    /// The terms over the steps that are remembered.
    statistics: existing::Summaries,
    /// What it did.
    interventions: Done,
    /// Steps so far.
    steps: u64,
    /// Interventions so far.
    intervention_count: u64,
    /// Nigredos among the last 1,000 interventions.
    nigredo_count: u64,
    /// Albedos among the last 1,000 interventions.
    albedo_count: u64,
    /// Those of the last 1,000 that were never acknowledged in time.
    expired_count: u64,
    /// Steps since the last one.
    steps_since_intervention: u64,
    /// Steps that are remembered.
    history_size: u64,
    /// What is measured against.
    thresholds: existing::Thresholds,
}

/// Apply a nigredo by hand
///
/// The answer to the next step of the swarm `default` tells its agents to start afresh.
#[utoipa::path(post, path = "/guardian/nigredo", tag = "existing-clients",
    extensions(("x-scopes" = json!(["operate"]))),
    responses(
        (status = 200, description = "It is on its way.", body = Applied),
        (status = 404, description = "`swarm_not_found`: take a step first."),
        (status = 410, description = "`swarm_deleted`: take a step first."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn apply_nigredo(State(state): State<AppState>) -> ApiResult<Json<Applied>> {
    apply(&state, InterventionKind::Nigredo).await
}

/// Apply an albedo by hand
///
/// The answer to the next step of the swarm `default` tells its agents to explore more.
#[utoipa::path(post, path = "/guardian/albedo", tag = "existing-clients",
    extensions(("x-scopes" = json!(["operate"]))),
    responses(
        (status = 200, description = "It is on its way.", body = Applied),
        (status = 404, description = "`swarm_not_found`: take a step first."),
        (status = 410, description = "`swarm_deleted`: take a step first."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn apply_albedo(State(state): State<AppState>) -> ApiResult<Json<Applied>> {
    apply(&state, InterventionKind::Albedo).await
}

/// Get the guardian's status
///
/// What it thinks of the last step of the swarm `default`.
#[utoipa::path(get, path = "/guardian/status", tag = "existing-clients",
    responses((status = 200, description = "Its view of the last step.", body = Status)))]
async fn get_guardian_status(State(state): State<AppState>) -> ApiResult<Json<Status>> {
    let view = on_default(&state, existing::guardian).await?;
    let (current_threat, current_threat_reason) = (view.red_flag, view.reason.clone());
    Ok(Json(Status { view, current_threat, current_threat_reason }))
}

/// Get the guardian's statistics
///
/// Its interventions in the swarm `default` so far, by kind, and what it measures against.
#[utoipa::path(get, path = "/guardian/statistics", tag = "existing-clients",
    responses((status = 200, description = "What it has done so far.", body = Statistics)))]
async fn get_guardian_statistics(State(state): State<AppState>) -> ApiResult<Json<Statistics>> {
    let statistics = on_default(&state, |entry| {
        let view = existing::guardian(entry);
        let records: Vec<_> = entry
            .field()
            .into_iter()
            .flat_map(|field| field.interventions())
            .map(|(_, r)| conversion::record(r))
            .collect();
        let of = |kind| records.iter().filter(|r| r.intervention.kind == kind).count() as u64;
        Statistics {
            kind: "advanced",
            statistics: existing::summaries(entry),
            interventions: Done {
                total: view.intervention_count,
                last_step: entry
                    .field()
                    .and_then(|field| field.last_intervention_at())
                    .map(|window| window + 1),
                current_red_flag: view.red_flag,
                current_reason: view.reason.clone(),
            },
            steps: entry.field().map_or(0, |field| field.next_window()),
            intervention_count: view.intervention_count,
            nigredo_count: of(InterventionKind::Nigredo),
            albedo_count: of(InterventionKind::Albedo),
            expired_count: records.iter().filter(|r| r.status == InterventionStatus::Expired).count() as u64,
            steps_since_intervention: view.steps_since_intervention,
            history_size: view.history_size,
            thresholds: view.thresholds,
        }
    });
    Ok(Json(statistics.await?))
}

async fn apply(state: &AppState, kind: InterventionKind) -> ApiResult<Json<Applied>> {
    let record = existing::intervene(state, kind).await?;
    Ok(Json(Applied {
        intervention: kind.name(),
        action: kind.name(),
        success: true,
        id: record.intervention.id,
        status: "issued",
        step: record.intervention.issued_at_window + 1,
        timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
    }))
}

/// What is true of the swarm `default`, which before its first step is a swarm of which nothing is known.
async fn on_default<T>(state: &AppState, look: impl FnOnce(&Entry) -> T) -> Result<T, SwarmError> {
    match state.swarm(DEFAULT_SWARM).await {
        Ok(swarm) => Ok(look(&swarm)),
        Err(SwarmError::NotFound(_) | SwarmError::Deleted(_)) => Ok(look(&Entry::new(DEFAULT_SWARM))),
        Err(error) => Err(error),
    }
}
