//! The board on which agents of regions report what their own requests showed, and what they read there later.
//!
//! Agents that see different parts of the same process and decide together are a decentralised POMDP (Bernstein et al.
//! 2002); where each learns what the others saw some steps later, that is the delayed sharing of information (Witsenhausen
//! 1971). The board is a blackboard (Hayes-Roth 1985): reports are added, nobody is asked anything.
//!
//! **What is missing** (a report that has not arrived, an agent that is silent) is filled in: the catalog's number of its
//! requests, times the level that the others' requests are taken to have ([`Nowcast`]). Of providers it adds nothing.
//!
//! **What is false.** Reports of the same kind are compared with each other: how many requests an agent has, which share
//! of its jobs fails at each provider, how long they take there, over the last steps. Whoever is further from the median
//! of all than [`REJECTED_FROM`] robust standard deviations is not heeded (Hampel's identifier, Davies and Gather 1993).
//! Fewer than half of the agents cannot move a median at will, so that what they do by lying is bounded: they are found
//! out, or report what an honest agent might.

use std::collections::VecDeque;

use routing_env::{Environment, Market, Request};

use crate::{
    adaptive::{model::Seen, nowcast::Nowcast},
    division::Regions,
    fault::Fault,
    prices::forecast::Beliefs,
};

/// From so many robust standard deviations on a report is not heeded (Iglewicz and Hoaglin 1993).
const REJECTED_FROM: f64 = 3.5;

/// A normal distribution's standard deviation / its median absolute deviation.
const DEVIATIONS: f64 = 1.4826;

/// What a step leaves of the figures that reports are compared by.
const KEPT: f64 = 0.9;

/// Standard deviations of logarithms that honest agents may have whatever the median says, in the order of
/// [`Evidence::figures`]: of numbers of requests, shares of failures, latencies.
const USUAL: [f64; 3] = [0.25, 0.5, 0.1];

/// Jobs, and failures among them, that each provider counts for beside those that are reported: a share of few jobs says
/// little.
const FEW_JOBS: (f64, f64) = (20.0, 2.0);

/// What one agent reports of a step.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Its requests, with their positions in the step.
    pub(crate) requests: Vec<(usize, Request)>,
    pub(crate) seen: Seen,
}

/// The reports of a step.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    /// The market before the step's first request.
    pub(crate) opening: Option<Market>,
    /// By agent; `None` of one that is silent.
    reports: Vec<Option<Report>>,
}

/// The board of an episode.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    regions: Regions,
    delay: usize,
    /// Whether what is false is left out.
    rejects: bool,
    /// Requests of a whole step by the catalog, `[tenant][position in its mix]`.
    catalog: Vec<Vec<f64>>,
    providers: usize,
    /// Steps whose reports nobody can read yet, the oldest first; the last may not have all of them.
    steps: VecDeque<Posted>,
    /// Those that can be read at the end of this step.
    read: Option<Posted>,
    evidence: Vec<Evidence>,
    distances: Vec<f64>,
}

/// What an agent has reported in the last steps.
#[derive(Clone, Debug)]
struct Evidence {
    requests: f64,
    expected: f64,
    tries: Vec<(f64, f64)>,
    latencies: Vec<(f64, f64)>,
}

impl Board {
    pub(crate) fn new(env: &Environment, regions: &Regions, delay: usize, rejects: bool) -> Self {
        let providers = env.catalog().providers.len();
        let none = Evidence {
            requests: 0.0,
            expected: 0.0,
            tries: vec![(0.0, 0.0); providers],
            latencies: vec![(0.0, 0.0); providers],
        };
        Self {
            delay,
            rejects,
            catalog: Beliefs::of_catalog(env).demand,
            providers,
            steps: VecDeque::new(),
            read: None,
            evidence: vec![none; regions.agents()],
            distances: vec![0.0; regions.agents()],
            regions: regions.clone(),
        }
    }

    /// Takes an agent's report of the step; `None` where it is silent. Agents post in the order of their numbers. True
    /// once all have: then what is due can be read.
    pub(crate) fn post(&mut self, report: Option<Report>, opening: Option<&Market>) -> bool {
        let is_full = |posted: &Posted| posted.reports.len() == self.regions.agents();
        if self.steps.back().is_none_or(is_full) {
            self.read = None;
            self.steps.push_back(Posted { opening: opening.cloned(), reports: Vec::new() });
        }
        let Some(posted) = self.steps.back_mut() else { return false }; // there is one now
        posted.reports.push(report);
        if posted.reports.len() < self.regions.agents() {
            return false;
        }
        if self.steps.len() > self.delay {
            self.read = self.steps.pop_front();
            self.compare();
        }
        true
    }

