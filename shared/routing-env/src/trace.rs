//! Request streams from CSV.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    calendar::Calendar,
    environment::Environment,
    input::InputError,
    request::Request,
    trace_time::{Clock, Origin, TimeColumns, Wrong},
};

/// A request stream: what was asked for in each step.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The steps that have requests: what a trace takes of memory depends on its rows, not on how far apart they are.
    steps: BTreeMap<u32, Vec<Request>>,
    origin: Origin,
    calendar: Calendar,
}

/// A row; further columns are ignored.
#[derive(Deserialize)]
struct Row {
    step: Option<f64>,
    arrival_s: Option<f64>,
    arrival_ms: Option<f64>,
    arrival_at: Option<String>,
    tenant_id: String,
    workload_type: String,
    gpu_type: String,
    gpu_hours: f64,
    region: Option<String>,
    max_latency_ms: Option<f64>,
    min_reputation: Option<f64>,
}

/// The longest trace, in steps.
pub(crate) const MAX_STEPS: u32 = 10_000_000;

impl Trace {
    /// Reads `tenant_id`, `workload_type`, `gpu_type`, `gpu_hours` and optionally `region`, `max_latency_ms`,
    /// `min_reputation`; and when each request came: `step`, or with the length of a step one of `arrival_s`,
    /// `arrival_ms` and `arrival_at` ([`Origin`] says from where these count). Rows must be in order of time. `file` names
    /// the trace in errors. The work grows with the rows and the steps, and with nothing else.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(
        file: &str,
        text: &str,
        env: &Environment,
        step_seconds: Option<f64>,
    ) -> Result<Self, InputError> {
        let text = json_input::without_mark(text);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let malformed = |error: &csv::Error| {
            let line = line_of(text, error.position());
            match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    let expected = format!("expected {expected_len} fields as in the header, found {len}");
                    mistake(file, line, "", expected)
                }
                _ => mistake(file, line, "", error.to_string()),
            }
        };
        let header = reader.headers().map_err(|error| malformed(&error))?.clone();
        let mut clock = Clock::new(&header, step_seconds)
            .map_err(|(column, expected)| mistake(file, 1, column, expected))?;
        let mut steps: BTreeMap<u32, Vec<Request>> = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|error| malformed(&error))?;
            let mut row = record.deserialize::<Row>(Some(&header)).map_err(|error| {
                let line = line_of(text, record.position());
                match error.kind() {
                    csv::ErrorKind::Deserialize { err, .. } => {
                        let column = err.field().and_then(|field| header.get(field as usize));
                        mistake(file, line, column.unwrap_or_default(), unread(err.kind()))
                    }
                    _ => malformed(&error),
                }
            })?;
            let wrong =
                |(column, expected): Wrong| mistake(file, line_of(text, record.position()), column, expected);
            let step = clock.step(&row.time()).map_err(wrong)?;
            let request = row.resolve(env).map_err(wrong)?;
            steps.entry(step).or_default().push(request);
        }
        if steps.is_empty() {
            return Err(mistake(file, 1, "", "expected at least one request, found none".into()));
        }
        let calendar = clock.calendar();
        Ok(Self { steps, origin: clock.origin(), calendar })
    }

    /// How many steps.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps.last_key_value().map_or(0, |(last, _)| last + 1) // at most MAX_STEPS
    }

    /// A step's requests.
    #[must_use]
    pub fn requests(&self, step: u32) -> &[Request] {
        self.steps.get(&step).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// Where its step 0 begins.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Row {
    fn time(&mut self) -> TimeColumns {
        let Self { step, arrival_s, arrival_ms, .. } = *self;
        TimeColumns { step, arrival_s, arrival_ms, arrival_at: self.arrival_at.take() }
    }

    fn resolve(self, env: &Environment) -> Result<Request, Wrong> {
        let wrong = |column: &'static str, expected: String| (column, expected);
        let tenants = &env.workloads().tenants;
        let tenant = tenants.iter().position(|t| t.id == self.tenant_id).ok_or_else(|| {
            wrong("tenant_id", unknown("tenant", &self.tenant_id, tenants.iter().map(|t| t.id.as_str())))
        })?;
        let profiles = &env.workloads().workload_profiles;
        let workload = profiles.iter().position(|(name, _)| name == self.workload_type).ok_or_else(|| {
            wrong(
                "workload_type",
                unknown("workload", &self.workload_type, profiles.iter().map(|(name, _)| name)),
            )
        })?;
        let gpus = env.gpu_types();
        let gpu_type = gpus.iter().position(|g| *g == self.gpu_type).ok_or_else(|| {
            wrong("gpu_type", unknown("GPU type", &self.gpu_type, gpus.iter().map(String::as_str)))
        })?;
        if !(self.gpu_hours > 0.0 && self.gpu_hours <= 1e6) {
            return Err(wrong(
                "gpu_hours",
                format!("expected a number above 0 and at most 1000000, found {}", self.gpu_hours),
            ));
        }
        let mut request = Request::of_tenant(env, tenant, workload, gpu_type, self.gpu_hours);
        if let Some(region) = self.region.filter(|r| !r.is_empty()) {
            request.region = env.region_index(&region).ok_or_else(|| {
                wrong("region", unknown("region", &region, env.regions().iter().map(String::as_str)))
            })?;
        }
        if let Some(latency) = self.max_latency_ms {
            if !(latency > 0.0 && latency <= 1e9) {
                return Err(wrong("max_latency_ms", format!("expected a number above 0, found {latency}")));
            }
            request.max_latency_ms = latency;
        }
        if let Some(reputation) = self.min_reputation {
            if !(0.0..=100.0).contains(&reputation) {
                return Err(wrong(
                    "min_reputation",
                    format!("expected a number from 0 to 100, found {reputation}"),
                ));
            }
            request.min_reputation = reputation;
        }
        Ok(request)
    }
}

/// The line in which what was read at this position begins: the reader counts empty lines before it as its own.
fn line_of(text: &str, position: Option<&csv::Position>) -> u64 {
    let read = text.as_bytes();
    let from = position.map_or(0, |position| position.byte() as usize).min(read.len());
    let (before, rest) = read.split_at(from);
    let ends = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    let empty = rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
    1 + ends(before) + ends(&rest[..empty])
}

/// What was expected of a row, or of a cell of it, that could not be read.
fn unread(kind: &csv::DeserializeErrorKind) -> String {
    use csv::DeserializeErrorKind::{Message, ParseFloat, Unsupported};
    match kind {
        ParseFloat(_) => "expected a number".to_owned(),
        Message(message) | Unsupported(message) => json_input::in_words(message),
        other => other.to_string(),
    }
}

fn mistake(file: &str, line: u64, column: &str, expected: String) -> InputError {
    let pointer = if column.is_empty() { format!("line {line}") } else { format!("line {line}, {column}") };
    InputError { file: file.into(), pointer, expected }
}

fn unknown<'a>(what: &str, found: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("unknown {what} `{found}`: expected one of {}", known.collect::<Vec<_>>().join(", "))
}
