//! What is told of real jobs after they were sent somewhere.

/// What was told of a job that had been sent somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// The provider's index.
    pub provider: usize,
    /// Whether the job was done.
    pub succeeded: bool,
    /// The latency that was expected, in ms, without waiting.
    pub expected_ms: f64,
    /// The real one, where it is known.
    pub latency_ms: Option<f64>,
    /// Whether it had failed elsewhere before.
    pub is_second_try: bool,
}
