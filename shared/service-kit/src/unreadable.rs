//! Requests that hyper cannot read. It answers them itself, with a status and no body, and nobody above it hears of
//! them; here that answer is held back, and the service's own takes its place: a problem, logged and counted as all. To
//! one whose headers do not come to an end hyper says nothing; it gets such an answer too.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    sync::oneshot,
};
use tower::ServiceExt as _;

use crate::{ApiError, boundary::REQUEST_ID};

/// Marks the request that stands for one that could not be read, with the status that hyper gave it.
#[derive(Clone, Copy)]
struct Unreadable(StatusCode);

/// Answers what could not be read: 408 `request_timeout`, 414 `target_too_long`, 431 `headers_too_large`, else 400
/// `malformed_request`.
pub(crate) async fn answer(request: Request, next: Next) -> Response {
    let Some(&Unreadable(status)) = request.extensions().get() else { return next.run(request).await };
    let (code, detail) = match status {
        StatusCode::REQUEST_TIMEOUT => (
            "request_timeout",
            "The request's headers did not come to their end in time (the setting `request_timeout_seconds`). Send it \
             again.",
        ),
        StatusCode::URI_TOO_LONG => (
            "target_too_long",
            "The request's target, path and query together, is longer than 65,534 bytes. Ask for less at once, or in \
             pages.",
        ),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            "headers_too_large",
            "The request has more than 100 headers, or they are longer than 400 KiB together. Send fewer or shorter \
             ones.",
        ),
        _ => (
            "malformed_request",
            "The request is not HTTP: its first line, a header, or the length of its body cannot be read. A target has \
             no blanks and control characters (percent-encode them), a header's value no line breaks.",
        ),
    };
    ApiError::new(status, code, detail).into_response()
}

/// A connection whose stream comes back when hyper is done with it, with the answer that hyper made by itself.
pub(crate) struct Wire {
    /// Taken only when it is dropped.
    stream: Option<TcpStream>,
    held: Vec<u8>,
    /// Whether something came since something was said: the beginning of a request.
    begun: bool,
    back: Option<oneshot::Sender<Returned>>,
}

/// What comes back.
pub(crate) struct Returned {
    stream: TcpStream,
    /// The last thing written, when it looks like an answer of hyper's own.
    held: Vec<u8>,
    begun: bool,
}

/// How hyper was done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing is missing.
    Whole,
    /// Its last request could not be read.
    Unreadable,
    /// Nothing came any more, or the head of a request did not come to its end.
    TooSlow,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Self, oneshot::Receiver<Returned>) {
        let (back, returned) = oneshot::channel();
        (Self { stream: Some(stream), held: Vec::new(), begun: false, back: Some(back) }, returned)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Writes what was held back: something came after it, so it was no last word.
    fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let written = self.stream()?.poll_write(context, &held);
            self.held = held;
            let count = ready!(written)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for it when the whole connection is dropped.
            let _ = back.send(Returned { stream, held: std::mem::take(&mut self.held), begun: self.begun });
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // After an answer of its own hyper reads no more.
        ready!(self.poll_release(context))?;
        let before = buffer.filled().len();
        let read = self.stream()?.poll_read(context, buffer);
        self.begun |= buffer.filled().len() > before;
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_release(context))?;
        self.begun = false;
        match own_answer(bytes) {
            Some(0) => {
                self.held = bytes.to_vec();
                Poll::Ready(Ok(bytes.len()))
            }
            Some(begin) => self.stream()?.poll_write(context, &bytes[..begin]),
            None => self.stream()?.poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer of hyper's own has no body, which is what the other slices are for.
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        if let (Some(only), None) = (filled.next(), filled.next()) {
            return self.poll_write(context, only);
        }
        ready!(self.poll_release(context))?;
        self.begun = false;
        self.stream()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true // as a TCP stream is
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // by `Returned`, after the last word
    }
}

