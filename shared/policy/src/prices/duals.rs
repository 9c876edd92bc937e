//! Prices of scarce resources in microseconds: the dual of a fluid program, smoothed so that Newton's method finds it.
//!
//! The dual of a fluid program is `min b·λ + Σ n_c · max(0, max_o net_o(λ))` over prices λ ≥ 0, with a kink wherever a
//! class changes its mind. With `τ·ln(1 + Σ exp(net/τ))` in place of the maximum (Nesterov 2005) it is smooth, its
//! minimum is unique, and classes that are cut into few sizes take up a resource little by little, as the jobs in
//! them do. It is solved by the projected Newton method (Bertsekas 1982) from prices that were good before.

use nalgebra::{DMatrix, DVector};

/// τ: differences of reward per request that are smoothed over, at the scale of `excess-cost`.
const SMOOTHING: f64 = 2.0;

/// A resource is balanced when its use differs from its limit by no more than this share of it.
const TOLERANCE: f64 = 1e-2;

/// The prices after so many steps are taken as they are.
const MAX_STEPS: usize = 30;

/// Below e to this a way has no share: most ways are far from being chosen, and their exponentials would cost most of
/// the time.
const NEGLIGIBLE_EXPONENT: f64 = -20.0;

/// Pairs of ways of which one has a smaller share of its class do not bend the value enough to matter for a step's
/// direction.
const BENDING_SHARE: f64 = 1e-3;

/// Keeps a Newton step finite where no class is near a change of mind.
const DAMPING: f64 = 1e-6;

/// Armijo's share of the promised decrease, and how often a step is halved for it.
const SUFFICIENT_DECREASE: f64 = 1e-4;
const MAX_HALVINGS: usize = 20;

/// One way of serving a class: to try a job there first. A job that fails is tried once more, elsewhere, where that is
/// worth it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Which way it is: the second try goes another one.
    pub(crate) provider: usize,
    /// What the first try is expected to earn.
    pub(crate) value: f64,
    /// The resource of which it takes hours.
    pub(crate) resource: usize,
    pub(crate) hours: f64,
    /// What it is expected to take of the class's budget.
    pub(crate) charge: f64,
    /// The probability that the job succeeds here.
    pub(crate) success: f64,
    /// What the time that was lost here takes from what a second try earns.
    pub(crate) time_lost: f64,
    /// The resource of which it takes one place, where it is to wait for the end of the step. No second try does.
    pub(crate) place: Option<usize>,
}

/// The best second try of a job that fails on the way `first`: which way it goes, and what it earns beyond what it takes.
/// `nets` are those of the first tries. `None` where none is worth it.
pub(crate) fn second_try(ways: &[Way], nets: &[f64], first: &Way) -> Option<(usize, f64)> {
    let may_be_next = |way: &Way| way.provider != first.provider && way.place.is_none();
    let others = ways.iter().enumerate().filter(|(_, way)| may_be_next(way));
    let net = |(i, way): (usize, &Way)| (i, nets[i] - way.success * first.time_lost);
    let better = |best: Option<(usize, f64)>, next: (usize, f64)| {
        if next.1 > best.map_or(0.0, |best| best.1) { Some(next) } else { best }
    };
    others.map(net).fold(None, better)
}

/// Requests alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    /// How many; a fraction is allowed.
    pub(crate) count: f64,
    /// The resource that it is charged to.
    pub(crate) budget: usize,
    /// Where its ways end; they begin where the class before ends.
    pub(crate) ways_end: usize,
}

/// Classes that compete for resources.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What there is of each resource.
    pub(crate) limits: Vec<f64>,
    /// How many times as much everything is worth as by `excess-cost`.
    pub(crate) scale: f64,
    pub(crate) classes: Vec<Class>,
    pub(crate) ways: Vec<Way>,
}

/// Nobody competes for anything.
impl Default for Program {
    fn default() -> Self {
        Self { limits: Vec::new(), scale: 1.0, classes: Vec::new(), ways: Vec::new() }
    }
}

/// What a way is expected to take, its second try included.
struct Taken {
    /// Of the class's budget.
    charge: f64,
    /// Of resources: the hours of the first try, a place, and the hours of the second one.
    of: [(usize, f64); 3],
    /// How many of them there are.
    resources: usize,
}

impl Taken {
    fn resources(&self) -> &[(usize, f64)] {
        &self.of[..self.resources]
    }

    fn add(&mut self, resource: usize, amount: f64) {
        self.of[self.resources] = (resource, amount);
        self.resources += 1;
    }
}

/// Value, gradient and Hessian at some prices.
struct Point {
    value: f64,
    gradient: DVector<f64>,
    hessian: DMatrix<f64>,
}

