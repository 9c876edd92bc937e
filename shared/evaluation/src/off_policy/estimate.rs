//! A policy judged from decisions that another one made.

use super::{
    interval::{by_request, jackknife, skewed},
    model::{Model, PARTS, part_of},
    situation::Sample,
};
use crate::statistics::Interval;

/// Fewer equally weighted decisions than the matching ones are worth give no estimate.
pub const LEAST_EFFECTIVE_SIZE: f64 = 100.0;

/// A smaller share of situations in which the log could have made the policy's choice gives none.
pub const LEAST_OVERLAP: f64 = 0.8;

/// What an estimate rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Support {
    /// Decisions whose reward is known.
    pub decisions: u64,
    /// The share of them in which the log could have made the policy's choice, whatever it made.
    pub overlap: f64,
    /// Decisions that are the policy's choice.
    pub matching: u64,
    /// How many equally weighted ones these are worth: (Σw)² / Σw² (Kish 1965).
    pub effective_size: f64,
    /// The largest weight: 1 / the propensity of a matching decision.
    pub largest_weight: f64,
}

/// Mean rewards of a decision, with 95 % intervals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimates {
    /// What the log itself earned in the same situations.
    pub logged: Interval,
    /// Inverse propensity.
    pub inverse_propensity: Interval,
    /// Inverse propensity, self-normalised.
    pub self_normalised: Interval,
    /// The direct method. Its interval says nothing of what its model gets wrong.
    pub direct: Interval,
    /// Doubly robust: the one to read.
    pub doubly_robust: Interval,
    /// Doubly robust, less what the log earned.
    pub gain: Interval,
}

/// A policy, judged or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What it rests on.
    pub support: Support,
    /// The estimates, or why there are none.
    pub estimates: Result<Estimates, String>,
}

/// Judges a policy.
#[must_use]
pub fn judge(samples: &[Sample]) -> Judged {
    let covered: Vec<Sample> =
        samples.iter().filter(|sample| sample.target.propensity > 0.0).copied().collect();
    let support = Support::of(samples.len(), &covered);
    let estimates = match support.refusal() {
        Some(refusal) => Err(refusal),
        None => Ok(Estimates::of(&covered, support.effective_size)),
    };
    Judged { support, estimates }
}

impl Sample {
    /// 1 / propensity where the log made the policy's choice, 0 elsewhere.
    fn weight(&self) -> f64 {
        if self.logged.choice == self.target.choice { 1.0 / self.logged.propensity } else { 0.0 }
    }
}

impl Support {
    fn of(decisions: usize, covered: &[Sample]) -> Self {
        let weights = || covered.iter().map(Sample::weight);
        let (sum, squares) = (weights().sum::<f64>(), weights().map(|w| w * w).sum::<f64>());
        Self {
            decisions: decisions as u64,
            overlap: if decisions == 0 { 0.0 } else { covered.len() as f64 / decisions as f64 },
            matching: weights().filter(|weight| *weight > 0.0).count() as u64,
            effective_size: if squares == 0.0 { 0.0 } else { sum * sum / squares },
            largest_weight: weights().fold(0.0, f64::max),
        }
    }

    /// Why there is no estimate, in a sentence.
    fn refusal(&self) -> Option<String> {
        let Self { decisions, overlap, effective_size, .. } = *self;
        if decisions == 0 {
            return Some("The log has no decision whose outcome was told.".to_owned());
        }
        if overlap < LEAST_OVERLAP {
            return Some(format!(
                "In {:.0} % of the decisions the log could have made this policy's choice, and {:.0} % are needed: it shows too \
                 little of what this policy does. Explore more, or among more providers.",
                (100.0 * overlap).floor(),
                100.0 * LEAST_OVERLAP
            ));
        }
        (effective_size < LEAST_EFFECTIVE_SIZE).then(|| {
            format!(
                "The decisions that are this policy's choice are worth {:.0} equally weighted ones, and {LEAST_EFFECTIVE_SIZE:.0} \
                 are needed. Log more decisions, or explore more.",
                effective_size.floor()
            )
        })
    }
}

