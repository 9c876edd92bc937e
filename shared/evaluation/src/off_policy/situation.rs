//! Decisions of a log, and what policies would have done in their places.

use routing_env::Choice;

/// A choice where a decision was to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// The choice.
    pub choice: Choice,
    /// The probability with which the log makes it there; 0 where it never does.
    pub propensity: f64,
    /// The reward if everything comes as it was expected: of what is refused that of nothing, of what is to wait that of the
    /// best provider.
    pub promised: f64,
}

/// A decision of the log whose reward is known, and what a policy in question would have done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Which request it was about: decisions about the same one share their reward.
    pub request: u64,
    /// What was done.
    pub logged: Taken,
    /// What it earned.
    pub reward: f64,
    /// What the policy would have done.
    pub target: Taken,
}

/// A decision of the log with a choice to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Situation {
    /// The decision's sequence number.
    pub sequence: u64,
    /// The first decision about the same request: it may have waited, or been tried again.
    pub request: u64,
    /// What was done.
    pub logged: Taken,
    /// What its request came to in the end; `None` where nobody told.
    pub reward: Option<f64>,
    /// What the log's own policy would have done without exploration.
    pub own: Taken,
    /// What each of the policies in question would have done.
    pub others: Vec<Taken>,
}

impl Situation {
    /// The decision for judging one of the policies; `None` where nobody told what it came to.
    #[must_use]
    pub fn sample(&self, policy: impl Fn(&Self) -> Taken) -> Option<Sample> {
        let (request, logged, target) = (self.request, self.logged, policy(self));
        Some(Sample { request, logged, target, reward: self.reward? })
    }
}
