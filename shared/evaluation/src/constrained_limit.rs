//! The physical limit under constraints: the most that an episode can earn which meets them all.
//!
//! Its Lagrangian dual is solved by generating columns (Dantzig and Wolfe 1960): at any prices of the constraints, the best
//! allocation is that for another preference ([`StepProblem::best`]), and its value is an upper bound (weak duality). The
//! best mixture of the allocations that were found so far, which is a small linear program, has the prices to try next, and
//! both meet where no prices give a lower bound.

use limit::{AllocationError, Demand, Prices, StepProblem, Use};
use rayon::prelude::*;
use routing_env::{Constraint, Environment, Outcome, Preference, Sums, Term};

use crate::{bounds::Sample, progress::Progress};

/// The bound may be above what is attained by this share.
const CLOSE: f64 = 1e-4;

/// Prices that are tried; the bound holds with fewer, but may be less tight.
const MOST_ROUNDS: usize = 16;

/// No price is above so many unit prices ([`Term::unit_price`]): whoever misses a constraint at such prices cannot
/// meet it.
const HIGHEST_PRICE: f64 = 100.0;

/// The program's own highest price, see [`Prices`].
const HIGHEST_OF_PROGRAM: f64 = 1e6;

/// What is possible at best in an episode under constraints.
#[derive(Clone, Debug, PartialEq)]
pub struct ConstrainedLimit {
    /// The highest sum of rewards by the preference alone, of those who meet the constraints; where nobody can, of one who
    /// misses them by the least.
    pub reward: f64,
    /// The price of each constraint: how many points a unit of its excess would be worth; of several terms the highest.
    pub prices: Vec<f64>,
    /// By which share of its bound each constraint is missed at best; 0 where it can be met.
    pub missed_by: Vec<f64>,
}

/// An allocation of a whole episode.
struct Column {
    reward: f64,
    excesses: Vec<f64>,
    missed_by: Vec<f64>,
}

/// The limits of these seeds, in which so much is requested (what came of it does not matter); `None` when it was
/// cancelled, as `progress` tells.
///
/// # Errors
/// When the solver fails.
pub fn solve(
    env: &Environment,
    preference: Preference,
    constraints: &[Constraint],
    seeds: &[(u64, Sums)],
    progress: &Progress,
) -> Option<Result<Vec<ConstrainedLimit>, AllocationError>> {
    let of_seed = |(seed, asked): &(u64, Sums)| {
        let problems: Vec<StepProblem> = Sample::all(env).problems(env, preference, *seed).collect();
        let terms = Term::of_all(constraints, asked.tenants.len());
        let units = terms.iter().map(|term| term.unit_price(preference, env)).collect();
        let search = Search { problems, preference, constraints, terms, units, asked };
        search.run(progress)
    };
    let solved: Vec<Option<Result<ConstrainedLimit, AllocationError>>> =
        seeds.par_iter().map(of_seed).collect();
    solved.into_iter().collect::<Option<Vec<_>>>().map(|limits| limits.into_iter().collect())
}

/// The search for the prices of one episode.
struct Search<'a> {
    problems: Vec<StepProblem>,
    preference: Preference,
    constraints: &'a [Constraint],
    /// What they come to.
    terms: Vec<Term>,
    /// Of each term.
    units: Vec<f64>,
    asked: &'a Sums,
}

