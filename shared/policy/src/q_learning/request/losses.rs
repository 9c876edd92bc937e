//! What requests earned less than the best offer at the step's start promised, and what was short: the hours of a provider,
//! or something of their tenant's own, mostly money.
//!
//! That offer is what a request would get if it came alone, so a loss is what the others did to it, and no luck of which
//! requests came. A loss is a provider's where the tenant could have paid that offer when the request was decided, but the
//! offers that were left promised less.

use routing_env::{StepOutcome, physics};
use smallvec::{SmallVec, smallvec};

use crate::q_learning::request::start::Start;

/// The losses of a step, which are mostly below 0.
pub(crate) struct Losses {
    /// `[request]`
    of: Vec<f64>,
    /// `[request]`: the sum over it and all later ones of its tenant, of what no provider was short of.
    own: Vec<f64>,
    /// `[request]`: what of it a provider was short of.
    short: Vec<f64>,
    /// `[turn][provider]`: what requests have lost from this turn on since the provider was short of hours.
    pub(crate) by_provider: Vec<ByProvider>,
}

type ByProvider = SmallVec<[f64; 8]>;

/// A turn that an agent had, as all remember it.
pub(crate) struct Seen {
    pub(crate) index: usize,
    /// `[tenant]`: what was left, in USD.
    pub(crate) budgets: SmallVec<[f64; 8]>,
    /// The most that an offer promised.
    pub(crate) promise: f64,
}

impl Losses {
    pub(crate) fn new(outcome: &StepOutcome<'_>, start: &Start, seen: &[Seen]) -> Self {
        let requests = outcome.requests;
        let of: Vec<f64> = requests
            .iter()
            .zip(outcome.resolutions)
            .map(|(request, resolution)| outcome.reward.of_request(resolution) - start.promised(request))
            .collect();
        let mut losses = Self { own: of.clone(), short: vec![0.0; of.len()], by_provider: Vec::new(), of };
        losses.blame(outcome, start, seen);
        let mut by_tenant = vec![0.0; start.tenants()];
        for (position, request) in requests.iter().enumerate().rev() {
            by_tenant[request.tenant] += losses.of[position] - losses.short[position];
            losses.own[position] = by_tenant[request.tenant];
        }
        losses
    }

    /// What a request lost itself.
    pub(crate) fn of(&self, request: usize) -> f64 {
        self.of[request]
    }

    /// What a request lost, and later ones of its tenant up to another one of them (or the step's end), these without what
    /// providers were short of.
    pub(crate) fn until(&self, request: usize, next: Option<usize>) -> f64 {
        self.own[request] + self.short[request] - next.map_or(0.0, |next| self.own[next])
    }

    /// Finds what providers were short of, from the last turn to the first. Turns that no agent had are of requests that
    /// nobody could serve any more.
    fn blame(&mut self, outcome: &StepOutcome<'_>, start: &Start, seen: &[Seen]) {
        let mut sums: ByProvider = smallvec![0.0; start.providers()];
        let mut left = seen.len();
        for (index, resolution) in outcome.turns.iter().rev() {
            let had = left.checked_sub(1).map(|last| &seen[last]).filter(|seen| seen.index == *index);
            // nothing was taken between a turn that nobody had and the next one that somebody had
            let budgets = had.or(seen.get(left)).or(seen.last()).map(|seen| &seen.budgets);
            let request = &outcome.requests[*index];
            let is_last = resolution.is_some();
            if let (Some(budgets), Some(offer), true) = (budgets, start.best(request), is_last)
                && offer.price <= physics::affordable_price(budgets[request.tenant], request.hours)
            {
                let promised = had.map_or(0.0, |had| had.promise);
                let short = (promised - start.promised(request)).min(0.0);
                sums[offer.provider] += short;
                self.short[*index] = short;
            }
            if had.is_some() {
                left -= 1;
                self.by_provider.push(sums.clone());
            }
        }
        self.by_provider.reverse();
    }
}
