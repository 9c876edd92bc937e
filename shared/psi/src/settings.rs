use garde::Validate;
use serde::{Deserialize, Serialize};

/// Everything that may be tuned about a field. A swarm keeps the settings it began with, so that a
/// changed configuration never changes the answers of a run that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Settings {
    /// How many windows the field remembers in full: M is 1 once so many were seen.
    #[garde(range(min = 2, max = 10_000))]
    pub retention_windows: u64,
    /// Innovations that must have been seen before prediction error is given.
    #[garde(range(min = 5, max = 10_000))]
    pub warm_up_windows: u64,
    /// The tail probability at which prediction error is exactly 0.7.
    #[garde(range(min = 1e-12, max = 0.1))]
    pub false_alarm_probability: f64,
    /// An anomaly is so many of the last `anomaly_of` windows over 0.7.
    #[garde(range(min = 1, max = 64))]
    pub anomaly_windows: u64,
    /// Over how many windows `anomaly_windows` are counted.
    #[garde(range(min = 1, max = 64))]
    pub anomaly_of: u64,
    /// The drift of the reward, in scales per window, that the CUSUM lets pass.
    #[garde(range(min = 0.0, max = 10.0))]
    pub cusum_allowance: f64,
    /// The accumulated drift, in scales, at which the CUSUM alarms.
    #[garde(range(min = 0.1, max = 1e6))]
    pub cusum_threshold: f64,
    /// Ψ's weights.
    #[garde(dive)]
    pub weights: Weights,
    /// Windows without a further intervention of the field's own after any intervention.
    #[garde(range(max = 1_000_000))]
    pub cooldown_windows: u64,
    /// In how many windows an intervention must be acknowledged.
    #[garde(range(min = 1, max = 1_000_000))]
    pub expires_after_windows: u64,
    /// Windows with a reward on each side of an assessment.
    #[garde(range(min = 2, max = 1000))]
    pub assessment_windows: u64,
    /// Nigredo: the share of the agents that starts afresh, the worst first (at least one agent).
    #[garde(range(min = 0.0, max = 1.0))]
    pub nigredo_share: f64,
    /// Albedo: Ψ below which the swarm counts as unstable.
    #[garde(range(min = 0.0, max = 1.0))]
    pub albedo_psi: f64,
    /// Albedo: entropy below which it counts as collapsed.
    #[garde(range(min = 0.0, max = 1.0))]
    pub albedo_entropy: f64,
    /// Albedo: for how many windows on end both must hold.
    #[garde(range(min = 1, max = 10_000))]
    pub albedo_patience_windows: u64,
    /// Albedo: ε becomes min(`epsilon_max`, `epsilon_factor`·ε).
    #[garde(range(min = 1.0, max = 100.0))]
    pub epsilon_factor: f64,
    /// Albedo: the highest ε that it may lead to.
    #[garde(range(min = 0.0, max = 1.0))]
    pub epsilon_max: f64,
    /// Albedo: for how many windows ε stays raised.
    #[garde(range(min = 1, max = 100_000))]
    pub epsilon_windows: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention_windows: 60,
            warm_up_windows: 20,
            false_alarm_probability: 1e-3,
            anomaly_windows: 2,
            anomaly_of: 3,
            cusum_allowance: 0.5,
            cusum_threshold: 12.0,
            weights: Weights::default(),
            cooldown_windows: 30,
            expires_after_windows: 3,
            assessment_windows: 10,
            nigredo_share: 0.2,
            albedo_psi: 0.7,
            albedo_entropy: 0.2,
            albedo_patience_windows: 3,
            epsilon_factor: 1.5,
            epsilon_max: 0.3,
            epsilon_windows: 20,
        }
    }
}

/// The weights of `Ψ = σ(g·(m·M + c·C + u·U + φ·Φ − h·H − pe·PE) − b)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// Of M, the memory.
    #[garde(range(min = -100.0, max = 100.0))]
    pub memory: f64,
    /// Of C, the continuity.
    #[garde(range(min = -100.0, max = 100.0))]
    pub continuity: f64,
    /// Of U, the futurity.
    #[garde(range(min = -100.0, max = 100.0))]
    pub futurity: f64,
    /// Of Φ, the phase coherence.
    #[garde(range(min = -100.0, max = 100.0))]
    pub phase_coherence: f64,
    /// Of H, the entropy; it is subtracted.
    #[garde(range(min = -100.0, max = 100.0))]
    pub entropy: f64,
    /// Of PE, the prediction error; it is subtracted.
    #[garde(range(min = -100.0, max = 100.0))]
    pub prediction_error: f64,
    /// g.
    #[garde(range(min = 0.0, max = 1000.0))]
    pub gain: f64,
    /// b.
    #[garde(range(min = -1000.0, max = 1000.0))]
    pub bias: f64,
}

impl Default for Weights {
    /// The weights are given. Gain and bias are set between what a steady swarm's terms add up to (1.53 in the
    /// median, above 1.23 in 99 % of the windows) and the least that they fall to in the first three windows
    /// of an outage (at most 0.95), so that 0.85 and 0.5 part them.
    fn default() -> Self {
        Self {
            memory: 1.0,
            continuity: 0.8,
            futurity: 0.6,
            phase_coherence: 0.6,
            entropy: 0.7,
            prediction_error: 0.7,
            gain: 7.0,
            bias: 6.85,
        }
    }
}
