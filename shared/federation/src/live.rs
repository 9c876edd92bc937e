//! What nodes see of providers within an episode, step by step, as contributions: nodes that route in the same world learn from
//! each other while it changes. A deployment is one long episode.
//!
//! A node's [`Window`] is what it has seen itself in its last [`KEPT_STEPS`] steps, each under its number; the next window
//! takes the place of the one before, as contributions do. What is older has been forgotten by whoever acts on it, too: the
//! learner discounts what it hears by age at the rates by which it forgets what it sees ([`policy::Swarm::heed_steps`]). That
//! agents act on what others saw some steps ago is the delayed sharing of information (Witsenhausen 1971).
//!
//! **The guard** is that of all evidence ([`judge`](crate::judge)), by provider and by age: tries of the last 8 steps, of the
//! 24 before and of the rest are claims of their own ([`StepsLaw`]). All authors' claims are about the same time, so that
//! what changes in the world is no difference between them, and what somebody says of now is compared with what others say of
//! now. Whoever was honest for long and lies now is bounded at once, but left out only when more of its claims are false: an
//! author is judged by all of them together. What is taken of a claim is distributed over its steps in proportion.
//!
//! Demand is not told: each node has its own.

use std::{collections::BTreeMap, ops::Range};

use policy::{Knowledge, PastStep, StepEvidence};
use serde::{Deserialize, Serialize};

use crate::{
    guard::{Claim, Kind},
    law::Law,
};

/// The name under which windows are told, where others tell the name of a learner.
pub const STEPS: &str = "adaptive/steps";

/// The version of their form.
pub const STEPS_VERSION: u32 = 1;

/// How many steps a window goes back. The slowest rate of forgetting leaves a quarter of what is so old.
pub const KEPT_STEPS: u64 = 128;

/// How many steps ago what is compared as one claim was seen.
const AGES: [Range<u64>; 3] = [0..8, 8..32, 32..KEPT_STEPS];

/// What a node has seen of providers in its last steps, by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window(BTreeMap<u64, StepEvidence>);

/// A window as it is written: steps in order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    steps: Vec<WrittenStep>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    step: u64,
    failures: Vec<(f64, f64)>,
    latencies: Vec<(f64, f64)>,
}

impl Window {
    /// Adds what was seen in a step, which is later than all others, and drops what has become too old.
    ///
    /// # Errors
    /// The step is not later, or its figures are none that anybody can have seen.
    pub fn push(&mut self, step: u64, evidence: StepEvidence) -> Result<(), String> {
        if let Some((last, _)) = self.0.last_key_value()
            && step <= *last
        {
            return Err(format!("expected a step after {last}, found {step}"));
        }
        evidence.check(evidence.failures.len()).map_err(|what| format!("step {step}: {what}"))?;
        self.0.insert(step, evidence);
        self.0 = self.0.split_off(&(step + 1).saturating_sub(KEPT_STEPS));
        Ok(())
    }

    /// The steps, each as long ago as it is when this one has just ended; later ones are not there yet.
    #[must_use]
    pub fn past_steps(&self, now: u64) -> Vec<PastStep> {
        let past = self.0.range(..=now).filter_map(|(step, evidence)| {
            let steps_ago = u32::try_from(now - step).ok()?;
            Some(PastStep { steps_ago, evidence: evidence.clone() })
        });
        past.collect()
    }

    /// As it is told.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        let steps = self.0.iter().map(|(step, evidence)| {
            let StepEvidence { failures, latencies } = evidence.clone();
            WrittenStep { step: *step, failures, latencies }
        });
        let written = Written { steps: steps.collect() };
        Knowledge {
            algorithm: STEPS.into(),
            version: STEPS_VERSION,
            learned: serde_json::to_value(written).unwrap_or_default(),
        }
    }

    /// Reads what was told of so many providers.
    ///
    /// # Errors
    /// It is no window, or has figures that nobody can have seen.
    pub fn read(told: &Knowledge, providers: usize) -> Result<Self, String> {
        if (told.algorithm.as_str(), told.version) != (STEPS, STEPS_VERSION) {
            let Knowledge { algorithm, version, .. } = told;
            return Err(format!(
                "expected {STEPS}, version {STEPS_VERSION}, found {algorithm}, version {version}"
            ));
        }
        let written = Written::deserialize(&told.learned).map_err(|error| error.to_string())?;
        let mut window = Self::default();
        let first = written.steps.first().map_or(0, |first| first.step);
        for WrittenStep { step, failures, latencies } in written.steps {
            if step - first.min(step) >= KEPT_STEPS {
                return Err(format!("expected {KEPT_STEPS} steps, found {first} to {step}"));
            }
            let evidence = StepEvidence { failures, latencies };
            evidence.check(providers).map_err(|what| format!("step {step}: {what}"))?;
            window.push(step, evidence)?;
        }
        Ok(window)
    }

    /// What it claims of the time up to a step, all windows of so many providers the same claims in the same order.
    #[must_use]
    pub fn claims(&self, providers: usize, last: u64) -> Vec<Claim> {
        let mut claims = Vec::with_capacity(2 * AGES.len() * providers);
        for place in places(providers) {
            let (mut count, mut sum) = (0.0, 0.0);
            for evidence in self.seen(&place.ages, last) {
                let figures = place.of(evidence);
                (count, sum) = (count + figures.0, sum + figures.1);
            }
            let mean = if count > 0.0 { sum / count } else { 0.0 };
            // a sum over so many may be rounded to more than their number
            let mean = if place.kind == Kind::Share { mean.min(1.0) } else { mean };
            claims.push(Claim { name: place.name(), kind: place.kind, count, mean });
        }
        claims
    }

    /// The same window where it claims this instead: each step's part is changed in proportion. It has nothing that is later,
    /// or too old.
    ///
    /// # Errors
    /// They are not the claims of a window of so many providers.
    pub fn with_claims(&self, providers: usize, last: u64, claims: &[Claim]) -> Result<Self, String> {
        let mut changed = self.within(last);
        let (own, places) = (self.claims(providers, last), places(providers));
        if own.len() != claims.len() {
            return Err(format!("expected {} claims, found {}", own.len(), claims.len()));
        }
        for ((place, own), claim) in places.into_iter().zip(own).zip(claims) {
            if own.name != claim.name {
                return Err(format!("expected the claim `{}`, found `{}`", own.name, claim.name));
            }
            // what is left as it was keeps its last bit
            if own == *claim || own.count == 0.0 {
                continue;
            }
            let change = Change::new(place.kind, &own, claim);
            for (_, evidence) in changed.0.range_mut(steps(&place.ages, last)) {
                let figures = place.of_mut(evidence);
                *figures = change.of(*figures);
            }
        }
        Ok(changed)
    }

    /// Adds what another one has seen.
    ///
    /// # Errors
    /// It is of another catalog.
    pub fn add(&mut self, other: &Self) -> Result<(), String> {
        for (step, evidence) in &other.0 {
            match self.0.get_mut(step) {
                Some(own) => own.add(evidence)?,
                None => _ = self.0.insert(*step, evidence.clone()),
            }
        }
        Ok(())
    }

    /// The last step that it tells of.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.0.last_key_value().map(|(step, _)| *step)
    }

    /// What there is up to this step and not too old by then.
    #[must_use]
    pub fn within(&self, last: u64) -> Self {
        let steps = self.0.range(steps(&(0..KEPT_STEPS), last));
        Self(steps.map(|(step, evidence)| (*step, evidence.clone())).collect())
    }

    fn seen(&self, ages: &Range<u64>, last: u64) -> impl Iterator<Item = &StepEvidence> {
        self.0.range(steps(ages, last)).map(|(_, evidence)| evidence)
    }
}

