//! The Ψ-field of one swarm: pure and deterministic. Windows in, answers out; no clock, no I/O.

#![warn(missing_docs)]

pub mod answer;
mod assessment;
mod detect;
mod error;
mod guardian;
pub mod intervention;
mod interventions;
mod level;
mod numbers;
mod observation;
mod profile;
mod settings;
pub mod state;
mod surprise;
mod tail;
mod terms;
pub mod window;

use garde::Validate;
use serde::{Deserialize, Serialize};

pub use detect::{Deviation, Drift, Finding};
pub use error::{SnapshotError, StepError};
pub use interventions::{InterventionError, Wish};
pub use observation::{CHANNELS, Channel, Channels, DuplicateAgent, Observation};
pub use settings::{Settings, Weights};

use answer::WindowAnswer;
use detect::Detector;
use guardian::Guardian;
use intervention::{Intervention, InterventionRecord};
use interventions::Interventions;
use level::LocalLevel;
use numbers::COUNT_LIMIT;
use profile::Profile;
use state::FieldState;
use surprise::Whitener;
use tail::{TailCalibration, prediction_error};
use terms::{Skill, entropy, psi};
use window::Window;

/// Above this a window is a surprise: its tail probability is below the false-alarm probability.
pub const SURPRISE: f64 = 0.7;
/// The layout of [`Field`] as it stands in snapshots.
const FORMAT: u32 = 1;
/// Innovations that a channel must have shown before it has a say.
const CHANNEL_WARM_UP: u64 = 8;

/// Everything that is known of a swarm. Serialised and read back, it goes on bit for bit as before.
///
/// What a snapshot may say is what a field can come to: a figure beyond that is no figure any more a few windows later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Field {
    #[garde(skip)]
    format: u32,
    #[garde(skip)]
    swarm: String,
    /// Tells lives of a swarm that reuse its name apart; empty where windows are numbered by their sender.
    #[garde(skip)]
    lineage: String,
    #[garde(dive)]
    settings: Settings,
    #[garde(skip)]
    next_window: u64,
    #[garde(skip)]
    last_agents: Vec<u32>,
    #[garde(dive)]
    state: FieldState,
    #[garde(dive)]
    levels: [LocalLevel; CHANNELS],
    #[garde(dive)]
    whitener: Whitener,
    #[garde(range(max = COUNT_LIMIT))]
    judged: u64,
    #[garde(dive)]
    tail: TailCalibration,
    #[garde(dive)]
    profile: Profile,
    #[garde(dive)]
    skill: Skill,
    #[garde(dive)]
    detector: Detector,
    #[garde(dive)]
    guardian: Guardian,
    #[garde(dive)]
    interventions: Interventions,
    /// No window comes any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[garde(skip)]
    ended: bool,
}

/// A field's whole state, floats exact. Opaque to callers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The number that the next window must have.
    pub next_window: u64,
    /// The state.
    pub field: serde_json::Value,
}

/// What a window brought about.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The answer for the swarm.
    pub answer: WindowAnswer,
    /// Every intervention whose standing changed, as it stands now, in the order in which it happened.
    pub changed: Vec<InterventionRecord>,
}

impl Field {
    /// A field that has seen nothing.
    #[must_use]
    pub fn new(swarm: impl Into<String>, lineage: impl Into<String>, settings: Settings) -> Self {
        Self {
            format: FORMAT,
            swarm: swarm.into(),
            lineage: lineage.into(),
            settings,
            next_window: 0,
            last_agents: Vec::new(),
            state: FieldState::default(),
            levels: Default::default(),
            whitener: Whitener::default(),
            judged: 0,
            tail: TailCalibration::default(),
            profile: Profile::default(),
            skill: Skill::default(),
            detector: Detector::default(),
            guardian: Guardian::default(),
            interventions: Interventions::default(),
            ended: false,
        }
    }

    /// Takes the next window.
    ///
    /// # Errors
    /// [`StepError`]; the field is then as it was.
    pub fn step(&mut self, window: &Window) -> Result<Step, StepError> {
        self.advance(window, true)
    }

    /// Takes the next window without intervening by itself.
    ///
    /// # Errors
    /// [`StepError`]; the field is then as it was.
    pub fn watch(&mut self, window: &Window) -> Result<Step, StepError> {
        self.advance(window, false)
    }

