//! A run's events: how they are read, wherever the stream is cut.

use api::trainer::{Progress, RunEvent, RunProgress, RunStatus};
use axum::{Router, body::Body, http::header, response::IntoResponse as _, routing::get};
use bytes::Bytes;
use client::{ClientError, Endpoint, RunEvents, Trainer};
use futures_util::stream;
use test_support::serve;
use uuid::Uuid;

/// The events of a trainer that sends these pieces and then ends.
async fn events(pieces: Vec<Bytes>) -> RunEvents {
    let answer = move || {
        let pieces = pieces.clone().into_iter().map(Ok::<_, std::io::Error>);
        let body = Body::from_stream(stream::iter(pieces));
        async { ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response() }
    };
    let url = format!("http://{}", serve(Router::new().route("/v1/runs/{id}/events", get(answer))).await);
    Trainer::new(Endpoint::new(url)).unwrap().events(Uuid::nil(), None).await.unwrap()
}

fn progress(waiting_for: &str) -> RunProgress {
    let progress = Progress { waiting_for: Some(waiting_for.to_owned()), ..Progress::default() };
    RunProgress { status: RunStatus::Running, progress }
}

#[tokio::test]
async fn events_are_the_same_wherever_the_stream_is_cut() {
    let (one, two) = (progress("Ψ"), progress("psi-field"));
    let data = |progress: &RunProgress| serde_json::to_string(progress).unwrap();
    // one line of data for each line of the text
    let lines = serde_json::to_string_pretty(&one).unwrap().replace('\n', "\ndata: ");
    let stream = format!(
        ": hello\n\nevent: progress\nid: 3\ndata: {lines}\n\n:\n\nevent: later version\ndata: {{}}\n\n\
         event:progress\r\ndata:{}\r\n\r\nevent: progress\ndata: {}\n",
        data(&two),
        data(&two)
    );
    for cut in 0..stream.len() {
        let (before, after) = stream.as_bytes().split_at(cut);
        let mut events = events(vec![Bytes::copy_from_slice(before), Bytes::copy_from_slice(after)]).await;
        for expected in [&one, &two] {
            assert_eq!(events.next().await.unwrap(), Some(RunEvent::Progress(expected.clone())), "{cut}");
        }
        assert_eq!(events.next().await.unwrap(), None, "an event that is not whole is none; cut at {cut}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    let mut events = events(vec![Bytes::from(vec![b'x'; 1 << 20]); 17]).await;
    let error = events.next().await.unwrap_err();
    assert!(
        matches!(&error, ClientError::InvalidAnswer { detail, .. } if detail.contains("16 MiB")),
        "{error}"
    );
}

#[tokio::test]
async fn many_events_may_be_longer_together_than_one_may_be() {
    let long = format!("event: unknown\ndata: {}\n\n", "x".repeat(1 << 20));
    let mut events = events(vec![Bytes::from(long); 20]).await;
    assert_eq!(events.next().await.unwrap(), None);
}