/// The steps that are of these ages at the end of the last one.
fn steps(ages: &Range<u64>, last: u64) -> Range<u64> {
    let from = |age: u64| (last + 1).saturating_sub(age);
    from(ages.end)..from(ages.start)
}

/// What a claim is about.
struct Place {
    kind: Kind,
    ages: Range<u64>,
    provider: usize,
}

impl Place {
    fn name(&self) -> String {
        let what = match self.kind {
            Kind::Share => "failures a try",
            _ => "latency / advertised latency",
        };
        let (from, to) = (self.ages.start, self.ages.end - 1);
        format!("{what} at provider {}, {from} to {to} steps ago", self.provider)
    }

    fn of(&self, evidence: &StepEvidence) -> (f64, f64) {
        match self.kind {
            Kind::Share => evidence.failures[self.provider],
            _ => evidence.latencies[self.provider],
        }
    }

    fn of_mut<'a>(&self, evidence: &'a mut StepEvidence) -> &'a mut (f64, f64) {
        match self.kind {
            Kind::Share => &mut evidence.failures[self.provider],
            _ => &mut evidence.latencies[self.provider],
        }
    }
}

fn places(providers: usize) -> Vec<Place> {
    let of_kind = |kind| {
        AGES.into_iter().flat_map(move |ages| {
            (0..providers).map(move |provider| Place { kind, ages: ages.clone(), provider })
        })
    };
    of_kind(Kind::Share).chain(of_kind(Kind::Ratio)).collect()
}

/// What becomes of a step's part of a claim that is taken as another one.
struct Change {
    /// What failures or latencies are multiplied by, and what successes or jobs are.
    sum: f64,
    rest: f64,
    is_share: bool,
}

impl Change {
    fn new(kind: Kind, own: &Claim, taken: &Claim) -> Self {
        let times = |own: f64, taken: f64| if own > 0.0 { taken / own } else { 0.0 };
        let sum = times(own.count * own.mean, taken.count * taken.mean);
        let is_share = kind == Kind::Share;
        let rest = if is_share {
            times(own.count * (1.0 - own.mean), taken.count * (1.0 - taken.mean))
        } else {
            times(own.count, taken.count)
        };
        Self { sum, rest, is_share }
    }

    fn of(&self, (count, sum): (f64, f64)) -> (f64, f64) {
        let changed = self.sum * sum;
        if self.is_share {
            (self.rest * (count - sum) + changed, changed)
        } else {
            (self.rest * count, changed)
        }
    }
}

/// How windows of so many providers are read and brought together, as of the end of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepsLaw {
    /// How many providers there are.
    pub providers: usize,
    /// The last step of which anything is heeded.
    pub last: u64,
}

impl Law for StepsLaw {
    fn claims(&self, evidence: &Knowledge) -> Result<Vec<Claim>, String> {
        let claims = Window::read(evidence, self.providers)?.claims(self.providers, self.last);
        claims.iter().try_for_each(Claim::check)?;
        Ok(claims)
    }

    fn with_claims(&self, evidence: &Knowledge, claims: &[Claim]) -> Result<Knowledge, String> {
        let window = Window::read(evidence, self.providers)?;
        Ok(window.with_claims(self.providers, self.last, claims)?.knowledge())
    }

    fn merge(&self, all: &mut Knowledge, other: &Knowledge) -> Result<(), String> {
        let mut sum = Window::read(all, self.providers)?;
        sum.add(&Window::read(other, self.providers)?.within(self.last))?;
        *all = sum.knowledge();
        Ok(())
    }
}