impl Program {
    /// Improves the prices until every resource that has one is used up and no other is over-used. What all is worth at them.
    pub(crate) fn solve(&self, prices: &mut DVector<f64>) -> f64 {
        let count = self.limits.len();
        let mut at = self.at(prices);
        for _ in 0..MAX_STEPS {
            // a price of 0 that would have to fall stays; all others take part
            let free: Vec<usize> = (0..count).filter(|j| prices[*j] > 0.0 || at.gradient[*j] < 0.0).collect();
            if free.iter().all(|j| at.gradient[*j].abs() <= TOLERANCE * self.limits[*j].max(1.0)) {
                break;
            }
            let gradient = DVector::from_iterator(free.len(), free.iter().map(|j| -at.gradient[*j]));
            let damping = DAMPING * (1.0 + at.hessian.diagonal().max());
            let hessian = DMatrix::from_fn(free.len(), free.len(), |i, j| {
                at.hessian[(free[i], free[j])] + if i == j { damping } else { 0.0 }
            });
            let Some(factors) = hessian.cholesky() else { break };
            let step = factors.solve(&gradient);
            let Some(next) = self.line_search(prices, &free, &step, &at) else { break };
            (*prices, at) = next;
        }
        at.value
    }

    fn line_search(
        &self,
        prices: &DVector<f64>,
        free: &[usize],
        step: &DVector<f64>,
        at: &Point,
    ) -> Option<(DVector<f64>, Point)> {
        let mut length = 1.0;
        for _ in 0..MAX_HALVINGS {
            let mut moved = prices.clone();
            let mut promised = 0.0;
            for (j, change) in free.iter().zip(step.iter()) {
                moved[*j] = (prices[*j] + length * change).max(0.0);
                promised += at.gradient[*j] * (moved[*j] - prices[*j]);
            }
            let there = self.at(&moved);
            if there.value <= at.value + SUFFICIENT_DECREASE * promised {
                return Some((moved, there));
            }
            length /= 2.0;
        }
        None
    }

    fn at(&self, prices: &DVector<f64>) -> Point {
        let smoothing = SMOOTHING * self.scale;
        let count = self.limits.len();
        let mut value = 0.0;
        let mut gradient = DVector::from_column_slice(&self.limits);
        let mut hessian = DMatrix::zeros(count, count);
        for (price, limit) in prices.iter().zip(&self.limits) {
            value += price * limit;
        }
        let (mut nets, mut shares): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut taken: Vec<Taken> = Vec::new();
        let mut bending: Vec<(usize, f64)> = Vec::new();
        let mut start = 0;
        for class in &self.classes {
            let ways = &self.ways[start..class.ways_end];
            start = class.ways_end;
            if ways.is_empty() || class.count <= 0.0 {
                continue;
            }
            let budget = prices[class.budget];
            nets.clear();
            let place = |way: &Way| way.place.map_or(0.0, |place| prices[place]);
            nets.extend(
                ways.iter().map(|w| w.value - w.hours * prices[w.resource] - w.charge * budget - place(w)),
            );
            shares.clone_from(&nets);
            taken.clear();
            for (way, share) in ways.iter().zip(&mut shares) {
                let mut takes =
                    Taken { charge: way.charge, of: [(way.resource, way.hours); 3], resources: 1 };
                if let Some(place) = way.place {
                    takes.add(place, 1.0);
                }
                if way.success < 1.0
                    && let Some((second, net)) = second_try(ways, &nets, way)
                {
                    let failure = 1.0 - way.success;
                    *share += failure * net;
                    takes.charge += failure * ways[second].charge;
                    takes.add(ways[second].resource, failure * ways[second].hours);
                }
                taken.push(takes);
            }
            let best = shares.iter().copied().fold(0.0, f64::max);
            let weight = |net: f64| {
                let exponent = (net - best) / smoothing;
                if exponent > NEGLIGIBLE_EXPONENT { exponent.exp() } else { 0.0 }
            };
            let mut sum = weight(0.0);
            for share in &mut shares {
                *share = weight(*share);
                sum += *share;
            }
            value += class.count * (best + smoothing * sum.ln());
            let curvature = class.count / smoothing;
            let mut charged = 0.0;
            for (takes, share) in taken.iter().zip(&mut shares) {
                *share /= sum;
                charged += *share * takes.charge;
                for (resource, hours) in takes.resources() {
                    gradient[*resource] -= class.count * *share * hours;
                }
            }
            gradient[class.budget] -= class.count * charged;
            // n/τ · (Σ p·a·aᵀ − (Σ p·a)(Σ p·a)ᵀ), the lower triangle
            bending.clear();
            for (takes, share) in taken.iter().zip(&shares) {
                for (i, (resource, whole)) in takes.resources().iter().enumerate() {
                    let hours = share * whole;
                    hessian[(*resource, *resource)] += curvature * hours * whole;
                    for (other, other_hours) in &takes.resources()[..i] {
                        add(&mut hessian, *resource, *other, curvature * hours * other_hours);
                    }
                    let mixed = curvature * hours * (takes.charge - charged);
                    add(&mut hessian, *resource, class.budget, mixed);
                    if *share > BENDING_SHARE {
                        bending.push((*resource, hours));
                    }
                }
                hessian[(class.budget, class.budget)] +=
                    curvature * share * takes.charge * (takes.charge - charged);
            }
            for (i, (resource, hours)) in bending.iter().enumerate() {
                for (j, (other, other_hours)) in bending[..=i].iter().enumerate() {
                    // both orders of a pair fall into the one entry of its resource
                    let twice = if resource == other && i != j { 2.0 } else { 1.0 };
                    add(&mut hessian, *resource, *other, -twice * curvature * hours * other_hours);
                }
            }
        }
        hessian.fill_upper_triangle_with_lower_triangle();
        Point { value, gradient, hessian }
    }
}

