//! Assigning scarce resources to single requests, each whole: branch and bound on Lagrangian bounds.
//!
//! At the prices of the linear program, which may split requests, each option has a net value, and what a choice loses beside
//! the best net value of its demand is what the bound of every assignment with that choice falls by (Fisher 1981, "The
//! Lagrangian Relaxation Method for Solving Integer Programming Problems"). So the bound of a partial assignment is a
//! subtraction, and a search in the order of these losses meets good assignments first. A general solver solves a linear
//! program at each node instead; for the ten requests that wait at the end of a step that took most of a training's time.

use crate::allocation::{AllocationError, Demand, Prices, Use};

/// An assignment is good enough when none is better by more than this share.
const GAP: f64 = 1e-6;

/// The best assignment that has been found after so many nodes of the search is taken: a count and no time, so that it is
/// the same on every machine.
const NODES: u32 = 20_000;

/// Single demands, each whole: which of its options each is given in the best assignment, `None` where it is given none.
/// Amounts and limits must not be below 0.
///
/// # Errors
/// When the linear program has no optimum, which finite figures do not come to.
pub fn assign(limits: &[f64], demands: &[Vec<Use>]) -> Result<Vec<Option<usize>>, AllocationError> {
    let is_scarce = scarce(limits, demands);
    let resources: Vec<usize> = (0..limits.len()).filter(|resource| is_scarce[*resource]).collect();
    let limits: Vec<f64> = resources.iter().map(|resource| limits[*resource]).collect();
    let takes = |option: &Use| -> Vec<f64> {
        let amount = |resource: &usize| {
            option.takes.iter().filter(|(other, _)| other == resource).map(|(_, amount)| amount).sum()
        };
        resources.iter().map(amount).collect()
    };
    let branches = |options: &Vec<Use>| -> Vec<Branch> {
        let is_sensible =
            |option: &usize| options[*option].value > 0.0 && !is_dominated(options, *option, &is_scarce);
        let branch = |option: usize| {
            let used = &options[option];
            Branch { option: Some(option), value: used.value, takes: takes(used), loss: 0.0 }
        };
        let none = Branch { option: None, value: 0.0, takes: vec![0.0; resources.len()], loss: 0.0 };
        (0..options.len()).filter(is_sensible).map(branch).chain([none]).collect()
    };
    let branches: Vec<Vec<Branch>> = demands.iter().map(branches).collect();
    let prices = prices(&limits, &branches)?;
    Ok(Search::new(limits, branches, &prices).run())
}

/// The prices of the program in fractions; none where all demands can have what earns most at once.
fn prices(limits: &[f64], branches: &[Vec<Branch>]) -> Result<Vec<f64>, AllocationError> {
    let mut left = limits.to_vec();
    let can_have_most = |branches: &Vec<Branch>| {
        let most = branches.iter().max_by(|a, b| a.value.total_cmp(&b.value));
        most.is_none_or(|most| most.take(&mut left))
    };
    if branches.iter().all(can_have_most) {
        return Ok(vec![0.0; limits.len()]);
    }
    let used = |branch: &Branch| Use {
        value: branch.value,
        takes: branch.takes.iter().copied().enumerate().filter(|(_, amount)| *amount != 0.0).collect(),
    };
    let demand = |branches: &Vec<Branch>| Demand {
        count: 1.0,
        options: branches.iter().filter(|branch| branch.option.is_some()).map(used).collect(),
    };
    let demands: Vec<Demand> = branches.iter().map(demand).collect();
    Ok(Prices::solve(limits, &demands)?.of)
}

/// What a demand may be given.
struct Branch {
    /// The option; nothing at all, when absent.
    option: Option<usize>,
    value: f64,
    /// By scarce resource.
    takes: Vec<f64>,
    /// What its choice takes from the bound.
    loss: f64,
}

impl Branch {
    /// Takes its amounts from what is left; leaves it as it is, and says so, where that is too little.
    fn take(&self, left: &mut [f64]) -> bool {
        let fits = self.takes.iter().zip(&*left).all(|(amount, left)| amount <= left);
        if fits {
            left.iter_mut().zip(&self.takes).for_each(|(left, amount)| *left -= amount);
        }
        fits
    }
}

/// A search for the assignment of the least loss. What an assignment loses is the bound without its value: what is lost by
/// its choices, and what it leaves of resources that have a price.
struct Search {
    limits: Vec<f64>,
    /// By demand, in the order in which they are decided; each by its loss.
    branches: Vec<(usize, Vec<Branch>)>,
    /// The bound of all assignments.
    bound: f64,
    /// The branch of each demand, in that order.
    path: Vec<usize>,
    best: Option<(f64, Vec<usize>)>,
    nodes: u32,
}

