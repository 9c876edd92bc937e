//! What `afterstate` carries from the worlds that it has met into a new one: what scarce things are worth, whosever they
//! are.
//!
//! A coordinate's table is over how scarce the thing is, and its values are for what the rest of the step asks of it, so
//! that no provider and no tenant is named in it: one table for all providers, one for all budgets, one for the places of
//! those that wait, one for the rest of the step. Where load makes each further hour dearer the axis is the load, and the
//! tables are others. What it is worth to wait is kept by the request's size.

use serde::{Deserialize, Serialize};

use crate::{
    afterstate::{
        concave_tables::{KNOTS, Nested, PHASES, nearest_concave},
        knowledge::Knowledge,
        request_classes::SIZES,
        scarcity::{Kind, Scarcity},
    },
    knowledge::weighted_mean,
};

/// What it begins with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// Where load makes nothing dearer.
    pub(crate) by_scarcity: Kinds,
    /// Where it does.
    pub(crate) by_load: Kinds,
}

/// By kind of what is scarce.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kinds {
    provider: Table,
    budget: Table,
    waiting: Table,
    step: Table,
    /// What waiting has earned, and how often that was seen.
    deferral: [[(f64, f64); PHASES]; SIZES],
}

/// `[phase][knot]`: the mean of what was learned, and how often it was visited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Table([[(f64, f64); KNOTS]; PHASES]);

/// How it learns from there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ways {
    /// For how many visits of a knot the start counts at most.
    pub(crate) counts_as: f64,
    /// The learning rate goes on as if so many updates had been made.
    pub(crate) updates: u64,
}

impl Table {
    fn add(&mut self, means: &[Vec<f64>], visits: &[Vec<f64>]) {
        let others = means.iter().flatten().zip(visits.iter().flatten());
        for ((mean, count), (other, more)) in self.0.as_flattened_mut().iter_mut().zip(others) {
            *mean = weighted_mean((*mean, *count), (*other, *more));
            *count += more;
        }
    }

    /// What is acted on, the means, and the visits.
    fn written(&self, counts_as: f64) -> [Vec<Vec<f64>>; 3] {
        let [mut values, mut means, mut visits] = [const { Vec::new() }; 3];
        for knots in &self.0 {
            let counted = knots.map(|(_, count)| count.min(counts_as));
            let known = knots.map(|(mean, _)| mean);
            values.push(nearest_concave(&known, &knots.map(|(_, count)| count)).to_vec());
            means.push(known.to_vec());
            visits.push(counted.to_vec());
        }
        [values, means, visits]
    }

    fn is_finite(&self) -> bool {
        self.0
            .as_flattened()
            .iter()
            .all(|(mean, count)| mean.is_finite() && count.is_finite() && *count >= 0.0)
    }
}

impl Kinds {
    fn of(&self, kind: Kind) -> &Table {
        match kind {
            Kind::Provider => &self.provider,
            Kind::Budget => &self.budget,
            Kind::Waiting => &self.waiting,
            Kind::Step => &self.step,
        }
    }

    /// Adds what was learned in a world.
    fn add(&mut self, scarcity: &Scarcity, known: &Knowledge) {
        for coordinate in 0..scarcity.coordinates() {
            let table = match scarcity.kind(coordinate) {
                Kind::Provider => &mut self.provider,
                Kind::Budget => &mut self.budget,
                Kind::Waiting => &mut self.waiting,
                Kind::Step => &mut self.step,
            };
            table.add(&known.means[coordinate], &known.visits[coordinate]);
        }
        for (class, (values, visits)) in known.deferral.iter().zip(&known.deferral_visits).enumerate() {
            let own = self.deferral[class % SIZES].iter_mut();
            for ((mean, count), (other, more)) in own.zip(values.iter().zip(visits)) {
                *mean = weighted_mean((*mean, *count), (*other, *more as f64));
                *count += *more as f64;
            }
        }
    }
}

impl Start {
    /// Adds what was learned in a world.
    pub(crate) fn add(&mut self, scarcity: &Scarcity, known: &Knowledge) {
        let kinds = if scarcity.is_by_load() { &mut self.by_load } else { &mut self.by_scarcity };
        kinds.add(scarcity, known);
    }

    /// What an agent knows that begins so, in a world of so many classes of requests.
    pub(crate) fn knowledge(
        &self,
        scarcity: &Scarcity,
        classes: usize,
        nothing: &Knowledge,
        counts_as: f64,
    ) -> Knowledge {
        let kinds = if scarcity.is_by_load() { &self.by_load } else { &self.by_scarcity };
        let [mut values, mut means, mut visits] = [const { Nested::new() }; 3];
        for coordinate in 0..scarcity.coordinates() {
            let written = kinds.of(scarcity.kind(coordinate)).written(counts_as);
            let [of_values, of_means, of_visits] = written;
            values.push(of_values);
            means.push(of_means);
            visits.push(of_visits);
        }
        let deferred = |class: usize| kinds.deferral[class % SIZES];
        Knowledge {
            reward: nothing.reward,
            values,
            means,
            visits,
            deferral: (0..classes).map(|class| deferred(class).map(|(mean, _)| mean)).collect(),
            deferral_visits: (0..classes)
                .map(|class| deferred(class).map(|(_, count)| count.min(counts_as) as u64))
                .collect(),
        }
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_finite = |kinds: &Kinds| {
            [&kinds.provider, &kinds.budget, &kinds.waiting, &kinds.step]
                .iter()
                .all(|table| table.is_finite())
                && kinds.deferral.as_flattened().iter().all(|(mean, count)| mean.is_finite() && *count >= 0.0)
        };
        let fits = is_finite(&self.by_scarcity) && is_finite(&self.by_load);
        fits.then_some(()).ok_or_else(|| "start: expected finite values, each of 0 or more visits".into())
    }
}
