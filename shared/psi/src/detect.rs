use std::collections::VecDeque;

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::{
    answer::{AgentDeviation, Anomaly, ChannelDeviation},
    numbers::{COUNT_LIMIT, LIMIT},
    observation::Channel,
    series::{Deviation, Evidence, Memory},
    settings::Settings,
    tail::neg_ln_t4_tail,
};

/// An agent so many of its own scales off its past is named in an anomaly.
const AGENT_Z: f64 = 3.0;
/// The lists are cut here: beyond it, it is the swarm that deviates.
const MOST_NAMED: usize = 20;
/// With nobody over the limit, so many are named all the same.
const FEWEST_NAMED: usize = 3;
/// So many windows without a surprise end an event.
const EVENT_GAP: u64 = 10;
/// An event that comes back so many times as strong is another.
const STRONGER: f64 = 2.0;

/// What the detector found in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finding {
    /// An event began: enough of the last windows are surprises, and none was going on.
    pub began: bool,
    /// Enough of the last windows are surprises.
    pub lasts: bool,
}

/// m of n windows over the threshold make an event, and so does one that is as unlikely as m of them: a window whose p is
/// below αᵐ counts for m. An event that goes on, or comes back within [`EVENT_GAP`] windows, stays one, unless it comes
/// back [`STRONGER`] times as strong: then what was there before was not it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Detector {
    /// For how many surprises each of the last windows counts.
    #[garde(skip)]
    votes: VecDeque<u64>,
    #[garde(dive)]
    event: Option<Event>,
}

/// An event that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Event {
    /// Windows since its last surprise.
    #[garde(range(max = COUNT_LIMIT))]
    quiet: u64,
    /// The largest surprise before it last paused, …
    #[garde(range(min = 0.0, max = LIMIT))]
    before: f64,
    /// … and so far.
    #[garde(range(min = 0.0, max = LIMIT))]
    strongest: f64,
}

impl Detector {
    /// Takes a window's surprise, −ln p in units of −ln α.
    pub(crate) fn observe(&mut self, surprise: f64, settings: &Settings) -> Finding {
        let vote = match surprise {
            s if s >= settings.anomaly_windows as f64 && s > 1.0 => settings.anomaly_windows,
            s if s > 1.0 => 1,
            _ => 0,
        };
        self.votes.push_back(vote);
        while self.votes.len() as u64 > settings.anomaly_of {
            self.votes.pop_front();
        }
        let votes = self.votes.iter().fold(0_u64, |sum, vote| sum.saturating_add(*vote));
        let lasts = votes >= settings.anomaly_windows;
        let mut began = false;
        self.event = match self.event.take() {
            None if lasts => {
                began = true;
                Some(Event { quiet: 0, before: LIMIT, strongest: surprise })
            }
            Some(event) if vote > 0 => {
                let before = if event.quiet > 0 { event.strongest } else { event.before };
                began = lasts && surprise >= STRONGER * before;
                let before = if began { LIMIT } else { before };
                Some(Event { quiet: 0, before, strongest: event.strongest.max(surprise) })
            }
            Some(event) if event.quiet < EVENT_GAP => Some(Event { quiet: event.quiet + 1, ..event }),
            _ => None,
        };
        Finding { began, lasts }
    }
}

/// What a channel is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A figure of the swarm.
    Figure(Channel),
    /// The share of the provider with this number in the catalog.
    Share(usize),
    /// An open channel.
    Open(String),
}

impl Source {
    /// The channel's name on the wire.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Figure(channel) => channel.name().to_owned(),
            Self::Share(provider) => format!("provider_shares[{provider}]"),
            Self::Open(name) => name.clone(),
        }
    }
}

/// A channel's part in a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// Which channel.
    pub(crate) source: Source,
    /// Where it is beside its forecast.
    pub(crate) deviation: Deviation,
    /// What that says against its past.
    pub(crate) evidence: Evidence,
    /// The larger of what the forecast and the memories say, −ln p in units of −ln α.
    pub(crate) surprise: f64,
}