impl Returned {
    /// Ends the connection. When its last request could not be read, `app` has the last word.
    pub(crate) async fn end(mut self, end: End, app: Router) -> io::Result<()> {
        let too_slow = end == End::TooSlow && self.begun;
        if too_slow {
            let now = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT"); // RFC 9110, section 5.6.7
            let head =
                format!("{VERSION_1_1} 408 Request Timeout\r\nconnection: close\r\ndate: {now}\r\n\r\n");
            self.held = head.into_bytes();
        }
        match status_of(&self.held).filter(|_| too_slow || end == End::Unreadable) {
            None => {
                self.stream.write_all(&self.held).await?;
                self.stream.shutdown().await
            }
            Some(status) => {
                let answer = self.answer(status, app).await?;
                self.stream.write_all(&answer).await?;
                self.stream.shutdown().await?;
                self.drain().await
            }
        }
    }

    /// The service's answer as it goes over the wire: hyper's with more headers and a body.
    async fn answer(&self, status: StatusCode, app: Router) -> io::Result<Vec<u8>> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static("*"); // nobody knows what it asked for
        *request.method_mut() = Method::from_bytes(b"UNREADABLE").unwrap_or_default();
        request.extensions_mut().insert(Unreadable(status));
        let (head, body) = app.oneshot(request).await.unwrap_or_else(|never| match never {}).into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let mut answer = Vec::new();
        for line in self.held.split_inclusive(|&byte| byte == b'\n') {
            if line != b"\r\n" && !line.to_ascii_lowercase().starts_with(LENGTH) {
                answer.extend_from_slice(line);
            }
        }
        for (name, value) in
            head.headers.iter().filter(|(name, _)| *name != axum::http::header::CONTENT_LENGTH)
        {
            answer.extend_from_slice(name.as_str().as_bytes());
            answer.extend_from_slice(b": ");
            answer.extend_from_slice(value.as_bytes());
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        answer.extend_from_slice(&body);
        Ok(answer)
    }

    /// Reads on and throws away: who is still sending would else find the connection reset, and never see the answer.
    async fn drain(&mut self) -> io::Result<()> {
        let mut rest = (&mut self.stream).take(DRAINED_BYTES);
        let drained =
            tokio::time::timeout(DRAINED_FOR, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
        drained.unwrap_or(Ok(0)).map(drop)
    }
}

/// How much is read of what comes after a request that could not be read, and for how long.
const DRAINED_BYTES: u64 = 16 << 20;
const DRAINED_FOR: Duration = Duration::from_secs(2);

const LENGTH: &[u8] = b"content-length:";

/// Longer than any answer that hyper makes by itself.
const LONGEST_OWN_ANSWER: usize = 300;

/// Where in these bytes an answer of hyper's own begins that they end with: an error without a body, and without the
/// id that every answer of the service has. What only looks like one is written a moment later all the same.
fn own_answer(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let tail = bytes.len().saturating_sub(LONGEST_OWN_ANSWER);
    let begin = tail + bytes[tail..].windows(VERSION.len()).rposition(|window| window == VERSION)?;
    let head = bytes[begin..].to_ascii_lowercase();
    let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
    let own = has(b"\r\ncontent-length: 0\r\n") && !has(REQUEST_ID.as_str().as_bytes());
    (own && status_of(&bytes[begin..]).is_some()).then_some(begin)
}

const VERSION: &[u8] = b"HTTP/1.";
const VERSION_1_1: &str = "HTTP/1.1";

/// The status of an answer that is an error of the caller's: `HTTP/1.1 431 …`.
fn status_of(head: &[u8]) -> Option<StatusCode> {
    let status = StatusCode::from_bytes(head.strip_prefix(VERSION)?.get(2..5)?).ok()?;
    status.is_client_error().then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_services_own_is_not_taken_for_hypers() {
        let hypers =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(own_answer(hypers), Some(0));
        assert_eq!(own_answer(&[b"the end of a body".as_slice(), hypers].concat()), Some(17));
        for other in [
            "HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nx",
            "0\r\n\r\n",
            "",
        ] {
            assert_eq!(own_answer(other.as_bytes()), None, "{other}");
        }
    }
}
