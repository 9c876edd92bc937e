//! Request streams from CSV.

use serde::Deserialize;

use crate::{environment::Environment, input::InputError, request::Request};

/// A request stream: what was asked for in each step.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    steps: Vec<Vec<Request>>,
}

/// A row; further columns are ignored.
#[derive(Deserialize)]
struct Row {
    step: Option<u32>,
    arrival_s: Option<f64>,
    tenant_id: String,
    workload_type: String,
    gpu_type: String,
    gpu_hours: f64,
    region: Option<String>,
    max_latency_ms: Option<f64>,
    min_reputation: Option<f64>,
}

/// The longest trace, in steps.
const MAX_STEPS: u32 = 10_000_000;

impl Trace {
    /// Reads `step` or `arrival_s` (with the length of a step), `tenant_id`, `workload_type`,
    /// `gpu_type`, `gpu_hours` and optionally `region`, `max_latency_ms`, `min_reputation`.
    /// Rows must be in order of time. `file` names the trace in errors.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(
        file: &str,
        text: &str,
        env: &Environment,
        step_seconds: Option<f64>,
    ) -> Result<Self, InputError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let mut trace = Self { steps: Vec::new() };
        for row in reader.deserialize::<Row>() {
            let row = row.map_err(|error| {
                let line = error.position().map_or(1, csv::Position::line);
                mistake(file, line, "", error.to_string())
            })?;
            let line = trace.steps.iter().map(|s| s.len() as u64).sum::<u64>() + 2;
            let (step, request) = row.resolve(file, line, env, step_seconds)?;
            if ((step + 1) as usize) < trace.steps.len() {
                let last = trace.steps.len() - 1;
                return Err(mistake(
                    file,
                    line,
                    "step",
                    format!("expected rows in order of time: step {step} comes after step {last}"),
                ));
            }
            trace.steps.resize_with(step as usize + 1, Vec::new);
            trace.steps[step as usize].push(request);
        }
        if trace.steps.is_empty() {
            return Err(mistake(file, 1, "", "expected at least one request, found none".into()));
        }
        Ok(trace)
    }

    /// How many steps.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps.len() as u32 // at most MAX_STEPS
    }

    /// A step's requests.
    #[must_use]
    pub fn requests(&self, step: u32) -> &[Request] {
        &self.steps[step as usize]
    }
}

impl Row {
    fn resolve(
        self,
        file: &str,
        line: u64,
        env: &Environment,
        step_seconds: Option<f64>,
    ) -> Result<(u32, Request), InputError> {
        let wrong = |column: &str, expected: String| mistake(file, line, column, expected);
        let step = match (self.step, self.arrival_s, step_seconds) {
            (Some(step), _, _) => step,
            (None, Some(arrival), Some(seconds))
                if arrival >= 0.0 && arrival / seconds < f64::from(MAX_STEPS) =>
            {
                (arrival / seconds) as u32
            }
            (None, Some(_), None) => {
                return Err(wrong(
                    "arrival_s",
                    "a trace with arrival_s needs the length of a step in seconds".into(),
                ));
            }
            (None, Some(arrival), Some(_)) => {
                return Err(wrong("arrival_s", format!("expected a time from 0 on, found {arrival}")));
            }
            (None, None, _) => return Err(wrong("step", "expected a column `step` or `arrival_s`".into())),
        };
        if step >= MAX_STEPS {
            return Err(wrong("step", format!("expected a step below {MAX_STEPS}, found {step}")));
        }
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
        Ok((step, request))
    }
}

fn mistake(file: &str, line: u64, column: &str, expected: String) -> InputError {
    let pointer = if column.is_empty() { format!("line {line}") } else { format!("line {line}, {column}") };
    InputError { file: file.into(), pointer, expected }
}

fn unknown<'a>(what: &str, found: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("unknown {what} `{found}`: expected one of {}", known.collect::<Vec<_>>().join(", "))
}