impl Judged {
    /// A channel of which there is a forecast; `None` while there is none.
    #[must_use]
    pub(crate) fn new(source: Source, value: f64, evidence: Evidence, settings: &Settings) -> Option<Self> {
        let deviation = evidence.deviation(value)?;
        let forecast = neg_ln_t4_tail(deviation.z) / -settings.false_alarm_probability.ln();
        Some(Self { source, deviation, evidence, surprise: evidence.margins.max(forecast) })
    }

    /// Whether it is a provider's share, or what is made of all of them.
    fn is_of_shares(&self) -> bool {
        matches!(self.source, Source::Share(_) | Source::Figure(Channel::RoutingEntropy))
    }

    /// How far a share changed; one that fell counts for more.
    fn share_change(&self) -> Option<f64> {
        let Source::Share(_) = self.source else { return None };
        let change = self.evidence.change;
        Some(if change < 0.0 { -change * FALL_BEFORE_RISE } else { change })
    }
}

/// A share that changed by less is no cause.
const LEAST_CHANGE: f64 = 0.02;
/// So many shares come before the averages.
const MOST_SHARES_FIRST: usize = 3;
/// A share that fell counts for so much more than one that rose.
const FALL_BEFORE_RISE: f64 = 1.5;

/// The anomaly that a finding amounts to, with its causes; `None` when it is none.
#[must_use]
pub(crate) fn anomaly(
    finding: Finding,
    joint: f64,
    judged: &[Judged],
    agents: &[(u32, f64)],
) -> Option<Anomaly> {
    if !finding.began {
        return None;
    }
    let strongest = judged.iter().max_by(|a, b| a.evidence.margins.total_cmp(&b.evidence.margins));
    let memory = strongest.filter(|channel| channel.evidence.margins > joint);
    let detector: &str = memory.map_or(Memory::Innovation, |channel| channel.evidence.memory).into();
    Some(Anomaly {
        detector: detector.into(),
        channels: deviating_channels(judged),
        agents: deviating_agents(agents),
    })
}

/// The channels, the likeliest cause first.
///
/// Where something about the providers' shares is a surprise, that comes first: what happens to a provider moves the
/// averages, and not they it. Among shares, which add up to one, that is the one which changed most, and what fell before
/// what took its place, whichever is the greater surprise. All else goes by surprise.
#[must_use]
pub(crate) fn by_rank(judged: &[Judged]) -> Vec<&Judged> {
    let mut channels: Vec<&Judged> = judged.iter().collect();
    channels.sort_by(|a, b| b.surprise.total_cmp(&a.surprise));
    if judged.iter().any(|channel| channel.is_of_shares() && channel.surprise > 1.0) {
        let changed = |channel: &&Judged| channel.share_change().is_some_and(|change| change > LEAST_CHANGE);
        let (mut shares, others): (Vec<_>, Vec<_>) = channels.into_iter().partition(changed);
        shares.sort_by(|a, b| b.share_change().unwrap_or(0.0).total_cmp(&a.share_change().unwrap_or(0.0)));
        shares.truncate(MOST_SHARES_FIRST);
        let first: Vec<&Source> = shares.iter().map(|share| &share.source).collect();
        channels = shares.iter().copied().chain(others).collect();
        let rest = judged.iter().filter(|channel| changed(channel) && !first.contains(&&channel.source));
        channels.extend(rest);
    }
    channels
}

fn deviating_channels(judged: &[Judged]) -> Vec<ChannelDeviation> {
    let named = judged.iter().filter(|channel| channel.surprise > 1.0).count();
    let named = named.clamp(FEWEST_NAMED, MOST_NAMED);
    let told = |channel: &Judged| ChannelDeviation {
        channel: channel.source.name(),
        z_score: channel.deviation.z,
        observed: channel.deviation.observed,
        expected: channel.deviation.expected,
    };
    by_rank(judged).into_iter().take(named).map(told).collect()
}

