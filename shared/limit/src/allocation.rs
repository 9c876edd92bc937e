//! Allocating scarce resources to demand in any fractions: the linear program behind the limit.

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem};

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
