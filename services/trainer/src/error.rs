//! What callers are told of what went wrong: the one place where errors become HTTP.

use axum::http::StatusCode;
use client::LedgerError;
use service_kit::ApiError;

use crate::{
    checkpoint::CheckpointError,
    deployments::{DeployError, TellError},
    environments::{MakeError, TurnError},
    federation::{ExcludeError, FederationError, NotUnderstood},
    policies::ImportError,
    runs::{CancelError, CreateError, HistoryError, PauseError, RewindError},
    serving::{OutcomeError, ServeError},
};

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        let conflict = |code, detail| Self::new(StatusCode::CONFLICT, code, detail);
        let invalid = |errors: Vec<api::FieldError>| {
            let places: Vec<_> = errors.iter().map(|e| format!("`{}`: {}", e.pointer, e.detail)).collect();
            let detail = format!("The run is not valid: {}.", places.join("; "));
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).with_errors(errors)
        };
        let of_field = |pointer: &str, detail: String| {
            invalid(vec![api::FieldError { pointer: pointer.to_owned(), detail }])
        };
        let text = error.to_string();
        match error {
            CreateError::Invalid(errors) => invalid(errors),
            CreateError::KeyReused(_) => key_reused(&text),
            CreateError::TooMany(_) => {
                let detail = format!("{text}. Wait for some to end, or cancel some.");
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_runs", detail)
                    .retry_after(std::time::Duration::from_secs(30))
            }
            CreateError::Checkpoint { pointer, error } => match error {
                CheckpointError::OfAnotherRun(_) => conflict("checkpoint_of_another_run", format!("{text}.")),
                CheckpointError::NotForkable(_) => conflict("checkpoint_not_forkable", format!("{text}.")),
                CheckpointError::Complete { .. } => conflict("run_already_complete", format!("{text}.")),
                CheckpointError::NotACheckpoint(_) | CheckpointError::Changed { .. } => {
                    of_field(pointer, text)
                }
            },
            CreateError::CheckpointMissing { pointer, name } => of_field(
                pointer,
                format!(
                    "the remembrancer has no artifact {name}: PUT the checkpoint file there first, to \
                     /v1/artifacts/{name}"
                ),
            ),
            CreateError::PriorMissing(name) => of_field(
                "/prior",
                format!(
                    "the remembrancer has no artifact {name}: PUT the prior there first, to /v1/artifacts/{name}"
                ),
            ),
            CreateError::Prior(_) => of_field("/prior", text),
            CreateError::Ledger(cause) => ledger_problem(cause),
            CreateError::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<FederationError> for ApiError {
    fn from(error: FederationError) -> Self {
        match error {
            FederationError::Ledger(error) => ledger_problem(error),
            error => Self::internal(error),
        }
    }
}

impl From<ExcludeError> for ApiError {
    fn from(error: ExcludeError) -> Self {
        match error {
            ExcludeError::Node(error) => error.into(),
            error => {
                let errors = vec![api::FieldError { pointer: "/author".into(), detail: error.to_string() }];
                invalid_body("exclusion", errors)
            }
        }
    }
}

impl From<NotUnderstood> for ApiError {
    fn from(error: NotUnderstood) -> Self {
        let at =
            |pointer: String, detail: String| invalid_body("talk", vec![api::FieldError { pointer, detail }]);
        match error {
            NotUnderstood::Node(error) => error.into(),
            NotUnderstood::From(error) => {
                at("/from".into(), format!("expected the verifier key of a log: {error}"))
            }
            NotUnderstood::Message(number, error) => at(format!("/messages/{number}"), error.to_string()),
        }
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        let status = match error {
            CancelError::Ended(status) => status,
            CancelError::Ledger(error) => return ledger_problem(error),
        };
        let status = status.name();
        let detail = format!("The run has already ended ({status}); there is nothing to cancel.");
        Self::new(StatusCode::CONFLICT, "run_already_ended", detail)
    }
}

impl From<PauseError> for ApiError {
    fn from(error: PauseError) -> Self {
        let conflict = |code, detail: String| Self::new(StatusCode::CONFLICT, code, detail);
        match error {
            PauseError::Ended(status) => conflict(
                "run_already_ended",
                format!("The run has already ended ({}): it can neither be paused nor resumed.", status.name()),
            ),
            PauseError::Cancelled => conflict(
                "run_is_ending",
                "The run was cancelled and ends after the episode under way. To continue from its checkpoint then, \
                 start a run with `resume_from`."
                    .into(),
            ),
            PauseError::AlreadyPaused => conflict(
                "run_already_paused",
                "The run is paused, or will be at the end of its step; POST to its `resume` to continue it."
                    .into(),
            ),
            PauseError::NotPaused => conflict(
                "run_not_paused",
                "The run is not paused, so that there is nothing to resume; POST to its `pause` to pause it."
                    .into(),
            ),
            PauseError::Ledger(cause) => ledger_problem(cause),
        }
    }
}

impl From<RewindError> for ApiError {
    fn from(error: RewindError) -> Self {
        match error {
            RewindError::Where => {
                let detail = format!("{error}: name one of them, and not both");
                let field =
                    |pointer: &str| api::FieldError { pointer: pointer.into(), detail: detail.clone() };
                Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "invalid_request",
                    format!("The rewind is not valid: {detail}."),
                )
                .with_errors(vec![field("/episodes_done"), field("/checkpoint")])
            }
            RewindError::NoCheckpoint(episodes) => {
                let there = match episodes.as_slice() {
                    [] => "It has none yet".to_owned(),
                    episodes => {
                        let numbers: Vec<_> = episodes.iter().rev().take(20).map(u32::to_string).collect();
                        format!("It has checkpoints at the episodes {}, the newest first", numbers.join(", "))
                    }
                };
                let detail =
                    format!("The run has no such checkpoint. {there}; `GET` its `checkpoints` lists all.");
                Self::new(StatusCode::NOT_FOUND, "checkpoint_not_found", detail)
            }
            RewindError::Create(CreateError::Invalid(mut errors)) => {
                // the settings are beside the other fields of a rewind
                for error in &mut errors {
                    error.pointer = error.pointer.replacen("/algorithm/", "/", 1);
                }
                invalid_body("rewind", errors)
            }
            RewindError::Create(error) => error.into(),
        }
    }
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Invalid(errors) => invalid_body("policy", errors),
            ImportError::OfAnotherCatalog { pointer, detail } => {
                let errors = vec![api::FieldError { pointer: pointer.to_owned(), detail: detail.clone() }];
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "policy_of_another_catalog", format!("{detail}."))
                    .with_errors(errors)
            }
            ImportError::Ledger(error) => ledger_problem(error),
            ImportError::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<ServeError> for ApiError {
    fn from(error: ServeError) -> Self {
        let text = error.to_string();
        match error {
            ServeError::Invalid(errors) => invalid_body("call", errors),
            ServeError::KeyReused => key_reused(&text),
            ServeError::FileMissing(name) => Self::new(
                StatusCode::NOT_FOUND,
                "policy_file_missing",
                format!("{text}: PUT it there again, to /v1/artifacts/{name}."),
            ),
            ServeError::Busy => Self::unavailable(
                "policy_busy",
                "The policy is at work on as many calls as it can decide now. Repeat the request, with the same \
                 Idempotency-Key if it had one.",
                text,
            ),
            ServeError::Ledger(error) => ledger_problem(error),
            ServeError::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<OutcomeError> for ApiError {
    fn from(error: OutcomeError) -> Self {
        let conflict = |code, detail| Self::new(StatusCode::CONFLICT, code, detail);
        match error {
            OutcomeError::NotFound(id) => {
                let detail = format!(
                    "No policy of this trainer served the decision `{id}`: send the `id` of a decision as \
                     `POST /v1/policies/{{id}}/decisions` answered it."
                );
                Self::new(StatusCode::NOT_FOUND, "decision_not_found", detail)
            }
            OutcomeError::NotRouted(id) => conflict(
                "decision_not_routed",
                format!(
                    "The decision `{id}` sent its request to no provider, so there is no outcome to tell."
                ),
            ),
            OutcomeError::Conflict(id) => conflict(
                "outcome_conflict",
                format!(
                    "Another outcome of the decision `{id}` is recorded; nothing was written. An outcome is told \
                     once: `GET /v1/decisions/{id}` shows it."
                ),
            ),
            OutcomeError::Ledger(error) => ledger_problem(error),
            error @ OutcomeError::Record(_) => Self::internal(error),
        }
    }
}

impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        let conflict = |code, detail| Self::new(StatusCode::CONFLICT, code, detail);
        let text = error.to_string();
        match error {
            DeployError::Invalid(errors) => invalid_body("call", errors),
            DeployError::NotFound(_) => Self::new(
                StatusCode::NOT_FOUND,
                "deployment_not_found",
                format!("{text}: `GET /v1/deployments` lists those that there are."),
            ),
            DeployError::Exists(_) => conflict(
                "deployment_exists",
                format!("{text}, with other settings; nothing was written. Choose another name."),
            ),
            DeployError::Stopped(_) => conflict(
                "deployment_stopped",
                format!("{text}: it takes no requests any more. Deploy its policy under another name."),
            ),
            DeployError::KeyReused => key_reused(&text),
            DeployError::KeyInUse => conflict(
                "idempotency_key_in_use",
                format!("{text}: repeat it in a second, and it gets the same answer."),
            )
            .retry_after(std::time::Duration::from_secs(1)),
            DeployError::OutcomeConflict(id) => OutcomeError::Conflict(id).into(),
            DeployError::NotDeferred(id) => Self::new(
                StatusCode::NOT_FOUND,
                "not_deferred",
                format!(
                    "The decision `{id}` deferred no request of this deployment, or that was more than a window ago: `GET \
                     /v1/decisions/{id}` shows every decision."
                ),
            ),
            DeployError::NoChallenger => conflict(
                "no_challenger",
                format!(
                    "{text}: `GET /v1/deployments/{{name}}` lists its challengers and where each stands."
                ),
            ),
            DeployError::NotReady(why) => conflict(
                "challenger_not_ready",
                format!("The shadow cannot be promoted: {why}. Nothing was changed."),
            ),
            DeployError::Elsewhere => Self::unavailable(
                "deployment_elsewhere",
                "Another trainer serves this deployment, or served it until just now: ask that one, or this one again when \
                 its lease has run out.",
                text,
            ),
            DeployError::JournalElsewhere(why) => {
                Self::unavailable("deployment_journal_elsewhere", format!("{why} Nothing was decided."), text)
            }
            DeployError::JournalDamaged(why) => conflict(
                "deployment_journal_damaged",
                format!("The journal of what was promised cannot be used: {why}."),
            ),
            DeployError::Journal(_) => Self::unavailable(
                "journal_unavailable",
                "What is promised is on the trainer's disk first, which did not take it. The trainer's log says why. Repeat the \
                 request.",
                text,
            ),
            DeployError::Full { most } => Self::unavailable(
                "promises_full",
                format!(
                    "The ledger is away or behind, and {most} decisions and records wait for it: no more may \
                     (`promise_buffer`). Nothing was decided. Repeat the request in a second."
                ),
                text,
            ),
            DeployError::Busy => Self::unavailable(
                "policy_busy",
                "As many calls as may wait for this deployment do. Repeat the request in a second.",
                text,
            ),
            DeployError::Damaged(what) => conflict(
                "deployment_cannot_continue",
                format!(
                    "The ledger does not give what this trainer makes of it: {what}. It was written by another version, with \
                     another policy file, or by somebody else. Deploy the policy under another name."
                ),
            ),
            DeployError::Away(_) => Self::unavailable(
                "remembrancer_unavailable",
                "What is answered here is in the ledger first, and the remembrancer did not answer in time. Repeat the \
                 request.",
                text,
            ),
            DeployError::Internal(_) => Self::internal(error),
        }
    }
}

impl From<TellError> for ApiError {
    fn from(error: TellError) -> Self {
        match error {
            TellError::Outcome(error) => error.into(),
            TellError::Deployment(error) => error.into(),
        }
    }
}

impl From<MakeError> for ApiError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Invalid(errors) => invalid_body("environment", errors),
            MakeError::TooMany(most) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_environments",
                format!(
                    "{most} environments are played, and no more may be (`max_environments`): DELETE one, or wait until one \
                     was idle for too long."
                ),
            )
            .retry_after(std::time::Duration::from_secs(30)),
            MakeError::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<TurnError> for ApiError {
    fn from(error: TurnError) -> Self {
        match error {
            TurnError::NotFound(id) => {
                let detail = format!(
                    "There is no environment `{id}` on this trainer: it was deleted, was idle for too long, or the trainer \
                     was restarted. `POST /v1/environments` makes one."
                );
                Self::new(StatusCode::NOT_FOUND, "environment_not_found", detail)
            }
            TurnError::AnotherTurn { expected } => {
                let detail = format!(
                    "Turn {expected} is to be decided; nothing was played. `GET` the environment to see what it asks."
                );
                Self::new(StatusCode::CONFLICT, "another_turn", detail)
            }
            TurnError::Invalid(errors) => invalid_body("turn", errors),
        }
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Ledger(cause) if cause.is_away() => Self::unavailable(
                "remembrancer_unavailable",
                "The figures of this run are in its checkpoint in the remembrancer, which cannot be reached now. Try \
                 again in a second.",
                cause,
            ),
            HistoryError::Missing(_) => Self::new(
                StatusCode::NOT_FOUND,
                "checkpoint_not_found",
                "The figures of this run are in its checkpoint, which the remembrancer does not have any more. PUT \
                 the checkpoint file under /v1/artifacts there to see them again.",
            ),
            HistoryError::NoWindows => Self::new(
                StatusCode::NOT_FOUND,
                "windows_not_kept",
                "An earlier version recorded this run, which did not keep windows after the run had ended. Its figures by \
                 episode are there: ask with `resolution=episode`.",
            ),
            error => Self::internal(error),
        }
    }
}

/// 409 for an Idempotency-Key that came with another request before.
fn key_reused(text: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "idempotency_key_reused", format!("{text}. Use a new key."))
}

/// 422 for a body whose fields are wrong; `what` is what the body is.
fn invalid_body(what: &str, errors: Vec<api::FieldError>) -> ApiError {
    let places: Vec<_> = errors.iter().map(|e| format!("`{}`: {}", e.pointer, e.detail)).collect();
    let detail = format!("The {what} is not valid: {}.", places.join("; "));
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).with_errors(errors)
}

/// What a caller is told when the ledger did not do what the request needs.
pub(crate) fn ledger_problem(error: LedgerError) -> ApiError {
    match error {
        LedgerError::Away(_) | LedgerError::ShuttingDown => ApiError::unavailable(
            "remembrancer_unavailable",
            "What is answered here is in the ledger first, and the remembrancer did not answer in time. Repeat the \
             request, with the same Idempotency-Key if it had one.",
            error,
        ),
        error => ApiError::internal(error),
    }
}
