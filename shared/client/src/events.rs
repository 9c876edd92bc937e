//! Reading a stream of server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::time::Duration;

use api::trainer::RunEvent;
use reqwest::Response;

use crate::{ClientError, connection};

/// The trainer sends a comment every 15 s when there is nothing to tell; who hears nothing for so long is
/// cut off from it.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// No event is as long; another program may send a line without end.
const LONGEST_EVENT_BYTES: usize = 16 << 20;

/// A run's events, as they come.
#[derive(Debug)]
pub struct RunEvents {
    url: String,
    response: Response,
    frames: Frames,
}

impl RunEvents {
    pub(crate) fn new(url: String, response: Response) -> Self {
        Self { url, response, frames: Frames::default() }
    }

    /// The next event; `None` when the trainer closed the stream, which it does after
    /// [`RunEvent::End`] and when it shuts down. Events that this version does not know are passed over.
    ///
    /// # Errors
    /// The connection broke or is silent for a minute (both are transient: ask again from the last window
    /// on), or an event cannot be read.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, ClientError> {
        loop {
            while let Some(frame) = self.frames.next() {
                if let Some(event) = self.read(&frame)? {
                    return Ok(Some(event));
                }
            }
            let chunk = match tokio::time::timeout(LONGEST_SILENCE, self.response.chunk()).await {
                Err(_) => return Err(self.silent()),
                Ok(chunk) => {
                    chunk.map_err(|source| connection::failed(&self.url, LONGEST_SILENCE, source))?
                }
            };
            match chunk {
                None => return Ok(None),
                Some(bytes) if self.frames.buffered() + bytes.len() > LONGEST_EVENT_BYTES => {
                    return Err(self.unexpected("an event is longer than 16 MiB".to_owned()));
                }
                Some(bytes) => self.frames.push(&bytes),
            }
        }
    }

    fn read(&self, frame: &Frame) -> Result<Option<RunEvent>, ClientError> {
        if !matches!(frame.event.as_str(), "progress" | "window" | "intervention" | "end") {
            return Ok(None);
        }
        let text = format!("{{\"event\":\"{}\",\"data\":{}}}", frame.event, frame.data);
        serde_json::from_str(&text).map(Some).map_err(|error| self.unexpected(error.to_string()))
    }

    fn silent(&self) -> ClientError {
        ClientError::TimedOut { url: self.url.clone(), after: LONGEST_SILENCE }
    }

    fn unexpected(&self, detail: String) -> ClientError {
        let status = self.response.status().as_u16();
        ClientError::InvalidAnswer { url: self.url.clone(), status, detail }
    }
}

/// One event as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Frame {
    event: String,
    data: String,
}

/// Bytes that came, and the event under way.
#[derive(Debug, Default)]
struct Frames {
    bytes: Vec<u8>,
    /// How many of them were read.
    read: usize,
    frame: Frame,
}

impl Frames {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that are no whole event yet.
    fn buffered(&self) -> usize {
        self.bytes.len() - self.read + self.frame.data.len()
    }

    /// The next event that is whole. One without data is none.
    fn next(&mut self) -> Option<Frame> {
        loop {
            let line = &self.bytes[self.read..];
            let end = line.iter().position(|byte| *byte == b'\n')?;
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            self.read += end + 1;
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.is_empty() {
                let frame = std::mem::take(&mut self.frame);
                if !frame.data.is_empty() {
                    return Some(frame);
                }
                continue;
            }
            // A line that begins with a colon is a comment.
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => self.frame.event = value.to_owned(),
                "data" => {
                    if !self.frame.data.is_empty() {
                        self.frame.data.push('\n');
                    }
                    self.frame.data.push_str(value);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            frames.push(chunk);
            seen.extend(std::iter::from_fn(|| frames.next()).map(|frame| (frame.event, frame.data)));
        }
        seen
    }

    #[test]
    fn events_are_the_same_wherever_the_stream_is_cut() {
        let stream =
            "event: window\nid: 3\ndata: {\"Ψ\":1,\ndata: \"b\":2}\n\n:\n\nevent:end\r\ndata:{}\r\n\r\n";
        let whole = read(&[stream.as_bytes()]);
        let window = ("window".to_owned(), "{\"Ψ\":1,\n\"b\":2}".to_owned());
        assert_eq!(whole, [window, ("end".to_owned(), "{}".to_owned())]);
        for cut in 0..stream.len() {
            assert_eq!(read(&[&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]]), whole, "{cut}");
        }
    }

    #[test]
    fn comments_and_an_event_that_is_not_whole_are_no_events() {
        assert_eq!(read(&[b":\n\n: still here\n\n"]), []);
        assert_eq!(read(&[b"event: window\ndata: {}\n"]), []);
    }
}
