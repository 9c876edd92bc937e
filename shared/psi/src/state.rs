//! What the field says of a swarm.

use garde::Validate;
use serde::{Deserialize, Serialize};

/// The field after a window. Every term is in [0, 1], and null until there is enough data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub struct FieldState {
    /// Ψ: the stability of the whole.
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    pub psi: Option<f64>,
    /// C: how well this window continues the retained past.
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    pub continuity: Option<f64>,
    /// U: forecast skill over the naive forecast.
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    pub futurity: Option<f64>,
    /// Φ: do the agents move together (Kuramoto order parameter).
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    pub phase_coherence: Option<f64>,
    /// H: spread of routing choices and of performance.
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    pub entropy: Option<f64>,
    /// PE: how surprising this window is; above 0.7 exactly when its tail probability is below 0.001.
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    pub prediction_error: Option<f64>,
    /// M: how full the retention window is.
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    pub memory: Option<f64>,
}