impl Estimates {
    fn of(samples: &[Sample], effective_size: f64) -> Self {
        let mean = |term: &dyn Fn(&Sample) -> f64| {
            let terms: Vec<f64> = samples.iter().map(term).collect();
            interval(samples, &terms, samples.len() as f64)
        };
        let without = models(samples);
        let model = |sample: &Sample| &without[part_of(sample.request)];
        let doubly_robust = |sample: &Sample| {
            let surprise = sample.reward - model(sample).expects(&sample.logged);
            model(sample).expects(&sample.target) + sample.weight() * surprise
        };
        let weighted = |term: &dyn Fn(&Sample) -> f64| {
            let terms: Vec<f64> = samples.iter().map(term).collect();
            interval(samples, &terms, effective_size)
        };
        Self {
            logged: mean(&|sample| sample.reward),
            inverse_propensity: weighted(&|sample| sample.weight() * sample.reward),
            self_normalised: self_normalised(samples, effective_size),
            direct: direct(samples, &without),
            doubly_robust: weighted(&doubly_robust),
            gain: weighted(&|sample| doubly_robust(sample) - sample.reward),
        }
    }
}

/// The mean of terms, one for each decision.
fn interval(samples: &[Sample], terms: &[f64], effective_size: f64) -> Interval {
    let count = terms.len() as f64;
    let mean = terms.iter().sum::<f64>() / count;
    let deviations = samples.iter().zip(terms).map(|(sample, term)| (sample.request, term - mean));
    skewed(mean, &by_request(deviations), count, effective_size)
}

/// Σwr / Σw, with the deviations of the linearised ratio.
fn self_normalised(samples: &[Sample], effective_size: f64) -> Interval {
    let count = samples.len() as f64;
    let weights: f64 = samples.iter().map(Sample::weight).sum();
    let ratio = samples.iter().map(|sample| sample.weight() * sample.reward).sum::<f64>() / weights;
    let deviations = samples.iter().map(|sample| {
        let deviation = sample.weight() * (sample.reward - ratio) / (weights / count);
        (sample.request, deviation)
    });
    skewed(ratio, &by_request(deviations), count, effective_size)
}

/// What the model expects, and how far that changes with the requests that it knows.
fn direct(samples: &[Sample], without: &[Model]) -> Interval {
    let expected = |model: &Model, left_out: Option<usize>| {
        let met = samples.iter().filter(|sample| Some(part_of(sample.request)) != left_out);
        let (sum, count) =
            met.fold((0.0, 0.0), |(sum, count), sample| (sum + model.expects(&sample.target), count + 1.0));
        (count > 0.0).then_some(sum / count)
    };
    let whole = expected(&Model::fit(samples.iter()), None).unwrap_or_default();
    let others: Vec<f64> =
        without.iter().enumerate().filter_map(|(part, model)| expected(model, Some(part))).collect();
    jackknife(whole, &others)
}

/// For each part the model that was learned from the others.
fn models(samples: &[Sample]) -> Vec<Model> {
    let without = |part| Model::fit(samples.iter().filter(move |sample| part_of(sample.request) != part));
    (0..PARTS).map(without).collect()
}

#[cfg(test)]
mod tests {
    use routing_env::Choice;

    use super::*;
    use crate::off_policy::situation::Taken;

    fn taken(provider: usize, propensity: f64) -> Taken {
        Taken { choice: Choice::Route(provider), propensity, promised: 10.0 }
    }

    /// Two providers; the log sends four fifths to the first, the policy everything to the second.
    fn log(repeats: u64) -> Vec<Sample> {
        let made = |n: u64, provider, propensity, reward| Sample {
            request: n,
            logged: taken(provider, propensity),
            reward,
            target: taken(1, 0.2),
        };
        let five = |n: u64| {
            let first = |i| made(5 * n + i, 0, 0.8, 10.0);
            [
                first(0),
                first(1),
                first(2),
                first(3),
                made(5 * n + 4, 1, 0.2, if n.is_multiple_of(2) { 4.0 } else { 8.0 }),
            ]
        };
        (0..repeats).flat_map(five).collect()
    }