    /// The heeded reports that can be read at the end of this step, with their agents.
    fn heeded(&self) -> impl Iterator<Item = (usize, &Report)> {
        let reports = self.read.iter().flat_map(|posted| posted.reports.iter().enumerate());
        reports
            .filter_map(|(agent, report)| Some((agent, report.as_ref()?)))
            .filter(|(agent, _)| self.heeds(*agent))
    }

    fn heeds(&self, agent: usize) -> bool {
        !self.rejects || self.distances[agent] < REJECTED_FROM
    }

    /// What an agent that has seen this of its own requests takes the whole step to have shown. What others reported of an
    /// earlier step is brought to the level that this one is taken to have.
    pub(crate) fn completed(&self, agent: usize, own: &Seen, nowcast: &mut Nowcast) -> Seen {
        let mut others = own.emptied();
        let mut is_known = vec![false; self.regions.agents()];
        for (other, report) in self.heeded().filter(|(other, _)| *other != agent) {
            others.add(&report.seen);
            is_known[other] = true;
        }
        let known = self.usual(|other| is_known[other]);
        let missing = self.usual(|other| other != agent && !is_known[other]);
        let level_of_others = level(&others.requests, &known);
        let own_level = level(&own.requests, &self.usual(|other| other == agent)).unwrap_or(1.0);
        let level = nowcast.level(own_level, level_of_others, self.delay);
        let change = level_of_others.filter(|before| *before > 0.0).map_or(1.0, |before| level / before);
        for (requests, missing) in others.requests.iter_mut().flatten().zip(missing.iter().flatten()) {
            *requests = change * *requests + level * missing;
        }
        others.add(own);
        others
    }

    /// Requests that these agents have in a step by the catalog, `[tenant][position in its mix]`.
    fn usual(&self, is_among: impl Fn(usize) -> bool) -> Vec<Vec<f64>> {
        let tenants = self.catalog.iter().enumerate().map(|(tenant, mix)| {
            let deciding: Vec<usize> =
                (0..self.regions.agents()).filter(|agent| self.regions.share(*agent, tenant) > 0.0).collect();
            let among = deciding.iter().filter(|agent| is_among(**agent)).count();
            let share = among as f64 / deciding.len() as f64;
            mix.iter().map(|requests| share * requests).collect()
        });
        tenants.collect()
    }

    /// The step that can be read now, as far as reports of it are heeded: its opening, its requests in order of arrival,
    /// and how many of them were set aside or not served.
    pub(crate) fn readable(&self) -> Option<(Option<&Market>, Vec<Request>, u64)> {
        let posted = self.read.as_ref()?;
        let mut requests: Vec<(usize, Request)> = Vec::new();
        let mut unserved = 0;
        for (_, report) in self.heeded() {
            requests.extend_from_slice(&report.requests);
            unserved += report.seen.unserved;
        }
        requests.sort_by_key(|(index, _)| *index);
        let requests = requests.into_iter().map(|(_, request)| request).collect();
        Some((posted.opening.as_ref(), requests, unserved))
    }

    /// How far an agent's reports are from what an honest one's may be: 1 where they are within, and less the further they
    /// are off; 0 of one that is silent.
    pub(crate) fn trust(&self, agent: usize) -> f64 {
        (REJECTED_FROM / self.distances[agent]).min(1.0)
    }

    /// Brings the distances up to date with the reports that can be read.
    fn compare(&mut self) {
        let Some(posted) = &self.read else { return };
        let usual_of = |agent| self.usual(|other| other == agent).iter().flatten().sum();
        let usual: Vec<f64> = (0..self.regions.agents()).map(usual_of).collect();
        for (agent, (evidence, report)) in self.evidence.iter_mut().zip(&posted.reports).enumerate() {
            let Some(report) = report else { continue };
            evidence.follow(&report.seen, usual[agent]);
        }
        self.distances.fill(0.0);
        for (kind, usual) in USUAL.into_iter().enumerate() {
            let providers = if kind == 0 { 1 } else { self.providers };
            for provider in 0..providers {
                let figures: Vec<Option<f64>> =
                    self.evidence.iter().map(|e| e.figure(kind, provider)).collect();
                for (distance, apart) in self.distances.iter_mut().zip(distances(&figures, usual)) {
                    *distance = distance.max(apart);
                }
            }
        }
        for (distance, report) in self.distances.iter_mut().zip(&posted.reports) {
            if report.is_none() {
                *distance = f64::INFINITY;
            }
        }
    }
}

