use garde::Validate;
use psi::{Settings, Weights};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The parameters of the field, by the names that they have always had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(default)] // and unknown ones are let pass, as they always were
#[garde(allow_unvalidated)]
#[allow(non_snake_case)] // the wire's names
pub(crate) struct Params {
    /// Seconds between two steps.
    #[garde(range(min = 1e-6, max = 1e6))]
    #[schema(minimum = 1e-6, maximum = 1e6)]
    pub dt: f64,
    /// Retention in seconds: the field remembers `W_r / dt` steps, 2 to 10,000.
    #[garde(range(min = 0.0, max = 1e9), custom(at_least("dt", &self.dt)))]
    #[schema(minimum = 0, maximum = 1e9)]
    pub W_r: f64,
    /// Rollout horizon in seconds. Kept and shown; this field forecasts one step.
    #[garde(range(min = 0.0, max = 1e9))]
    #[schema(minimum = 0, maximum = 1e9)]
    pub H: f64,
    /// Number of rollouts. Kept and shown; this field's forecast is exact.
    #[garde(range(min = 1, max = api::MAX_SAFE_INTEGER))]
    #[schema(minimum = 1)]
    pub N: u64,
    /// Working memory capacity. Kept and shown.
    #[garde(range(min = 1, max = api::MAX_SAFE_INTEGER))]
    #[schema(minimum = 1)]
    pub C_w: u64,
    /// Latent dimension. Kept and shown.
    #[garde(range(min = 1, max = api::MAX_SAFE_INTEGER))]
    #[schema(minimum = 1)]
    pub latent_dim: u64,
    /// Ψ's weight of memory.
    #[garde(range(min = -100.0, max = 100.0))]
    #[schema(minimum = -100, maximum = 100)]
    pub w1: f64,
    /// Ψ's weight of continuity.
    #[garde(range(min = -100.0, max = 100.0))]
    #[schema(minimum = -100, maximum = 100)]
    pub w2: f64,
    /// Ψ's weight of futurity.
    #[garde(range(min = -100.0, max = 100.0))]
    #[schema(minimum = -100, maximum = 100)]
    pub w3: f64,
    /// Ψ's weight of phase coherence.
    #[garde(range(min = -100.0, max = 100.0))]
    #[schema(minimum = -100, maximum = 100)]
    pub w4: f64,
    /// Ψ's weight of entropy, subtracted.
    #[garde(range(min = -100.0, max = 100.0))]
    #[schema(minimum = -100, maximum = 100)]
    pub w5: f64,
    /// Ψ's weight of prediction error, subtracted.
    #[garde(range(min = -100.0, max = 100.0))]
    #[schema(minimum = -100, maximum = 100)]
    pub w6: f64,
    /// Time dilation strength λ.
    #[garde(range(min = 0.0, max = 100.0))]
    #[schema(minimum = 0, maximum = 100)]
    pub lambda_: f64,
    /// The shortest step in seconds.
    #[garde(range(min = 0.0, max = 1e6))]
    #[schema(minimum = 0, maximum = 1e6)]
    pub dt_min: f64,
    /// The longest step in seconds.
    #[garde(range(min = 1e-6, max = 1e6), custom(at_least("dt_min", &self.dt_min)))]
    #[schema(minimum = 1e-6, maximum = 1e6)]
    pub dt_max: f64,
}

/// What is shorter than that other parameter makes no sense.
fn at_least(other: &'static str, least: &f64) -> impl FnOnce(&f64, &()) -> garde::Result + use<> {
    let least = *least;
    move |value, ()| {
        if *value < least {
            return Err(garde::Error::new(format!("expected at least {least}, the value of `{other}`")));
        }
        Ok(())
    }
}

impl Default for Params {
    fn default() -> Self {
        let weights = Weights::default();
        Self {
            dt: 0.2,
            W_r: 3.0,
            H: 2.0,
            N: 8,
            C_w: 32,
            latent_dim: 32,
            w1: weights.memory,
            w2: weights.continuity,
            w3: weights.futurity,
            w4: weights.phase_coherence,
            w5: weights.entropy,
            w6: weights.prediction_error,
            lambda_: 0.6,
            dt_min: 0.05,
            dt_max: 0.5,
        }
    }
}

impl Params {
    /// What a field with these parameters is set to.
    #[must_use]
    pub(crate) fn settings(&self, base: &Settings) -> Settings {
        Settings {
            retention_windows: (self.W_r / self.dt).round().clamp(2.0, 10_000.0) as u64,
            weights: Weights {
                memory: self.w1,
                continuity: self.w2,
                futurity: self.w3,
                phase_coherence: self.w4,
                entropy: self.w5,
                prediction_error: self.w6,
                ..base.weights.clone()
            },
            ..base.clone()
        }
    }

    /// The same with what a running field was set to, which may come from before a restart.
    #[must_use]
    pub(crate) fn of(&self, settings: &Settings) -> Self {
        let weights = &settings.weights;
        Self {
            W_r: if self.settings(settings).retention_windows == settings.retention_windows {
                self.W_r
            } else {
                settings.retention_windows as f64 * self.dt
            },
            w1: weights.memory,
            w2: weights.continuity,
            w3: weights.futurity,
            w4: weights.phase_coherence,
            w5: weights.entropy,
            w6: weights.prediction_error,
            ..self.clone()
        }
    }

    /// `dt_eff`: the step that the field asks for. The more unstable it is, the longer its moments: dt·e^(λ(1 − 2Ψ)),
    /// within `dt_min` and `dt_max`; dt itself while Ψ is not known.
    #[must_use]
    pub(crate) fn effective_dt(&self, psi: Option<f64>) -> f64 {
        let stretched = psi.map_or(self.dt, |psi| self.dt * (self.lambda_ * (1.0 - 2.0 * psi)).exp());
        // Not `clamp`, which panics when the bounds are the wrong way round: a caller's are checked, these may be others.
        stretched.min(self.dt_max).max(self.dt_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_set_retention_and_weights() {
        let params = Params { W_r: 10.0, dt: 0.5, w2: 0.3, ..Params::default() };
        let settings = params.settings(&Settings::default());
        assert_eq!((settings.retention_windows, settings.weights.continuity), (20, 0.3));
        assert_eq!(params.of(&settings), params);
        assert_eq!(Params::default().of(&settings).W_r, 4.0, "20 steps of 0.2 s");
    }

    #[test]
    fn bounds_the_wrong_way_round_are_refused_by_name() {
        let wrong = |params: Params| params.validate().unwrap_err().to_string();
        assert!(Params::default().validate().is_ok());
        let text = wrong(Params { dt_min: 1.0, dt_max: 0.1, ..Params::default() });
        assert!(text.contains("dt_max: expected at least 1, the value of `dt_min`"), "{text}");
        let text = wrong(Params { W_r: 0.1, dt: 0.2, ..Params::default() });
        assert!(text.contains("W_r: expected at least 0.2, the value of `dt`"), "{text}");
        assert!(wrong(Params { N: 0, ..Params::default() }).starts_with("N:"));
    }

    #[test]
    fn an_unstable_field_has_longer_moments_within_the_bounds() {
        let params = Params::default();
        assert_eq!(params.effective_dt(None), 0.2);
        assert_eq!(params.effective_dt(Some(0.5)), 0.2);
        // 0.2 · e^0.6 and 0.2 · e^−0.6
        assert!((params.effective_dt(Some(0.0)) - 0.364_424).abs() < 1e-6);
        assert!((params.effective_dt(Some(1.0)) - 0.109_762).abs() < 1e-6);
    }
}