    #[test]
    fn the_estimates_are_those_that_are_computed_by_hand() {
        let Judged { support, estimates } = judge(&log(200));
        assert_eq!(
            support,
            Support {
                decisions: 1000,
                overlap: 1.0,
                matching: 200,
                effective_size: 200.0,
                largest_weight: 5.0
            }
        );
        let estimates = estimates.unwrap();
        // 5 · (100 · 4 + 100 · 8) / 1000
        assert!((estimates.inverse_propensity.mean - 6.0).abs() < 1e-12);
        assert!((estimates.self_normalised.mean - 6.0).abs() < 1e-12);
        assert!((estimates.logged.mean - 9.2).abs() < 1e-12);
        // the second provider brings 6 of 10 in 200 decisions, and 20 more speak for 9.2 of 10
        assert!((estimates.direct.mean - (200.0 * 6.0 + 20.0 * 9.2) / 220.0).abs() < 1e-9);
        assert!((estimates.doubly_robust.mean - 6.0).abs() < 0.05);
        assert!((estimates.gain.mean - (estimates.doubly_robust.mean - 9.2)).abs() < 1e-9);
        assert!(estimates.gain.high < 0.0);
        // what is weighted varies by 2 around 6: ± 2 · 1.97 / √200
        let reach = estimates.self_normalised.high - 6.0;
        assert!((reach - 1.972 * 2.0 / 200.0_f64.sqrt()).abs() < 0.003, "{reach}");
    }

    #[test]
    fn a_policy_that_does_what_was_done_earns_what_was_earned() {
        let samples: Vec<Sample> =
            log(200).into_iter().map(|sample| Sample { target: sample.logged, ..sample }).collect();
        let same: Vec<Sample> = samples
            .iter()
            .map(|sample| {
                let certain = Taken { propensity: 1.0, ..sample.logged };
                Sample { logged: certain, target: certain, ..*sample }
            })
            .collect();
        let estimates = judge(&same).estimates.unwrap();
        for interval in [estimates.inverse_propensity, estimates.self_normalised, estimates.doubly_robust] {
            assert!((interval.mean - 9.2).abs() < 1e-9);
        }
        assert!(estimates.gain.mean.abs() < 1e-9 && (estimates.gain.high - estimates.gain.low).abs() < 1e-9);
    }

    #[test]
    fn too_few_matching_decisions_give_a_sentence() {
        let Judged { support, estimates } = judge(&log(99));
        assert_eq!(support.effective_size, 99.0);
        assert!(estimates.unwrap_err().contains("worth 99 equally weighted ones, and 100 are needed"));
        assert!(judge(&log(100)).estimates.is_ok());
        assert!(judge(&[]).estimates.unwrap_err().contains("no decision whose outcome was told"));
    }

    #[test]
    fn choices_that_the_log_never_makes_give_a_sentence() {
        let mut samples = log(200);
        for sample in samples.iter_mut().take(201) {
            sample.target = taken(2, 0.0);
        }
        let Judged { support, estimates } = judge(&samples);
        assert!((support.overlap - 0.799).abs() < 1e-12);
        assert!(estimates.unwrap_err().starts_with("In 79 % of the decisions"));
    }

    /// A model that is wrong about everything moves the direct method, and the doubly robust one not.
    #[test]
    fn what_the_model_gets_wrong_is_put_right() {
        let samples: Vec<Sample> = log(400)
            .into_iter()
            .map(|mut sample| {
                // where the second provider promises little it brings much
                sample.target.promised = if sample.request % 3 == 0 { 1.0 } else { 19.0 };
                if sample.logged.choice == sample.target.choice {
                    sample.logged.promised = sample.target.promised;
                    sample.reward = 20.0 - sample.target.promised;
                }
                sample
            })
            .collect();
        let truth = samples.iter().map(|sample| 20.0 - sample.target.promised).sum::<f64>() / 2000.0;
        let estimates = judge(&samples).estimates.unwrap();
        let Interval { low, high, .. } = estimates.doubly_robust;
        assert!(low < truth && truth < high, "{truth} is not in {low} to {high}");
        assert!((estimates.direct.mean - truth).abs() > 3.0, "{:?}, the truth is {truth}", estimates.direct);
    }
}