    fn advance(&mut self, window: &Window, intervene: bool) -> Result<Step, StepError> {
        let number = self.next_window;
        if window.number != number {
            return Err(StepError::WrongNumber { given: window.number, expected: number });
        }
        let observation = Observation::new(window)?;
        // The last thing that can fail, and it changes nothing when it does.
        let mut changed = self.interventions.acknowledge(number, &window.acknowledged)?;
        changed.extend(self.interventions.advance(number, observation.mean_reward(), &self.settings));

        let deviations = self.forecast(&observation);
        self.state = self.terms(number, &observation, &deviations);
        let reward_z = deviations[Channel::MeanReward as usize].map(|d| d.z);
        let surprising = self.state.prediction_error.is_some_and(|pe| pe > SURPRISE);
        let finding = self.detector.observe(surprising, reward_z, &self.settings);
        let anomaly = detect::anomaly(finding, &deviations, &observation);

        let mut interventions = self.interventions.deliver(number);
        let wish = self.guardian.observe(finding, reward_z, &self.state, &self.settings);
        if let Some(kind) =
            wish.filter(|_| intervene && !self.interventions.cooling_down(number, &self.settings))
            && self.interventions.has_room()
        {
            let wish = self.guardian.wish(
                kind,
                &self.state,
                &deviations,
                &observation,
                &self.profile,
                &self.settings,
            );
            let record = self.interventions.issue(&self.swarm, &self.lineage, number, wish, &self.settings);
            interventions.push(record.intervention.clone());
            changed.push(record);
        }
        self.last_agents = observation.agents.into_keys().collect();
        self.next_window = number + 1;
        let answer = WindowAnswer {
            swarm: self.swarm.clone(),
            window: number,
            state: self.state.clone(),
            anomaly,
            interventions,
        };
        Ok(Step { answer, changed })
    }

    /// Puts an operator's intervention on its way: the answer to the next window carries it. Without targets
    /// it is for all agents of the last window. The same `key` again gets the same intervention.
    ///
    /// # Errors
    /// [`InterventionError`], but for unknown ones.
    pub fn request(
        &mut self,
        mut wish: Wish,
        key: Option<&str>,
    ) -> Result<InterventionRecord, InterventionError> {
        if wish.targets.is_empty() {
            wish.targets.clone_from(&self.last_agents);
        }
        self.interventions.request(&self.swarm, &self.lineage, self.next_window, wish, key, &self.settings)
    }

    /// What an operator asked for with this key before, as it stands now.
    ///
    /// # Errors
    /// [`InterventionError::KeyReused`] when that was something else.
    pub fn requested(&self, wish: &Wish, key: &str) -> Result<Option<InterventionRecord>, InterventionError> {
        self.interventions.requested(&self.swarm, &self.lineage, wish, key)
    }

    /// Takes over that no window comes any more: every intervention that was not acknowledged expires, in its new state.
    pub fn end(&mut self) -> Vec<InterventionRecord> {
        self.ended = true;
        self.interventions.end()
    }

    /// Takes over that windows come again: the field begins another swarm from where one ended.
    pub fn go_on(&mut self) {
        self.ended = false;
    }

    /// Whether no window comes any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Puts an operator's intervention that was recorded before a restart back on its way. One that this
    /// field has already delivered is left alone.
    pub fn replay(&mut self, intervention: Intervention) {
        if !self.ended && intervention.by_operator && intervention.issued_at_window >= self.next_window {
            self.interventions.replay(intervention);
        }
    }

    /// The whole state, as callers keep it.
    ///
    /// # Errors
    /// Only when a number is not finite, which every operation here prevents.
    pub fn snapshot(&self) -> Result<Snapshot, serde_json::Error> {
        Ok(Snapshot { next_window: self.next_window, field: serde_json::to_value(self)? })
    }

    /// The field that a snapshot holds, under this name: it may have had another where it was taken.
    ///
    /// # Errors
    /// [`SnapshotError`] when it is not one.
    pub fn restore(swarm: &str, snapshot: Snapshot) -> Result<Self, SnapshotError> {
        let mut field: Self =
            serde_json::from_value(snapshot.field).map_err(|e| SnapshotError::Malformed(e.to_string()))?;
        let mismatch =
            |what, found: String, expected: String| SnapshotError::Mismatch { what, found, expected };
        if field.format != FORMAT {
            return Err(mismatch("format", field.format.to_string(), FORMAT.to_string()));
        }
        if field.next_window != snapshot.next_window {
            let expected = snapshot.next_window.to_string();
            return Err(mismatch("next window", field.next_window.to_string(), expected));
        }
        if field.next_window > COUNT_LIMIT {
            let expected = format!("at most {}", COUNT_LIMIT);
            return Err(mismatch("next window", field.next_window.to_string(), expected));
        }
        field.validate().map_err(|e| SnapshotError::Malformed(e.to_string()))?;
        swarm.clone_into(&mut field.swarm);
        Ok(field)
    }

