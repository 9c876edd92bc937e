use garde::Validate;
use serde::{Deserialize, Serialize};

/// Defines a struct of settings and, from the comments of its fields, a list of what each does.
macro_rules! settings {
    ($(#[$of_struct:meta])* pub struct $name:ident {
        $($(#[doc = $line:literal])+ #[garde($($rule:tt)+)] pub $field:ident: $type:ty,)+
    }) => {
        $(#[$of_struct])*
        pub struct $name {
            $($(#[doc = $line])+ #[garde($($rule)+)] pub $field: $type,)+
        }

        impl $name {
            /// The settings, each with the lines of its comment.
            pub const MEANINGS: &'static [(&'static str, &'static [&'static str])] =
                &[$((stringify!($field), &[$($line),+])),+];
        }
    };
}

settings! {
    /// Everything that may be tuned about a field. A swarm keeps the settings it began with, so that a
    /// changed configuration never changes the answers of a run that is under way.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
    #[serde(default, deny_unknown_fields)]
    #[garde(allow_unvalidated)]
    pub struct Settings {
        /// Windows until the field's memory is full: M is 1 from then on.
        #[garde(range(min = 2, max = 10_000))]
        pub retention_windows: u64,
        /// Windows that must have been seen before a prediction error is given.
        #[garde(range(min = 5, max = 10_000))]
        pub warm_up_windows: u64,
        /// Share of the windows of a steady swarm whose prediction error is above 0.7.
        #[garde(range(min = 1e-12, max = 0.1))]
        pub false_alarm_probability: f64,
        /// Windows with a prediction error above 0.7, among the last `anomaly_of`, that make an anomaly.
        #[garde(range(min = 1, max = 64))]
        pub anomaly_windows: u64,
        /// Windows among which `anomaly_windows` are counted.
        #[garde(range(min = 1, max = 64))]
        pub anomaly_of: u64,
        /// Windows for which a level beyond everything seen before stays a surprise; then it is believed.
        #[garde(range(min = 1, max = 1_000_000))]
        pub event_windows: u64,
        /// The weights of Ψ.
        #[garde(dive)]
        pub weights: Weights,
        /// Windows after any intervention in which the field issues no other.
        #[garde(range(max = 1_000_000))]
        pub cooldown_windows: u64,
        /// Windows in which an intervention must be acknowledged before it expires.
        #[garde(range(min = 1, max = 1_000_000))]
        pub expires_after_windows: u64,
        /// Windows with a reward, before and after an intervention, that its assessment compares.
        #[garde(range(min = 2, max = 1000))]
        pub assessment_windows: u64,
        /// Nigredo: share of the agents that forget and start afresh, the worst first; at least one agent.
        #[garde(range(min = 0.0, max = 1.0))]
        pub nigredo_share: f64,
        /// Nigredo: share of the weight of what they learned that stays with them; with 0 they start afresh.
        #[garde(range(min = 0.0, max = 1.0))]
        pub nigredo_kept: f64,
        /// Albedo: a swarm with a lower Ψ counts as unstable.
        #[garde(range(min = 0.0, max = 1.0))]
        pub albedo_psi: f64,
        /// Albedo: a swarm whose entropy is below this share of what is usual for it counts as collapsed.
        #[garde(range(min = 0.0, max = 1.0))]
        pub albedo_entropy: f64,
        /// Albedo: consecutive windows in which both must hold.
        #[garde(range(min = 1, max = 10_000))]
        pub albedo_patience_windows: u64,
        /// Albedo: what ε is multiplied by, up to `epsilon_max`.
        #[garde(range(min = 1.0, max = 100.0))]
        pub epsilon_factor: f64,
        /// Albedo: the highest ε that it may set.
        #[garde(range(min = 0.0, max = 1.0))]
        pub epsilon_max: f64,
        /// Albedo: windows for which ε stays raised.
        #[garde(range(min = 1, max = 100_000))]
        pub epsilon_windows: u64,
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention_windows: 60,
            warm_up_windows: 20,
            false_alarm_probability: 1e-3,
            anomaly_windows: 2,
            anomaly_of: 3,
            event_windows: 300,
            weights: Weights::default(),
            cooldown_windows: 30,
            expires_after_windows: 3,
            assessment_windows: 10,
            nigredo_share: 0.2,
            nigredo_kept: 0.05,
            albedo_psi: 0.7,
            albedo_entropy: 0.9,
            albedo_patience_windows: 3,
            epsilon_factor: 1.5,
            epsilon_max: 0.3,
            epsilon_windows: 20,
        }
    }
}

settings! {
    /// The weights of `Ψ = σ(g·(m·M + c·C + u·U + φ·Φ − h·H − pe·PE) − b)`.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
    #[serde(default, deny_unknown_fields)]
    pub struct Weights {
        /// Weight of M, the memory.
        #[garde(range(min = -100.0, max = 100.0))]
        pub memory: f64,
        /// Weight of C, the continuity.
        #[garde(range(min = -100.0, max = 100.0))]
        pub continuity: f64,
        /// Weight of U, the futurity.
        #[garde(range(min = -100.0, max = 100.0))]
        pub futurity: f64,
        /// Weight of Φ, the phase coherence.
        #[garde(range(min = -100.0, max = 100.0))]
        pub phase_coherence: f64,
        /// Weight of H, the entropy, which is subtracted.
        #[garde(range(min = -100.0, max = 100.0))]
        pub entropy: f64,
        /// Weight of PE, the prediction error, which is subtracted.
        #[garde(range(min = -100.0, max = 100.0))]
        pub prediction_error: f64,
        /// Gain g: how steeply Ψ answers.
        #[garde(range(min = 0.0, max = 1000.0))]
        pub gain: f64,
        /// Bias b: the weighted sum, times the gain, at which Ψ is 0.5.
        #[garde(range(min = -1000.0, max = 1000.0))]
        pub bias: f64,
    }
}

impl Default for Weights {
    /// The weights are given. Gain and bias are set between what the terms of a steady swarm add up to (in the preset
    /// `steady` above 1.25 in 99 % of the windows, whichever policy plays) and the least that they fall to in the first
    /// three windows of an outage of its main provider (at most 0.9), so that 0.85 and 0.5 part them.
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
