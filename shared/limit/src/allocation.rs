//! Allocating scarce resources to demand: the linear program behind the limit, and the integer program of single requests.

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem, SolveOptions};

/// Above this no price is sought: it keeps a program with an unattainable requirement bounded. The value of
/// any prices is a bound, these included.
const HIGHEST_PRICE: f64 = 1e6;

/// Demand that can be met by any of its options, or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// How many there are; a fraction is allowed.
    pub count: f64,
    /// What one of them can be used for.
    pub options: Vec<Use>,
}

/// One way of meeting a demand.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// What it earns.
    pub value: f64,
    /// The resources that it takes, each once: index and amount. A negative amount counts towards a
    /// resource with a negative limit, which is a requirement.
    pub takes: Vec<(usize, f64)>,
}

/// What a unit of each resource is worth at the optimum: the program's dual solution.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// By resource.
    pub of: Vec<f64>,
    /// The highest total value that the resources allow, fractions of a demand included.
    pub value: f64,
}

/// The solver gave up; on figures within the simulator's ranges it does not.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("expected an allocation of {demands} demands to {resources} resources to have an optimum")]
pub struct AllocationError {
    demands: usize,
    resources: usize,
    source: Option<microlp::Error>,
}

/// How much of each demand the best allocation gives to each of its options: `[demand][option]`, in counts.
///
/// # Errors
/// When the solver fails.
pub(crate) fn allocate(limits: &[f64], demands: &[Demand]) -> Result<Vec<Vec<f64>>, AllocationError> {
    let mut program = Problem::new(OptimizationDirection::Maximize);
    let mut taken = vec![LinearExpr::empty(); limits.len()];
    let mut shares = Vec::with_capacity(demands.len());
    for demand in demands {
        let mut all = LinearExpr::empty();
        let options: Vec<_> =
            demand.options.iter().map(|o| program.add_var(o.value, (0.0, demand.count))).collect();
        for (share, option) in options.iter().zip(&demand.options) {
            all.add(*share, 1.0);
            option.takes.iter().for_each(|(resource, amount)| taken[*resource].add(*share, *amount));
        }
        program.add_constraint(all, ComparisonOp::Le, demand.count);
        shares.push(options);
    }
    for (taken, limit) in taken.into_iter().zip(limits) {
        program.add_constraint(taken, ComparisonOp::Le, *limit);
    }
    let failed = |source| AllocationError { demands: demands.len(), resources: limits.len(), source };
    let outcome = program.solve().map_err(|error| failed(Some(error)))?;
    let solution = outcome.solution().ok_or_else(|| failed(None))?;
    let values = |options: &Vec<_>| options.iter().map(|share| solution.var_value(*share)).collect();
    Ok(shares.iter().map(values).collect())
}

/// An assignment is good enough when none is better by more than this share.
const ASSIGNMENT_GAP: f64 = 1e-4;

/// The best assignment that has been found after so many nodes of the search is taken: a count and no time, so that it is
/// the same on every machine.
const ASSIGNMENT_NODES: u64 = 2000;

/// Single demands, each whole: which of its options each is given in the best assignment, `None` where it is given none.
///
/// # Errors
/// When the solver fails, or finds nothing in the nodes that it has.
pub fn assign(limits: &[f64], demands: &[Vec<Use>]) -> Result<Vec<Option<usize>>, AllocationError> {
    let is_scarce = scarce(limits, demands);
    let mut program = Problem::new(OptimizationDirection::Maximize);
    let mut taken = vec![LinearExpr::empty(); limits.len()];
    let mut given = Vec::with_capacity(demands.len());
    for options in demands {
        let mut all = LinearExpr::empty();
        let sensible = (0..options.len()).filter(|option| !is_dominated(options, *option, &is_scarce));
        let chosen: Vec<_> = sensible
            .map(|option| {
                let chosen = program.add_binary_var(options[option].value);
                all.add(chosen, 1.0);
                let takes = options[option].takes.iter().filter(|(resource, _)| is_scarce[*resource]);
                takes.for_each(|(resource, amount)| taken[*resource].add(chosen, *amount));
                (option, chosen)
            })
            .collect();
        program.add_constraint(all, ComparisonOp::Le, 1.0);
        given.push(chosen);
    }
    for ((taken, limit), _) in
        taken.into_iter().zip(limits).zip(&is_scarce).filter(|(_, is_scarce)| **is_scarce)
    {
        program.add_constraint(taken, ComparisonOp::Le, *limit);
    }
    let mut options = SolveOptions::default();
    (options.mip_gap, options.node_limit) = (ASSIGNMENT_GAP, Some(ASSIGNMENT_NODES));
    let failed = |source| AllocationError { demands: demands.len(), resources: limits.len(), source };
    let outcome = program.solve_with(options).map_err(|error| failed(Some(error)))?;
    let solution = outcome.solution().ok_or_else(|| failed(None))?;
    let chosen = |options: &Vec<(usize, _)>| {
        options.iter().find(|(_, option)| solution.var_value(*option) > 0.5).map(|(option, _)| *option)
    };
    Ok(given.iter().map(chosen).collect())
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

impl Prices {
    /// The prices at which the best allocation of `limits` to the demands values its resources.
    ///
    /// # Errors
    /// When the solver fails.
    pub fn solve(limits: &[f64], demands: &[Demand]) -> Result<Self, AllocationError> {
        // The dual: the cheapest prices at which no use earns more than its demand's surplus plus what it takes.
        let mut program = Problem::new(OptimizationDirection::Minimize);
        let prices: Vec<_> =
            limits.iter().map(|limit| program.add_var(*limit, (0.0, HIGHEST_PRICE))).collect();
        for demand in demands {
            let surplus = program.add_var(demand.count, (0.0, f64::INFINITY));
            for option in &demand.options {
                let mut worth = LinearExpr::empty();
                worth.add(surplus, 1.0);
                option.takes.iter().for_each(|(resource, amount)| worth.add(prices[*resource], *amount));
                program.add_constraint(worth, ComparisonOp::Ge, option.value);
            }
        }
        let failed = |source| AllocationError { demands: demands.len(), resources: limits.len(), source };
        let outcome = program.solve().map_err(|error| failed(Some(error)))?;
        let solution = outcome.solution().ok_or_else(|| failed(None))?;
        Ok(Self {
            of: prices.iter().map(|price| solution.var_value(*price).max(0.0)).collect(),
            value: solution.objective(),
        })
    }

    /// What an option earns beyond what it takes at these prices.
    #[must_use]
    pub fn net(&self, option: &Use) -> f64 {
        option.value - option.takes.iter().map(|(resource, amount)| self.of[*resource] * amount).sum::<f64>()
    }
}