/// Agents against their own past: their levels differ for good, and an agent of a low one may be as it always was.
fn deviating_agents(deviations: &[(u32, f64)]) -> Vec<AgentDeviation> {
    let mut agents: Vec<AgentDeviation> =
        deviations.iter().map(|(agent, z)| AgentDeviation { agent: *agent, z_score: *z }).collect();
    agents.sort_by(|a, b| b.z_score.abs().total_cmp(&a.z_score.abs()).then(a.agent.cmp(&b.agent)));
    let named = agents.iter().filter(|a| a.z_score.abs() >= AGENT_Z).count();
    agents.truncate(named.clamp(FEWEST_NAMED, MOST_NAMED));
    agents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began(surprises: &[f64]) -> Vec<bool> {
        let (mut detector, settings) = (Detector::default(), Settings::default());
        surprises.iter().map(|surprise| detector.observe(*surprise, &settings).began).collect()
    }

    #[test]
    fn two_of_three_windows_make_one_anomaly_and_a_single_one_makes_none() {
        assert_eq!(began(&[1.5, 0.0, 0.0, 1.5]), [false; 4]);
        assert_eq!(began(&[1.5, 0.0, 1.5, 1.5, 1.5]), [false, false, true, false, false]);
    }

    #[test]
    fn one_window_as_unlikely_as_two_makes_an_anomaly() {
        assert_eq!(began(&[0.0, 2.0, 0.0]), [false, true, false]);
    }

    #[test]
    fn an_event_that_goes_on_or_comes_back_soon_stays_one_and_after_a_pause_it_is_another() {
        let mut surprises = vec![1.5; 50];
        surprises.extend([0.0; 9]);
        surprises.extend([1.5; 5]);
        assert_eq!(began(&surprises).iter().filter(|began| **began).count(), 1);
        surprises.extend([0.0; 12]);
        surprises.extend([1.5; 5]);
        assert_eq!(began(&surprises).iter().filter(|began| **began).count(), 2);
    }

    #[test]
    fn an_event_that_comes_back_twice_as_strong_is_another_and_one_that_only_grows_is_not() {
        assert_eq!(began(&[2.0, 5.0, 20.0]), [true, false, false]);
        assert_eq!(began(&[2.0, 0.0, 3.0, 3.0]), [true, false, false, false]);
        assert_eq!(began(&[2.0, 0.0, 20.0, 20.0, 50.0]), [true, false, true, false, false]);
    }

    fn judged(source: Source, surprise: f64, change: f64) -> Judged {
        let evidence = Evidence {
            innovation: None,
            memory: Memory::Range,
            margins: surprise,
            fell: change < 0.0,
            change,
        };
        let deviation = Deviation { z: 3.0 * surprise, observed: change, expected: 0.0 };
        Judged { source, deviation, evidence, surprise }
    }

    #[test]
    fn a_provider_that_fell_is_named_before_those_that_took_over_and_before_the_averages() {
        let channels = [
            judged(Source::Figure(Channel::AvgCost), 50.0, 2.0),
            judged(Source::Figure(Channel::FillRate), 0.5, 0.1),
            judged(Source::Share(0), 1.5, -0.3),
            judged(Source::Share(1), 9.0, 0.28),
            judged(Source::Share(2), 0.2, 0.02),
        ];
        let finding = Finding { began: true, lasts: true };
        let agents: Vec<(u32, f64)> =
            (0..10).map(|agent| (agent, if agent == 7 { -30.0 } else { 0.5 })).collect();
        let anomaly = anomaly(finding, 2.0, &channels, &agents).unwrap();
        let names: Vec<_> = anomaly.channels.iter().map(|c| c.channel.as_str()).collect();
        assert_eq!(names, ["provider_shares[0]", "provider_shares[1]", "avg_cost"]);
        assert_eq!(anomaly.detector, "range");
        assert_eq!((anomaly.agents[0].agent, anomaly.agents.len()), (7, 3));
    }
}
