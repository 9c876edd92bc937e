//! The Ψ-field of one swarm: pure and deterministic. Windows in, answers out; no clock, no I/O.

#![warn(missing_docs)]

pub mod answer;
mod assessment;
mod daily;
mod detect;
mod error;
mod guardian;
pub mod intervention;
mod interventions;
mod level;
pub mod nab;
mod numbers;
mod observation;
mod order;
mod profile;
mod range;
mod series;
mod settings;
pub mod state;
mod surprise;
mod tail;
mod terms;
pub mod window;

use std::collections::BTreeMap;

use garde::Validate;
use serde::{Deserialize, Serialize};

pub use detect::Finding;
pub use error::{SnapshotError, StepError};
pub use interventions::{InterventionError, Wish};
pub use observation::{CHANNELS, Channel, Channels, DuplicateAgent, Observation};
pub use series::Deviation;
pub use series::Memory;
pub use settings::{Settings, Weights};

use answer::WindowAnswer;
use detect::{Detector, Judged, Source};
use guardian::Guardian;
use intervention::{Intervention, InterventionRecord};
use interventions::Interventions;
use numbers::{COUNT_LIMIT, each_is_valid};
use profile::{Likeness, Profile};
use range::Tails;
use series::{Moment, Series};
use state::FieldState;
use surprise::Whitener;
use tail::{Calibration, neg_ln_t4_tail, prediction_error};
use terms::{Skill, entropy, psi};
use window::Window;