impl Search {
    fn new(limits: Vec<f64>, branches: Vec<Vec<Branch>>, prices: &[f64]) -> Self {
        let cost = |branch: &Branch| -> f64 {
            branch.takes.iter().zip(prices).map(|(amount, price)| amount * price).sum()
        };
        let mut bound: f64 = limits.iter().zip(prices).map(|(limit, price)| limit * price).sum();
        let mut branches: Vec<(usize, Vec<Branch>)> = branches.into_iter().enumerate().collect();
        for (_, branches) in &mut branches {
            let best = branches.iter().map(|branch| branch.value - cost(branch)).fold(0.0, f64::max);
            bound += best;
            for branch in &mut *branches {
                branch.loss = best - (branch.value - cost(branch));
            }
            branches.sort_by(|a, b| a.loss.total_cmp(&b.loss).then(b.value.total_cmp(&a.value)));
        }
        // those first of which the most depends on the choice
        let spread = |branches: &[Branch]| branches.iter().map(&cost).fold(0.0, f64::max);
        branches.sort_by(|a, b| spread(&b.1).total_cmp(&spread(&a.1)).then(a.0.cmp(&b.0)));
        Self { limits, branches, bound, path: Vec::new(), best: None, nodes: 0 }
    }

    fn run(mut self) -> Vec<Option<usize>> {
        let left = self.limits.clone();
        self.descend(&left, 0.0, 0.0);
        let mut given = vec![None; self.branches.len()];
        for ((demand, branches), branch) in self.branches.iter().zip(self.best.unwrap_or_default().1) {
            given[*demand] = branches[branch].option;
        }
        given
    }

    /// Tries what may come after the path, which has this value and has lost so much; `left` is what is left then.
    fn descend(&mut self, left: &[f64], value: f64, lost: f64) {
        let depth = self.path.len();
        if depth == self.branches.len() {
            if self.best.as_ref().is_none_or(|(best, _)| value > *best) {
                self.best = Some((value, self.path.clone()));
            }
            return;
        }
        for branch in 0..self.branches[depth].1.len() {
            let Branch { value: more, loss, takes, .. } = &self.branches[depth].1[branch];
            let (more, loss) = (*more, *loss);
            // those that follow lose more, so that none of them can be better either
            let found = self.best.as_ref().map_or(f64::NEG_INFINITY, |(best, _)| *best);
            if self.bound - lost - loss <= found + GAP * found.abs()
                || self.nodes >= NODES && self.best.is_some()
            {
                return;
            }
            if takes.iter().zip(left).any(|(amount, left)| amount > left) {
                continue;
            }
            let then: Vec<f64> = left.iter().zip(takes).map(|(left, amount)| left - amount).collect();
            self.nodes += 1;
            self.path.push(branch);
            self.descend(&then, value + more, lost + loss);
            self.path.pop();
        }
    }
}

/// Which resources can run out, whatever is chosen. Most cannot, and a program without them is a fraction of the whole.
fn scarce(limits: &[f64], demands: &[Vec<Use>]) -> Vec<bool> {
    let mut most = vec![0.0; limits.len()];
    for options in demands {
        let mut of_demand = vec![0.0_f64; limits.len()];
        for (resource, amount) in options.iter().flat_map(|option| &option.takes) {
            of_demand[*resource] = of_demand[*resource].max(*amount);
        }
        most.iter_mut().zip(of_demand).for_each(|(most, of_demand)| *most += of_demand);
    }
    most.iter().zip(limits).map(|(most, limit)| most > limit).collect()
}

/// Whether another option of the demand earns as much and takes no more of what is scarce; of two that are alike the first
/// one stays.
fn is_dominated(options: &[Use], option: usize, is_scarce: &[bool]) -> bool {
    let own = &options[option];
    let taken = |of: &Use, resource: usize| -> f64 {
        of.takes.iter().filter(|(other, _)| *other == resource).map(|(_, amount)| amount).sum()
    };
    let takes_no_more = |other: &Use| {
        let mut scarce = other.takes.iter().filter(|(resource, _)| is_scarce[*resource]);
        scarce.all(|(resource, amount)| *amount <= taken(own, *resource))
    };
    let alike = |other: &Use| {
        let mut scarce = own.takes.iter().filter(|(resource, _)| is_scarce[*resource]);
        other.value == own.value && scarce.all(|(resource, amount)| *amount <= taken(other, *resource))
    };
    options.iter().enumerate().any(|(i, other)| {
        i != option && other.value >= own.value && takes_no_more(other) && (i < option || !alike(other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(value: f64, takes: &[(usize, f64)]) -> Use {
        Use { value, takes: takes.to_vec() }
    }

    /// By hand: of two places of 4 hours, jobs of 3, 2 and 2 hours fill 3 and 4 of them; in fractions the first one would be
    /// split.
    #[test]
    fn whole_jobs_are_packed_as_they_fit() {
        let jobs: Vec<Vec<Use>> = [(5.0, 3.0), (3.0, 2.0), (3.0, 2.0)]
            .map(|(value, hours)| vec![job(value, &[(0, hours)]), job(value - 1.0, &[(1, hours)])])
            .into();
        let found = assign(&[4.0, 4.0], &jobs).unwrap();
        let value: f64 =
            found.iter().zip(&jobs).filter_map(|(option, job)| option.map(|o| job[o].value)).sum();
        // 6 for both short ones at the first place, and 4 for the long one at the second; or 5 and twice 2
        assert_eq!(value, 10.0, "{found:?}");
        let alone = assign(&[4.0, 0.0], &jobs).unwrap();
        assert_eq!(alone, [None, Some(0), Some(0)], "two short ones are worth more than the long one");
    }

    #[test]
    fn what_earns_nothing_is_given_nothing() {
        assert_eq!(assign(&[1.0], &[vec![job(-2.0, &[(0, 0.5)])], vec![]]).unwrap(), [None, None]);
    }
}