/// Adds to an entry of the lower triangle.
fn add(matrix: &mut DMatrix<f64>, i: usize, j: usize, value: f64) {
    matrix[(i.max(j), i.min(j))] += value;
}

#[cfg(test)]
mod tests {
    use limit::{Demand, Prices, Use};
    use rand::RngExt as _;
    use rand_pcg::Pcg64;

    use super::*;

    /// A way on which no job fails.
    fn sure(resource: usize, hours: f64, charge: f64) -> Way {
        Way {
            provider: resource,
            value: 0.0,
            resource,
            hours,
            charge,
            success: 1.0,
            time_lost: 0.0,
            place: None,
        }
    }

    /// Two classes of one-hour jobs, 10 of each, on one resource of 10 hours: one earns 80, the other 50.
    fn two_classes(limit: f64) -> Program {
        let way = |value| Way { value, ..sure(1, 1.0, 0.0) };
        let class = |ways_end| Class { count: 10.0, budget: 0, ways_end };
        Program {
            limits: vec![100.0, limit],
            scale: 1.0,
            classes: vec![class(1), class(2)],
            ways: vec![way(80.0), way(50.0)],
        }
    }

    fn prices_of(program: &Program) -> DVector<f64> {
        let mut prices = DVector::zeros(program.limits.len());
        program.solve(&mut prices);
        prices
    }

    #[test]
    fn an_hour_costs_what_the_job_that_it_keeps_out_would_earn() {
        // where the worse class has half of what it wants, it is indifferent: the price is what it earns
        assert!((prices_of(&two_classes(15.0))[1] - 50.0).abs() < 0.1);
        assert!((prices_of(&two_classes(5.0))[1] - 80.0).abs() < 0.1);
    }

    #[test]
    fn what_is_not_scarce_costs_nothing() {
        assert_eq!(prices_of(&two_classes(20.5))[1], 0.0);
        assert_eq!(prices_of(&two_classes(15.0))[0], 0.0);
    }

    /// The exact program by another solver: smoothing by τ costs a class at most τ·ln(1 + its ways) a request.
    #[test]
    fn the_prices_bound_the_exact_optimum_about_as_tightly_as_its_own() {
        let mut rng = Pcg64::new(7, 9);
        for round in 0..30 {
            let (budgets, providers) = (rng.random_range(1..4_usize), rng.random_range(2..9_usize));
            let mut program = Program::default();
            let mut demands = Vec::new();
            for _ in 0..budgets {
                program.limits.push(rng.random_range(50.0..400.0));
            }
            for _ in 0..providers {
                program.limits.push(rng.random_range(20.0..200.0));
            }
            for _ in 0..40 {
                let (budget, count) = (rng.random_range(0..budgets), rng.random_range(1.0..10.0));
                let hours = rng.random_range(0.5..8.0);
                let ways = rng.random_range(1..4);
                for _ in 0..ways {
                    let charge = hours * rng.random_range(1.0..3.0);
                    let resource = budgets + rng.random_range(0..providers);
                    program
                        .ways
                        .push(Way { value: rng.random_range(20.0..45.0), ..sure(resource, hours, charge) });
                }
                let own = &program.ways[program.ways.len() - ways..];
                let options = own.iter().map(|way| Use {
                    value: way.value,
                    takes: vec![(budget, way.charge), (way.resource, way.hours)],
                });
                demands.push(Demand { count, options: options.collect() });
                program.classes.push(Class { count, budget, ways_end: program.ways.len() });
            }
            let exact = Prices::solve(&program.limits, &demands).unwrap();
            let found = Prices { of: prices_of(&program).iter().copied().collect(), value: 0.0 };
            // weak duality: any prices bound the optimum from above, good ones closely
            let surplus = |demand: &Demand| {
                let nets = demand.options.iter().map(|option| found.net(option));
                demand.count * nets.fold(0.0, f64::max)
            };
            let bound = found.of.iter().zip(&program.limits).map(|(price, limit)| price * limit).sum::<f64>()
                + demands.iter().map(surplus).sum::<f64>();
            let requests: f64 = program.classes.iter().map(|class| class.count).sum();
            assert!(bound >= exact.value - 1e-6 * exact.value, "{round}: {bound} {}", exact.value);
            assert!(
                bound <= exact.value + requests * SMOOTHING * 4.0_f64.ln(),
                "{round}: {bound} {}",
                exact.value
            );
        }
    }
}