impl Search<'_> {
    /// `None` when it was cancelled.
    fn run(&self, progress: &Progress) -> Option<Result<ConstrainedLimit, AllocationError>> {
        let mut columns: Vec<Column> = Vec::new();
        let mut prices = vec![0.0; self.terms.len()];
        let mut best = (f64::INFINITY, prices.clone());
        for _ in 0..MOST_ROUNDS {
            let (bound, sums) = match self.at(&prices, progress)? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            if bound < best.0 {
                best = (bound, prices.clone());
            }
            columns.push(self.column(&sums));
            let mixed = match self.mixed(&columns) {
                Ok(mixed) => mixed,
                Err(error) => return Some(Err(error)),
            };
            prices = mixed.1;
            if best.0 - mixed.0 <= CLOSE * best.0.abs() {
                break;
            }
        }
        let (bound, prices) = best;
        Some(Ok(self.judged(bound, prices, &columns)))
    }

    /// At these prices: what nobody earns more than who meets the constraints, and what comes of it for who earns the most
    /// when excess is paid for.
    fn at(&self, prices: &[f64], progress: &Progress) -> Option<Result<(f64, Sums), AllocationError>> {
        let priced = Term::all_priced(&self.terms, prices, self.preference);
        let mut sum = limit::Best::default();
        for problem in &self.problems {
            if progress.is_cancelled() {
                return None;
            }
            match problem.clone().with_preference(priced.clone()).best() {
                Ok(best) => sum.merge(&best),
                Err(error) => return Some(Err(error)),
            }
        }
        // the weights say what excess is saved beside who serves nothing
        let idle = self.excesses(&self.came_to(Outcome::default(), &[]));
        let paid: f64 = prices.iter().zip(&idle).map(|(price, excess)| price * excess).sum();
        Some(Ok((sum.reward - paid, self.came_to(sum.outcome, &sum.tenant_gpu_hours))))
    }

    /// This outcome of what is requested, with the GPU-hours that are served by tenant.
    fn came_to(&self, outcome: Outcome, tenant_gpu_hours: &[f64]) -> Sums {
        let served = tenant_gpu_hours.iter().copied().chain(std::iter::repeat(0.0));
        let tenants = served.zip(&self.asked.tenants).map(|(served, (_, requested))| (served, *requested));
        Sums { outcome, requested: self.asked.requested, tenants: tenants.collect() }
    }

    fn column(&self, sums: &Sums) -> Column {
        let missed_by = |constraint: &Constraint| constraint.missed_by(sums).max(0.0);
        Column {
            reward: self.preference.reward(&sums.outcome),
            excesses: self.excesses(sums),
            missed_by: self.constraints.iter().map(missed_by).collect(),
        }
    }

    fn excesses(&self, sums: &Sums) -> Vec<f64> {
        self.terms.iter().map(|term| term.excess(sums)).collect()
    }

    /// The prices of the constraints, where these are of the terms.
    fn of_constraints(&self, prices: &[f64]) -> Vec<f64> {
        Term::dearest(self.constraints, self.asked.tenants.len(), prices)
    }

    /// The best mixture of these allocations, and of serving nothing, that meets the constraints, and their prices there.
    fn mixed(&self, columns: &[Column]) -> Result<(f64, Vec<f64>), AllocationError> {
        let scales: Vec<f64> =
            self.units.iter().map(|unit| unit * HIGHEST_PRICE / HIGHEST_OF_PROGRAM).collect();
        let idle = self.excesses(&self.came_to(Outcome::default(), &[]));
        let limits: Vec<f64> = idle.iter().zip(&scales).map(|(excess, scale)| -excess * scale).collect();
        let option = |column: &Column| Use {
            value: column.reward,
            takes: (0..scales.len()).map(|i| (i, (column.excesses[i] - idle[i]) * scales[i])).collect(),
        };
        let demand = Demand { count: 1.0, options: columns.iter().map(option).collect() };
        let Prices { of, value } = Prices::solve(&limits, &[demand])?;
        Ok((value, of.iter().zip(&scales).map(|(price, scale)| price * scale).collect()))
    }

    fn judged(&self, bound: f64, prices: Vec<f64>, columns: &[Column]) -> ConstrainedLimit {
        let highest = self.units.iter().map(|unit| unit * HIGHEST_PRICE);
        if prices.iter().zip(highest).all(|(price, highest)| *price < highest * 0.999) {
            let missed_by = vec![0.0; self.constraints.len()];
            return ConstrainedLimit { reward: bound, missed_by, prices: self.of_constraints(&prices) };
        }
        let missed = |column: &Column| -> f64 {
            column.excesses.iter().zip(&self.units).map(|(excess, unit)| excess.max(0.0) * unit).sum()
        };
        let worth = |column: &Column| column.reward - HIGHEST_PRICE * missed(column);
        let least = columns.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)));
        ConstrainedLimit {
            reward: least.map_or(bound, |column| column.reward),
            missed_by: least.map_or_else(Vec::new, |column| column.missed_by.clone()),
            prices: self.of_constraints(&prices),
        }
    }
}

#[cfg(test)]
mod tests {
    use limit::{Best, Limit};
    use routing_env::{ConstrainedFigure, Episode, Preferences, Preset, Reward};

    use super::*;
    use crate::bounds;

    const USUAL: Preference = Preference::EXCESS_COST;
    const SEED: u64 = 1 << 32;

    fn env() -> Environment {
        Environment::built_in(Preset::Contended).with_steps(4)
    }

    /// What is requested.
    fn asked(env: &Environment) -> Sums {
        let mut episode = Episode::new(env, SEED, Reward::EXCESS_COST);
        let tenants = vec![(0.0, 0.0); env.workloads().tenants.len()];
        let mut asked = Sums { tenants, ..Sums::default() };
        while episode.begin_step() {
            for request in episode.outcome().requests {
                asked.requested.requests += 1.0;
                asked.requested.gpu_hours += request.hours;
                asked.tenants[request.tenant].1 += request.hours;
            }
        }
        asked
    }

    fn limit(constraints: &[Constraint]) -> ConstrainedLimit {
        limit_in(&env(), constraints)
    }

    fn limit_in(env: &Environment, constraints: &[Constraint]) -> ConstrainedLimit {
        let seeds = [(SEED, asked(env))];
        solve(env, USUAL, constraints, &seeds, &Progress::default()).unwrap().unwrap().remove(0)
    }

