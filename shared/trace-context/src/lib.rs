//! W3C trace context (<https://www.w3.org/TR/trace-context/>, level 1): one id for everything that one
//! call sets off, through all services.
//!
//! The service that takes a request [continues](Span::continued) its caller's trace and does its work
//! [within](within) that span; a client that makes a call meanwhile asks for the [`current`] context and
//! sends it along. What runs beside any request [begins](Span::begin) a trace of its own.

mod state;

use std::{future::Future, sync::Arc};

/// One service's part in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    trace_id: String,
    id: String,
    parent_id: Option<String>,
    sampled: bool,
    state: Option<String>,
}

/// What calls made within a span carry along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The caller's span.
    pub span: Span,
    /// The id of the request that is being served, so that one id finds its lines in every service's log.
    pub request_id: Option<String>,
}

impl Span {
    /// The first span of a new trace. It counts as sampled: every request leaves a log line with its trace.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            trace_id: uuid::Uuid::new_v4().simple().to_string(),
            id: new_span_id(),
            parent_id: None,
            sampled: true,
            state: None,
        }
    }

    /// A new span in the trace of a `traceparent` header. The `tracestate` headers, in their order, are
    /// passed on as they came; one that is not valid is dropped, and the trace goes on without it.
    ///
    /// `None` when `traceparent` is not valid (section 3.2): then nothing of it may be used, and a new
    /// trace [begins](Self::begin). Versions above `00` are read as far as `00` knows them (section 4).
    #[must_use]
    pub fn continued<'a>(traceparent: &str, tracestate: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (version, rest) = split_hex(traceparent, 2)?;
        let (trace_id, rest) = split_hex(rest.strip_prefix('-')?, 32)?;
        let (parent_id, rest) = split_hex(rest.strip_prefix('-')?, 16)?;
        let (flags, rest) = split_hex(rest.strip_prefix('-')?, 2)?;
        let ends_well = match version {
            "ff" => false,
            "00" => rest.is_empty(),
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        if !ends_well || all_zero(trace_id) || all_zero(parent_id) {
            return None;
        }
        Some(Self {
            trace_id: trace_id.to_owned(),
            id: new_span_id(),
            parent_id: Some(parent_id.to_owned()),
            // The other bits have no meaning in version 00 and are not passed on (section 3.2.2.5.2).
            sampled: u8::from_str_radix(flags, 16).ok()? & SAMPLED != 0,
            state: state::combined(tracestate),
        })
    }

    /// The trace: 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// This span: 16 lower-case hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The caller's span, if the trace did not begin here.
    #[must_use]
    pub fn parent_id(&self) -> Option<&str> {
        self.parent_id.as_deref()
    }

    /// The `traceparent` of a call that is made within this span.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.id, if self.sampled { SAMPLED } else { 0 })
    }

    /// The `tracestate` of such a call.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl From<Span> for Context {
    fn from(span: Span) -> Self {
        Self { span, request_id: None }
    }
}

/// Runs a future so that it finds `context` as the [`current`] one. Tasks that it spawns do not: what
/// outlives a request is no part of it.
pub async fn within<F: Future>(context: impl Into<Context>, future: F) -> F::Output {
    CURRENT.scope(Arc::new(context.into()), future).await
}

/// The context that the running task was given, if any.
#[must_use]
pub fn current() -> Option<Arc<Context>> {
    CURRENT.try_with(Clone::clone).ok()
}

tokio::task_local! {
    static CURRENT: Arc<Context>;
}

const SAMPLED: u8 = 1;

/// The second half of a random UUID: its variant bits are set, so that it is never all zeros.
fn new_span_id() -> String {
    uuid::Uuid::new_v4().simple().to_string().split_off(16)
}

/// The first `digits` characters when they are lower-case hex digits, and the rest.
fn split_hex(text: &str, digits: usize) -> Option<(&str, &str)> {
    let (head, rest) = text.split_at_checked(digits)?;
    head.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some((head, rest))
}

fn all_zero(hex: &str) -> bool {
    hex.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of section 3.2.3.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_continued_with_its_id_and_a_span_of_its_own() {
        let span = Span::continued(EXAMPLE, []).unwrap();
        assert_eq!(span.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.parent_id(), Some("00f067aa0ba902b7"));
        assert_ne!(span.id(), "00f067aa0ba902b7");
        assert_eq!(span.traceparent(), format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", span.id()));
        let next = Span::continued(&span.traceparent(), []).unwrap();
        assert_eq!((next.trace_id(), next.parent_id()), (span.trace_id(), Some(span.id())));
    }

    #[test]
    fn a_trace_that_begins_here_is_valid_and_its_own() {
        let (one, other) = (Span::begin(), Span::begin());
        assert_ne!(one.trace_id(), other.trace_id());
        assert_eq!(one.parent_id(), None);
        let read = Span::continued(&one.traceparent(), []).unwrap();
        assert_eq!((read.trace_id(), read.parent_id()), (one.trace_id(), Some(one.id())));
        assert!(one.traceparent().ends_with("-01"));
    }

    #[test]
    fn only_the_flag_that_version_00_knows_is_passed_on() {
        let flags = |flags: &str| {
            let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            Span::continued(&text, []).unwrap().traceparent()[53..].to_owned()
        };
        assert_eq!((flags("00").as_str(), flags("01").as_str()), ("00", "01"));
        assert_eq!((flags("fe").as_str(), flags("ff").as_str()), ("00", "01"));
    }

    #[test]
    fn what_the_text_forbids_is_not_continued() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.extra",
            "00-äbf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Span::continued(wrong, []), None, "{wrong}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for later in [
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
        ] {
            let span = Span::continued(later, []).unwrap();
            assert_eq!(span.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert!(span.traceparent().starts_with("00-"));
        }
    }

    #[test]
    fn tracestate_is_passed_on_in_order_and_dropped_alone_when_it_is_wrong() {
        let span = Span::continued(EXAMPLE, ["rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE"]).unwrap();
        assert_eq!(span.tracestate(), Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
        let span = Span::continued(EXAMPLE, ["no list"]).unwrap();
        assert_eq!((span.tracestate(), span.trace_id()), (None, "4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[tokio::test]
    async fn a_context_reaches_what_runs_within_it_and_nothing_beside_it() {
        assert_eq!(current(), None);
        let span = Span::begin();
        let (inside, spawned) = within(span.clone(), async {
            tokio::task::yield_now().await;
            (current(), tokio::spawn(async { current() }).await.unwrap())
        })
        .await;
        assert_eq!(inside.unwrap().span, span);
        assert_eq!(spawned, None);
        assert_eq!(current(), None);
    }
}