/// Requests / those that are usual; `None` where none are.
fn level(requests: &[Vec<f64>], usual: &[Vec<f64>]) -> Option<f64> {
    let sum = |requests: &[Vec<f64>]| requests.iter().flatten().sum::<f64>();
    (sum(usual) > 0.0).then(|| sum(requests) / sum(usual))
}

impl Evidence {
    fn follow(&mut self, seen: &Seen, expected: f64) {
        self.requests = KEPT * self.requests + seen.requests.iter().flatten().sum::<f64>();
        self.expected = KEPT * self.expected + expected;
        let own = self.tries.iter_mut().chain(&mut self.latencies);
        for (own, new) in own.zip(seen.tries.iter().chain(&seen.latencies)) {
            *own = (KEPT * own.0 + new.0, KEPT * own.1 + new.1);
        }
    }

    /// A figure by which agents are compared, as a logarithm: of requests, failures at a provider, or latencies there.
    fn figure(&self, kind: usize, provider: usize) -> Option<f64> {
        let (tries, failed) = self.tries[provider];
        let (jobs, latency) = self.latencies[provider];
        match kind {
            0 => Some(((self.requests + 1.0) / (self.expected + 1.0)).ln()),
            1 => (tries > 0.0).then(|| ((failed + FEW_JOBS.1) / (tries + FEW_JOBS.0)).ln()),
            _ => (jobs >= 1.0).then(|| (latency / jobs).max(1e-6).ln()),
        }
    }
}

/// How far each figure is from the median of all, in robust standard deviations, none of which is below `usual`.
fn distances(figures: &[Option<f64>], usual: f64) -> Vec<f64> {
    let known: Vec<f64> = figures.iter().copied().flatten().collect();
    let Some(middle) = median(&known) else { return vec![0.0; figures.len()] };
    let apart: Vec<f64> = known.iter().map(|figure| (figure - middle).abs()).collect();
    let deviation = (DEVIATIONS * median(&apart).unwrap_or_default()).max(usual);
    figures.iter().map(|figure| figure.map_or(0.0, |figure| (figure - middle).abs() / deviation)).collect()
}

/// The median; `None` of nothing.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = sorted.get(half)?;
    Some(if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[half - 1], *upper) } else { *upper })
}

impl Fault {
    /// What becomes of a report.
    pub(crate) fn falsified(self, step: u32, mut report: Report) -> Option<Report> {
        match self {
            Self::Silent { from_step } => (step < from_step).then_some(report),
            Self::Lies { times } => {
                let factor = f64::from(times);
                let Seen { requests, tries, latencies, .. } = &mut report.seen;
                requests.iter_mut().flatten().for_each(|requests| *requests *= factor);
                tries.iter_mut().for_each(|(tries, failed)| {
                    (*tries, *failed) = (*tries * factor, (*tries - *failed) * factor);
                });
                latencies.iter_mut().for_each(|(_, latency)| *latency *= factor);
                report.seen.unserved *= u64::from(times);
                let again = report.requests.iter().flat_map(|request| (0..times).map(move |_| *request));
                report.requests = again.collect();
                Some(report)
            }
            Self::Slanders { share } => {
                let tries = &mut report.seen.tries;
                tries.iter_mut().for_each(|(tries, failed)| *failed += share * (*tries - *failed));
                Some(report)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_ten_cannot_move_what_it_is_compared_with() {
        let mut figures: Vec<Option<f64>> = (0..9).map(|i| Some(f64::from(i) * 0.01)).collect();
        figures.push(Some(9.0));
        let far = distances(&figures, 0.1);
        assert!(far[..9].iter().all(|distance| *distance < 0.6), "{far:?}");
        assert!(far[9] > 80.0, "{far:?}");
    }

    #[test]
    fn where_honest_agents_differ_more_than_is_usual_nobody_is_far_off() {
        // two regions, which have nothing in common
        let figures: Vec<Option<f64>> = (0..10).map(|i| Some(if i < 5 { 0.0 } else { 2.0 })).collect();
        assert!(distances(&figures, 0.1).iter().all(|distance| *distance < 1.0));
    }

    #[test]
    fn whoever_has_no_figure_is_not_compared() {
        assert_eq!(distances(&[None, Some(1.0), None], 0.5), [0.0; 3]);
        assert_eq!(distances(&[None], 0.5), [0.0]);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }
}