    /// The best by these weights.
    fn best(wanted: Preference) -> Best {
        let env = env();
        let all = Sample::all(&env);
        bounds::best(&env, wanted, &all, &[SEED], &Progress::default()).unwrap().unwrap().remove(0)
    }

    /// The same where the GPU-hours of tenants are worth something of their own.
    fn best_of_tenants(env: &Environment, wanted: &Preferences) -> Best {
        let mut sum = Best::default();
        for problem in StepProblem::of_episode(env, SEED) {
            sum.merge(&problem.with_preference(wanted.clone()).best().unwrap());
        }
        sum
    }

    #[test]
    fn what_the_best_meets_anyway_costs_nothing() {
        let loose = [
            Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound: 1000.0 },
            Constraint { figure: ConstrainedFigure::GpuHoursFill, bound: 0.1 },
        ];
        let found = limit(&loose);
        assert_eq!((found.prices, found.missed_by), (vec![0.0; 2], vec![0.0; 2]));
        assert!((found.reward / best(USUAL).reward - 1.0).abs() < 1e-9);
    }

    /// A second way: the dual function on a grid of prices, of which the least value is the limit.
    #[test]
    fn the_limit_is_where_no_price_gives_a_lower_bound() {
        let free = best(USUAL).outcome;
        let mean = free.latency_ms / free.served;
        let constraint = Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound: 0.97 * mean };
        let found = limit(&[constraint]);
        let terms: Vec<Term> = constraint.terms(4).collect();
        let at = |price: f64| best(Term::all_priced(&terms, &[price], USUAL).all).reward;
        let least = (0..40).map(|i| at(0.01 * f64::from(i))).fold(f64::INFINITY, f64::min);
        assert!(
            found.reward <= least * (1.0 + 1e-4) && found.reward >= least * (1.0 - 1e-3),
            "{found:?} {least}"
        );
        assert!(found.reward < best(USUAL).reward * (1.0 - 1e-3) && found.prices[0] > 0.0, "{found:?}");
        assert_eq!(found.missed_by, [0.0]);
    }

    #[test]
    fn what_nobody_can_meet_is_missed_by_what_the_highest_fill_misses() {
        let env = env();
        let all = Sample::all(&env);
        let limits = bounds::solve(&env, USUAL, &all, &[SEED], &Progress::default()).unwrap().unwrap();
        let highest = limits.first().and_then(Limit::fill_rate).unwrap();
        assert!(highest < 0.999, "{highest}");
        let found = limit(&[Constraint { figure: ConstrainedFigure::FillRate, bound: 1.0 }]);
        assert!((found.missed_by[0] - (1.0 - highest)).abs() < 1e-4, "{found:?} {highest}");
        assert!(found.reward < best(USUAL).reward);
    }

    /// The dual function again, with a price for each tenant: that of the worst one alone is searched, because the others
    /// have room. On `contended` each is bound by its own budget, and no price would change anything.
    #[test]
    fn the_limit_under_a_constraint_on_the_worst_tenant_is_its_dual_too() {
        let env = Environment::built_in(Preset::Overloaded).with_steps(4);
        let asked = asked(&env);
        let free = best_of_tenants(&env, &USUAL.into());
        let share = |best: &Best, tenant: usize| best.tenant_gpu_hours[tenant] / asked.tenants[tenant].1;
        let mut shares: Vec<(usize, f64)> = (0..asked.tenants.len()).map(|t| (t, share(&free, t))).collect();
        shares.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (worst, next) = (shares[0], shares[1].1);
        let bound = 1.03 * worst.1;
        assert!(bound < next, "{shares:?}");
        let constraint = Constraint { figure: ConstrainedFigure::WorstTenantGpuHoursFill, bound };
        let found = limit_in(&env, &[constraint]);
        assert_eq!(found.missed_by, [0.0]);
        let at = |price: f64| {
            let mut tenants = vec![USUAL; asked.tenants.len()];
            tenants[worst.0].gpu_hour += price;
            best_of_tenants(&env, &Preferences { all: USUAL, tenants }).reward
                - price * bound * asked.tenants[worst.0].1
        };
        let least = (0..60).map(|i| at(0.25 * f64::from(i))).fold(f64::INFINITY, f64::min);
        assert!(found.reward <= least + 1e-4 * least.abs(), "{found:?} {least}");
        assert!(found.reward >= least - 1e-3 * least.abs(), "{found:?} {least}");
        assert!(found.reward < free.reward * (1.0 - 1e-4) && found.prices[0] > 0.0, "{found:?} {free:?}");
    }

    #[test]
    fn a_cancelled_search_is_none() {
        let cancelled = Progress::default();
        cancelled.cancel();
        let any = [Constraint { figure: ConstrainedFigure::FillRate, bound: 0.5 }];
        assert!(solve(&env(), USUAL, &any, &[(SEED, Sums::default())], &cancelled).is_none());
    }
}
