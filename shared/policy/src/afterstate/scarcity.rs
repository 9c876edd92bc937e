//! Where a step stands, seen as how scarce each thing is: what is left of it against what is still expected to be
//! asked of it.

use routing_env::{Candidate, Environment, MAX_WAITING, Market, Request};

use crate::afterstate::concave_tables::Place;

/// With so many times as much as is expected to be asked for, a thing is not scarce.
const PLENTY: f64 = 3.0;

/// What a whole step is expected to ask for, by the catalog's word and the market at its beginning.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected {
    /// Of each provider, in GPU-hours. Each request asks all that it may go to, in proportion to their capacity.
    hours: Vec<f64>,
    /// Of each tenant's budget, in USD.
    dollars: Vec<f64>,
}

/// How an amount is placed in a table.
#[derive(Clone, Copy, Debug)]
struct Axis {
    coordinate: usize,
    /// The amount at the last knot.
    end: f64,
    scale: f64,
}

/// The coordinates of an environment: its providers, its tenants' budgets, the places for those that wait, and the
/// rest of the step itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scarcity {
    providers: usize,
    tenants: usize,
    /// Where load makes every further hour dearer it is the load that counts, scarce or not.
    by_load: bool,
}

/// What a coordinate is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Provider,
    Budget,
    Waiting,
    Step,
}

/// A point within a step.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'a> {
    pub(crate) expected: &'a Expected,
    pub(crate) market: &'a Market,
    /// Requests that wait.
    pub(crate) waiting: usize,
    /// The share of the step's requests that is still to come.
    pub(crate) left: f64,
    /// The table's phase.
    pub(crate) phase: usize,
}

impl Expected {
    pub(crate) fn new(env: &Environment, market: &Market) -> Self {
        let providers = market.providers();
        let mut hours = vec![0.0; providers.len()];
        let mut candidates = Vec::new();
        let dollars = (0..market.budgets().len()).map(|tenant| {
            let mut dollars = 0.0;
            for &(workload, share) in env.mix(tenant) {
                let mean = env.workload_hours(workload).iter().sum::<f64>() / 2.0;
                let asked = env.expected_requests(tenant) * share * mean;
                market.candidates(env, &Request::new(env, tenant, workload, mean), 0.0, &mut candidates);
                let capacity: f64 = candidates.iter().map(|c| providers[c.provider].capacity).sum();
                for Candidate { provider, price, .. } in &candidates {
                    let hours_there = asked * providers[*provider].capacity / capacity;
                    hours[*provider] += hours_there;
                    dollars += hours_there * price;
                }
            }
            dollars
        });
        let dollars = dollars.collect();
        Self { hours, dollars }
    }
}

impl Scarcity {
    pub(crate) fn new(env: &Environment) -> Self {
        let workloads = env.workloads();
        Self {
            providers: env.catalog().providers.len(),
            tenants: workloads.tenants.len(),
            by_load: env.physics().depends_on_load(),
        }
    }

    /// Whether it is the load that counts, scarce or not.
    pub(crate) fn is_by_load(&self) -> bool {
        self.by_load
    }

    /// What a coordinate is of.
    pub(crate) fn kind(&self, coordinate: usize) -> Kind {
        let tenants = self.providers + self.tenants;
        match coordinate {
            _ if coordinate < self.providers => Kind::Provider,
            _ if coordinate < tenants => Kind::Budget,
            _ if coordinate == tenants => Kind::Waiting,
            _ => Kind::Step,
        }
    }

    /// How many coordinates there are.
    pub(crate) fn coordinates(&self) -> usize {
        self.providers + self.tenants + 2
    }

    fn provider(&self, at: &Standing<'_>, provider: usize) -> Axis {
        let scale = at.expected.hours[provider] * at.left;
        let end = if self.by_load { at.market.providers()[provider].capacity } else { PLENTY * scale };
        Axis { coordinate: provider, end, scale }
    }

    fn budget(&self, at: &Standing<'_>, tenant: usize) -> Axis {
        let scale = at.expected.dollars[tenant] * at.left;
        Axis { coordinate: self.providers + tenant, end: PLENTY * scale, scale }
    }

    fn waiting(&self) -> Axis {
        let places = MAX_WAITING as f64;
        Axis { coordinate: self.providers + self.tenants, end: places, scale: places }
    }

    /// Before and after a request goes to a candidate: what is left there and of the tenant's budget.
    pub(crate) fn routed(&self, at: &Standing<'_>, request: &Request, to: &Candidate) -> [[Place; 2]; 2] {
        let hours = at.market.providers()[to.provider].remaining;
        let budget = at.market.budgets()[request.tenant];
        let taken = |axis: Axis, left: f64, takes: f64| [left, left - takes].map(|x| axis.place(at.phase, x));
        [
            taken(self.provider(at, to.provider), hours, request.hours),
            taken(self.budget(at, request.tenant), budget, to.price * request.hours),
        ]
    }

    /// Before and after one more request waits.
    pub(crate) fn deferred(&self, at: &Standing<'_>) -> [Place; 2] {
        let free = MAX_WAITING.saturating_sub(at.waiting) as f64;
        [free, free - 1.0].map(|free| self.waiting().place(at.phase, free))
    }

    /// All coordinates, in order, when nothing is taken.
    pub(crate) fn places(&self, at: &Standing<'_>, into: &mut Vec<Place>) {
        into.extend(at.market.providers().iter().enumerate().map(|(provider, state)| {
            let remaining = if state.active { state.remaining } else { 0.0 };
            self.provider(at, provider).place(at.phase, remaining)
        }));
        let budgets = at.market.budgets().iter().enumerate();
        into.extend(budgets.map(|(tenant, left)| self.budget(at, tenant).place(at.phase, *left)));
        into.push(self.deferred(at)[0]);
        let scale = at.expected.hours.iter().sum::<f64>() * at.left;
        into.push(Place::new(self.coordinates() - 1, at.phase, 0.0, scale));
    }

    /// The coordinates that the places of [`Scarcity::routed`] and [`Scarcity::deferred`] are of.
    pub(crate) fn coordinates_of(&self, provider: usize, tenant: usize) -> [usize; 2] {
        [provider, self.providers + tenant]
    }

    pub(crate) fn coordinate_of_waiting(&self) -> usize {
        self.waiting().coordinate
    }
}

impl Axis {
    fn place(self, phase: usize, amount: f64) -> Place {
        Place::new(self.coordinate, phase, amount / self.end.max(1e-9), self.scale)
    }
}
