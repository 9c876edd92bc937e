//! Reading a stream of server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::trainer::RunEvent;
use bytes::Bytes;
use eventsource_stream::{Event, EventStream, EventStreamError};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use reqwest::Response;

use crate::{ClientError, connection};

/// The trainer sends a comment every 15 s when there is nothing to tell; who hears nothing for so long is
/// cut off from it.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// No event is as long; another program may send a line without end.
const LONGEST_EVENT_BYTES: usize = 16 << 20;

/// A run's events, as they come.
pub struct RunEvents {
    url: String,
    status: u16,
    events: BoxStream<'static, Result<Event, EventStreamError<ClientError>>>,
    /// How many bytes have come since the last event.
    bytes: Arc<AtomicUsize>,
}

impl fmt::Debug for RunEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunEvents").field("url", &self.url).finish_non_exhaustive()
    }
}

impl RunEvents {
    pub(crate) fn new(url: String, response: Response) -> Self {
        let (status, bytes) = (response.status().as_u16(), Arc::new(AtomicUsize::new(0)));
        let events = EventStream::new(body(url.clone(), response, bytes.clone())).boxed();
        Self { url, status, events, bytes }
    }

    /// The next event; `None` when the trainer closed the stream, which it does after
    /// [`RunEvent::End`] and when it shuts down. Events that this version does not know are passed over.
    ///
    /// # Errors
    /// The connection broke or is silent for a minute (both are transient: ask again from the last window
    /// on), or an event cannot be read.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, ClientError> {
        while let Some(event) = self.events.next().await {
            self.bytes.store(0, Ordering::Relaxed);
            let event = event.map_err(|error| match error {
                EventStreamError::Transport(error) => error,
                other => self.unexpected(other.to_string()),
            })?;
            if let Some(event) = self.read(&event)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn read(&self, event: &Event) -> Result<Option<RunEvent>, ClientError> {
        if !matches!(event.event.as_str(), "progress" | "window" | "intervention" | "end") {
            return Ok(None);
        }
        let text = format!("{{\"event\":\"{}\",\"data\":{}}}", event.event, event.data);
        serde_json::from_str(&text).map(Some).map_err(|error| self.unexpected(error.to_string()))
    }

    fn unexpected(&self, detail: String) -> ClientError {
        ClientError::InvalidAnswer { url: self.url.clone(), status: self.status, detail }
    }
}

/// The answer's bytes; an error ends them when nothing comes for too long, or too much since the last event.
fn body(
    url: String,
    response: Response,
    since_event: Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Bytes, ClientError>> {
    stream::try_unfold((url, response, since_event), async |(url, mut response, since_event)| {
        let chunk = match tokio::time::timeout(LONGEST_SILENCE, response.chunk()).await {
            Err(_) => return Err(ClientError::TimedOut { url, after: LONGEST_SILENCE }),
            Ok(chunk) => chunk.map_err(|source| connection::failed(&url, LONGEST_SILENCE, source))?,
        };
        let Some(bytes) = chunk else { return Ok(None) };
        if since_event.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len() > LONGEST_EVENT_BYTES {
            let detail = "an event is longer than 16 MiB".to_owned();
            return Err(ClientError::InvalidAnswer { url, status: response.status().as_u16(), detail });
        }
        Ok(Some((bytes, (url, response, since_event))))
    })
}