/// Above this a window is a surprise: its tail probability is below the false-alarm probability.
pub const SURPRISE: f64 = 0.7;
/// The layout of [`Field`] as it stands in snapshots.
const FORMAT: u32 = 2;
/// So many open channels are remembered; beyond it, the one that was away for longest goes.
pub const MOST_OPEN_CHANNELS: usize = 64;
/// So many providers' shares are watched.
const MOST_SHARES: usize = 1000;
/// A provider that gets half a percent of the requests more or less is no news, even one that never got any.
const SHARE_RESOLUTION: f64 = 0.005;

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
    figures: [Series; CHANNELS],
    /// In catalog order.
    #[garde(length(max = MOST_SHARES), dive)]
    shares: Vec<Series>,
    #[garde(length(max = MOST_OPEN_CHANNELS), custom(|open: &BTreeMap<String, Series>, (): &()| each_is_valid(open.values())))]
    open: BTreeMap<String, Series>,
    #[garde(dive)]
    whitener: Whitener,
    #[garde(range(max = COUNT_LIMIT))]
    judged: u64,
    #[garde(dive)]
    calibration: Calibration,
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
            figures: Default::default(),
            shares: Vec::new(),
            open: BTreeMap::new(),
            whitener: Whitener::default(),
            judged: 0,
            calibration: Calibration::default(),
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
        let mut observation = Observation::new(window)?;
        // The last thing that can fail, and it changes nothing when it does.
        let mut changed = self.interventions.acknowledge(number, &window.acknowledged, &window.trials)?;
        changed.extend(self.interventions.advance(number, observation.mean_reward(), &self.settings));

        let likeness = self.profile.observe(number, &observation, self.settings.retention_windows);
        observation.channels[Channel::AgentDeviation as usize] = likeness.mean_deviation();
        observation.channels[Channel::AgentExtreme as usize] = likeness.extreme_deviation();
        let judged = self.judge(number, window.time, &observation);
        let (innovation, surprise) = self.surprise(&judged);
        self.state =
            self.terms(number, &observation, &likeness, terms::continuity_of_shares(&judged), surprise);
        let known = self.state.prediction_error.is_some();
        let finding = self.detector.observe(surprise.filter(|_| known).unwrap_or(0.0), &self.settings);
        let anomaly = detect::anomaly(finding, innovation, &judged, &likeness.deviations);
        let reward = guardian::reward_of(&judged);

        let mut interventions = self.interventions.deliver(number);
        let wish = self.guardian.observe(finding, reward, &self.state, &self.settings);
        if let Some(kind) =
            wish.filter(|_| intervene && !self.interventions.cooling_down(number, &self.settings))
            && self.interventions.has_room()
            && let Some(wish) =
                self.guardian.wish(kind, &self.state, &judged, window, &self.profile, &self.settings)
        {
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
        let mismatch =
            |what, found: String, expected: String| SnapshotError::Mismatch { what, found, expected };
        // Before all else: a field of another format has other parts.
        if let Some(format) = snapshot.field.get("format").and_then(serde_json::Value::as_u64)
            && format != u64::from(FORMAT)
        {
            return Err(SnapshotError::Format { found: format, expected: FORMAT });
        }
        let mut field: Self =
            serde_json::from_value(snapshot.field).map_err(|e| SnapshotError::Malformed(e.to_string()))?;
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

    /// About how many bytes the field takes in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let series = self.shares.iter().chain(self.open.values()).chain(&self.figures);
        size_of::<Self>()
            + series.map(Series::size_bytes).sum::<usize>()
            + self.open.keys().map(|name| name.len() + size_of::<String>()).sum::<usize>()
            + self.last_agents.capacity() * size_of::<u32>()
            + self.profile.size_bytes()
            + self.interventions.size_bytes()
    }

    /// What every channel says against its past, and their memories take the window in.
    fn judge(&mut self, window: u64, time: Option<i64>, observation: &Observation) -> Vec<Judged> {
        let figures = observation.channels.iter().flatten().count();
        let channels = figures + observation.shares.len() + observation.open.len();
        let moment = Moment {
            window,
            time,
            channels,
            tails: Tails::Exponential,
            resolution: 0.0,
            believed_after: self.settings.event_windows,
        };
        let mut judged = Vec::with_capacity(channels);
        let mut forecasts = Forecasts::default();
        for (channel, series) in Channel::ALL.into_iter().zip(&mut self.figures) {
            let Some(value) = observation.channels[channel as usize] else {
                series.skip();
                continue;
            };
            let evidence = series.observe(value, moment);
            // What agents are to their own past has no trend that a forecast could have skill in.
            if !matches!(channel, Channel::AgentDeviation | Channel::AgentExtreme) {
                forecasts.add(evidence.innovation);
            }
            judged.extend(Judged::new(Source::Figure(channel), value, evidence, &self.settings));
        }
        let shares = observation.shares.len().min(MOST_SHARES);
        if self.shares.len() < shares {
            self.shares.resize_with(shares, Series::share);
        }
        for (provider, series) in self.shares.iter_mut().enumerate() {
            let Some(value) = observation.shares.get(provider) else {
                series.skip();
                continue;
            };
            let moment = Moment { tails: Tails::Normal, resolution: SHARE_RESOLUTION, ..moment };
            let evidence = series.observe(*value, moment);
            judged.extend(Judged::new(Source::Share(provider), *value, evidence, &self.settings));
        }
        for (name, value) in &observation.open {
            let series = self.open.entry(name.clone()).or_insert_with(|| Series::open(time.is_some()));
            let evidence = series.observe(*value, moment);
            forecasts.add(evidence.innovation);
            judged.extend(Judged::new(Source::Open(name.clone()), *value, evidence, &self.settings));
        }
        for (_, series) in self.open.iter_mut().filter(|(name, _)| !observation.open.contains_key(*name)) {
            series.skip();
        }
        while self.open.len() > MOST_OPEN_CHANNELS {
            let longest_away = self.open.iter().min_by_key(|(_, series)| series.last_window);
            let Some(name) = longest_away.map(|(name, _)| name.clone()) else { break };
            self.open.remove(&name);
        }
        self.skill.observe(&forecasts.errors, &forecasts.naive_errors, self.settings.retention_windows);
        judged
    }

    /// How surprising the window is, −ln p in units of −ln α: what the forecasts say, and that or what the memories say,
    /// whichever is more. `None` while there is nothing to judge it by.
    ///
    /// The forecasts' part is calibrated ([`Calibration`]): it is above 1 in a share α of the windows. A memory's is above 1
    /// when a record is beyond all before by a margin, which among n exchangeable windows has at most the probability
    /// 2/n for k channels together ([`range::Range::allowance`]): that dies out, is below α from 2/α windows on, and all
    /// memories together add 2 ln T of them to T windows. So the level of the whole is α, but for the first windows.
    fn surprise(&mut self, judged: &[Judged]) -> (f64, Option<f64>) {
        let mut z = [None; CHANNELS];
        for channel in judged {
            if let Source::Figure(figure) = channel.source {
                z[figure as usize] = Some(channel.deviation.z);
            }
        }
        let joint = self.whitener.observe(&z).map(|surprise| surprise.neg_ln_p);
        let furthest = judged.iter().map(|channel| channel.deviation.z.abs()).reduce(f64::max);
        let each = furthest.map(|z| (neg_ln_t4_tail(z) - (judged.len() as f64).ln()).max(0.0));
        let alpha = self.settings.false_alarm_probability;
        let innovation = self.calibration.observe(joint, each, alpha).map(|y| y / -alpha.ln());
        // Within the margin a record is no news.
        let memories = judged.iter().map(|channel| channel.evidence.margins).fold(0.0, f64::max);
        let memories = if memories >= 1.0 { memories } else { 0.0 };
        (innovation.unwrap_or(0.0), innovation.map(|innovation| innovation.max(memories)))
    }

    fn terms(
        &mut self,
        number: u64,
        observation: &Observation,
        likeness: &Likeness,
        shares: f64,
        surprise: Option<f64>,
    ) -> FieldState {
        let mut error = None;
        if let Some(surprise) = surprise {
            self.judged += 1;
            if self.judged > self.settings.warm_up_windows {
                error = Some(numbers::unit(prediction_error(surprise)));
            }
        }
        let retention = self.settings.retention_windows;
        let mut state = FieldState {
            psi: None,
            continuity: likeness.continuity.map(|agents| numbers::unit(agents * shares)),
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

/// The errors of a window's forecasts, and of the naive ones, in scales.
#[derive(Default)]
struct Forecasts {
    errors: Vec<f64>,
    naive_errors: Vec<f64>,
}

impl Forecasts {
    fn add(&mut self, innovation: Option<level::Innovation>) {
        self.errors.extend(innovation.map(|i| i.forecast_z));
        self.naive_errors.extend(innovation.map(|i| i.naive_z));
    }
}

#[cfg(test)]
mod tests;
