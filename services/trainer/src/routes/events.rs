use std::{collections::VecDeque, convert::Infallible, time::Duration};

use api::trainer::RunEvent;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use service_kit::{ApiError, ApiResult, Path};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{events::Follower, runs::Runs, state::AppState};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_run_events))
}

/// How often a reader looks: windows may come by the thousand a second, and nobody sees more than this.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Within this time something is sent, so that no proxy takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The id of the last event.
const END: &str = "end";

/// Get a run's events
///
/// Server-sent events: `progress` (the run's state and progress), `window` (its metrics; the event's id is the
/// window's number), `intervention` (applied; it comes before its window), and finally `end` (the run as it ended), after
/// which the stream closes. A comment is sent every 15 s when nothing happens. The stream begins with the oldest window
/// that is kept, or after the one in `Last-Event-ID`, which browsers send by themselves when they reconnect; a client that
/// has seen the end gets 204. When the trainer shuts down, the stream closes without `end`.
#[utoipa::path(get, path = "/v1/runs/{id}/events", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."),
        ("Last-Event-ID" = Option<String>, Header,
            description = "The number of the last window that the reader has.")),
    responses(
        (status = 200, description = "The events. `event` is the event's name, `data` its data.",
            body = RunEvent, content_type = "text/event-stream"),
        (status = 204, description = "`Last-Event-ID` is `end`: nothing more will come."),
        (status = 404, description = "`run_not_found`."),
        (status = 422, description = "`invalid_request`: `Last-Event-ID` is not the id of an event.")))]
async fn get_run_events(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let run = state.run(id).await?;
    let after = match headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default()) {
        None | Some("") => None,
        Some(END) => return Ok(StatusCode::NO_CONTENT.into_response()),
        Some(window) => Some(window.parse::<u64>().map_err(|_| not_an_id())?),
    };
    let runs = state.runs().await?;
    // What was told before a restart is in the run's checkpoint.
    runs.with_history(&run, |_| ()).await?;
    let reader = Reader {
        follower: Follower::new(run, after),
        events: VecDeque::new(),
        ended: false,
        runs: runs.clone(),
    };
    let events = stream::unfold(reader, |mut reader| async {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

struct Reader {
    follower: Follower,
    events: VecDeque<RunEvent>,
    ended: bool,
    runs: Runs,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                self.ended = matches!(event, RunEvent::End(_));
                return Some(sent(event));
            }
            if self.ended {
                return None;
            }
            // Asked before reading: what was kept when the trainer began to shut down is still told, because the
            // next start keeps no window from before the run's checkpoint.
            let closing = self.runs.shutdown().is_cancelled();
            self.events = self.follower.read(&self.runs).await.into();
            if self.events.is_empty() {
                if closing {
                    return None;
                }
                let pause = tokio::time::sleep(LOOK_EVERY);
                self.runs.shutdown().run_until_cancelled(pause).await;
            }
        }
    }
}

fn sent(event: RunEvent) -> Event {
    let (name, id, data) = match event {
        RunEvent::Progress(progress) => ("progress", None, Event::default().json_data(progress)),
        RunEvent::Window(window) => {
            ("window", Some(window.window.to_string()), Event::default().json_data(window))
        }
        RunEvent::Intervention(intervention) => {
            ("intervention", None, Event::default().json_data(intervention))
        }
        RunEvent::End(run) => ("end", Some(END.to_owned()), Event::default().json_data(run)),
    };
    // Structs of texts and numbers always have JSON.
    let event = data.unwrap_or_default().event(name);
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}

fn not_an_id() -> ApiError {
    let detail = "expected the id of the last event that was read, which is a window's number or `end`";
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_request",
        format!("The header `Last-Event-ID` is not valid: {detail}."),
    )
}
