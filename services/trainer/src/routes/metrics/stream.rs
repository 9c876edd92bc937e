//! Figures as a stream of lines, in parts: the body is never in memory as a whole.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use service_kit::{ApiError, ApiResult, Lines};

use super::rows::Row;
use crate::{
    run::Run,
    runs::{HistoryError, Runs},
};

/// Rows that are copied and written at once.
const PART: usize = 1000;

/// All rows that there are now, from `from` on. What goes wrong before the first is a problem as on every
/// route; later the body breaks off.
pub(super) async fn all<T: Row>(
    runs: Runs,
    run: Arc<Run>,
    from: Option<u64>,
    lines: Lines,
) -> ApiResult<Response> {
    let end = T::end(&runs, &run).await?;
    let mut parts = Parts { runs, run, next: from.unwrap_or(0), end, lines };
    let first = parts.next::<T>(lines == Lines::Csv).await.map_err(|error| match error {
        PartError::History(error) => error.into(),
        error => ApiError::internal(error),
    })?;
    let body = stream::try_unfold((first, parts), |(first, mut parts)| async {
        let part = match first {
            Some(first) => Some(first),
            None => parts.next::<T>(false).await?,
        };
        Ok::<_, PartError>(part.map(|part| (part, (None, parts))))
    });
    Ok(([(header::CONTENT_TYPE, media_type(lines))], Body::from_stream(body)).into_response())
}

/// These rows and no others.
pub(super) fn these<T: Row>(rows: &[T], lines: Lines) -> ApiResult<Response> {
    let body = encode(rows, lines, lines == Lines::Csv).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, media_type(lines))], body).into_response())
}

fn media_type(lines: Lines) -> &'static str {
    match lines {
        Lines::Ndjson => lines.media_type(),
        Lines::Csv => "text/csv; charset=utf-8",
    }
}

/// Why a stream breaks off.
#[derive(Debug, thiserror::Error)]
enum PartError {
    #[error("reading the run's figures")]
    History(#[from] HistoryError),
    #[error("writing a figure")]
    Json(#[from] serde_json::Error),
    #[error("writing a figure")]
    Csv(#[from] csv::Error),
    #[error("writing figures")]
    Flush(#[source] std::io::Error),
}

/// A reader's place among the rows.
struct Parts {
    runs: Runs,
    run: Arc<Run>,
    next: u64,
    /// The rows that come while it reads are not of this stream, which would have no end otherwise.
    end: u64,
    lines: Lines,
}

impl Parts {
    /// The next part; `None` after the last.
    async fn next<T: Row>(&mut self, begins: bool) -> Result<Option<Bytes>, PartError> {
        let left = usize::try_from(self.end.saturating_sub(self.next)).unwrap_or(usize::MAX);
        let (from, limit) = (self.next, left.min(PART));
        let mut part = T::read(&self.runs, &self.run, from, limit).await?;
        part.retain(|row| row.number() < self.end);
        self.next = part.last().map_or(self.end, |row| row.number() + 1);
        if part.is_empty() && !begins {
            return Ok(None);
        }
        Ok(Some(encode(&part, self.lines, begins)?.into()))
    }
}

fn encode<T: Row>(rows: &[T], lines: Lines, begins: bool) -> Result<Vec<u8>, PartError> {
    match lines {
        Lines::Ndjson => {
            let mut bytes = Vec::new();
            for row in rows {
                serde_json::to_writer(&mut bytes, row)?;
                bytes.push(b'\n');
            }
            Ok(bytes)
        }
        Lines::Csv => {
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
            if begins {
                // Written by hand, so that a run without rows has its header too.
                writer.write_record(T::COLUMNS)?;
            }
            for row in rows {
                writer.serialize(row.cells())?;
            }
            writer.into_inner().map_err(|error| PartError::Flush(error.into_error()))
        }
    }
}