    /// Whether two fields will give the same answers, apart from what operators have on its way.
    #[must_use]
    pub fn same_past(&self, other: &Self) -> bool {
        let blank = |field: &Self| Self { interventions: Interventions::default(), ..field.clone() };
        self.interventions.same_past(&other.interventions) && blank(self) == blank(other)
    }

    /// The swarm's id.
    #[must_use]
    pub fn swarm(&self) -> &str {
        &self.swarm
    }

    /// The number that the next window must have.
    #[must_use]
    pub fn next_window(&self) -> u64 {
        self.next_window
    }

    /// The field after the last window.
    #[must_use]
    pub fn state(&self) -> &FieldState {
        &self.state
    }

    /// How many agents the last window had.
    #[must_use]
    pub fn agents(&self) -> u64 {
        self.last_agents.len() as u64
    }

    /// The settings that the field keeps for its life.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Which life of a swarm that reuses its name this is; empty where windows are numbered by their sender.
    #[must_use]
    pub fn lineage(&self) -> &str {
        &self.lineage
    }

    /// Begins another life: identities of interventions from here on are not those of the life before.
    pub fn set_lineage(&mut self, lineage: impl Into<String>) {
        self.lineage = lineage.into();
    }

    /// The interventions that are kept, oldest first, each with its number among all that there ever were.
    pub fn interventions(&self) -> impl Iterator<Item = (u64, InterventionRecord)> {
        self.interventions.records()
    }

    /// How many interventions there ever were.
    #[must_use]
    pub fn intervention_count(&self) -> u64 {
        self.interventions.count()
    }

    /// The window of the last intervention.
    #[must_use]
    pub fn last_intervention_at(&self) -> Option<u64> {
        self.interventions.last_issued_at()
    }

    /// Every channel's innovation, and the filters take the window in.
    fn forecast(&mut self, observation: &Observation) -> [Option<Deviation>; CHANNELS] {
        let mut deviations = [None; CHANNELS];
        let (mut errors, mut naive_errors) = (Vec::new(), Vec::new());
        for (i, (level, value)) in self.levels.iter_mut().zip(observation.channels).enumerate() {
            let Some(observed) = value else {
                level.skip();
                continue;
            };
            if let Some(innovation) = level.observe(observed)
                && innovation.seen >= CHANNEL_WARM_UP
            {
                deviations[i] = Some(Deviation { z: innovation.z, observed, expected: innovation.expected });
                errors.push(innovation.forecast_z);
                naive_errors.push(innovation.naive_z);
            }
        }
        self.skill.observe(&errors, &naive_errors, self.settings.retention_windows);
        deviations
    }

    fn terms(
        &mut self,
        number: u64,
        observation: &Observation,
        deviations: &[Option<Deviation>; CHANNELS],
    ) -> FieldState {
        let likeness = self.profile.observe(number, observation, self.settings.retention_windows);
        let surprise = self.whitener.observe(&deviations.map(|d| d.map(|d| d.z)));
        let mut error = None;
        if let Some(surprise) = surprise {
            self.judged += 1;
            let alpha = self.settings.false_alarm_probability;
            let neg_ln_p = self.tail.observe(surprise.neg_ln_p, -alpha.ln());
            if self.judged > self.settings.warm_up_windows {
                error = Some(numbers::unit(prediction_error(neg_ln_p, alpha)));
            }
        }
        let retention = self.settings.retention_windows;
        let mut state = FieldState {
            psi: None,
            continuity: likeness.continuity.map(numbers::unit),
            futurity: self.skill.futurity(),
            phase_coherence: likeness.phase_coherence.map(numbers::unit),
            entropy: entropy(observation),
            prediction_error: error,
            memory: Some(((number + 1).min(retention)) as f64 / retention as f64),
        };
        state.psi = psi(&state, &self.settings.weights);
        state
    }
}

#[cfg(test)]
mod tests;
