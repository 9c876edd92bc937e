//! Worlds with providers whose jobs fail, and authors who tell how often, honest or not.

use std::collections::BTreeMap;

use federation::{Author, Claim, Kind, Verdict, judge};
use merkle_log::note::NoteSigner;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Beta, Binomial, Distribution as _, LogNormal};
use rand_pcg::Pcg64Mcg;

#[derive(Clone, Copy)]
pub(crate) struct World {
    pub(crate) authors: usize,
    pub(crate) providers: usize,
    /// The median number of an author's tries at a provider.
    pub(crate) tries: f64,
    /// Between the tries of an author at a provider.
    pub(crate) correlation: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    AllFailed,
    ManyAtThreeTenths,
    TwoDouble,
    SixDouble,
    SixATenthMore,
}

/// Root mean square errors, and shares of authors who were left out.
pub(crate) struct Errors {
    pub(crate) alone: f64,
    pub(crate) sum: f64,
    pub(crate) guarded: f64,
    pub(crate) liars_out: f64,
    pub(crate) honest_out: f64,
}

impl Lie {
    pub(crate) const ALL: [Self; 5] =
        [Self::AllFailed, Self::ManyAtThreeTenths, Self::TwoDouble, Self::SixDouble, Self::SixATenthMore];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AllFailed => "one: 1,000 tries, all failed",
            Self::ManyAtThreeTenths => "one: 1,000 tries at .3",
            Self::TwoDouble => "two: twice the failures",
            Self::SixDouble => "six: twice the failures",
            Self::SixATenthMore => "six: .1 more a try",
        }
    }

    pub(crate) fn liars(self) -> usize {
        match self {
            Self::AllFailed | Self::ManyAtThreeTenths => 1,
            Self::TwoDouble => 2,
            Self::SixDouble | Self::SixATenthMore => 6,
        }
    }

    fn tell(self, claim: &mut Claim) {
        let (more, mean) = match self {
            Self::AllFailed => (1000.0, 1.0),
            Self::ManyAtThreeTenths => (1000.0, 0.3),
            Self::TwoDouble | Self::SixDouble => (0.0, (2.0 * claim.mean).min(1.0)),
            Self::SixATenthMore => (0.0, (claim.mean + 0.1).min(1.0)),
        };
        claim.count += more;
        claim.mean = if claim.count > 0.0 { mean } else { 0.0 };
    }
}

pub(crate) fn errors(world: World, lie: Option<Lie>, worlds: u32, seed: u64) -> Errors {
    let mut names: Vec<Author> = (0..world.authors)
        .map(|n| {
            Author::of(&NoteSigner::new(&format!("node-{n}"), &[n as u8 + 1; 32]).unwrap().verifier_key())
        })
        .collect();
    names.sort();
    let liars = lie.map_or(0, Lie::liars);
    let honest = world.authors - liars;
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut all = Errors { alone: 0.0, sum: 0.0, guarded: 0.0, liars_out: 0.0, honest_out: 0.0 };
    for _ in 0..worlds {
        let (rates, mut told) = draw(world, &mut rng);
        for claim in told[..liars].iter_mut().flatten() {
            lie.into_iter().for_each(|lie| lie.tell(claim));
        }
        let alone = |author: usize| error(&rates, [&told[author]]);
        all.alone += (liars..world.authors).map(alone).sum::<f64>() / honest as f64;
        all.sum += error(&rates, &told);
        let claims: BTreeMap<Author, Vec<Claim>> = names.iter().cloned().zip(told).collect();
        let verdicts: Vec<Verdict> = judge(&claims).into_values().collect();
        let heeded = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Heeded(claims) => Some(claims),
            Verdict::LeftOut(_) => None,
        });
        all.guarded += error(&rates, heeded);
        let out = |verdicts: &[Verdict]| {
            verdicts.iter().filter(|verdict| matches!(verdict, Verdict::LeftOut(_))).count() as f64
        };
        all.liars_out += out(&verdicts[..liars]) / liars.max(1) as f64;
        all.honest_out += out(&verdicts[liars..]) / honest as f64;
    }
    let worlds = f64::from(worlds);
    for sum in [&mut all.alone, &mut all.sum, &mut all.guarded, &mut all.liars_out, &mut all.honest_out] {
        *sum /= worlds;
    }
    all
}

/// Failure rates, and what each author has seen of them.
fn draw(world: World, rng: &mut Pcg64Mcg) -> (Vec<f64>, Vec<Vec<Claim>>) {
    let rates: Vec<f64> = (0..world.providers).map(|_| rng.random_range(0.02..0.25)).collect();
    let tries = LogNormal::new(world.tries.ln(), 1.0).unwrap();
    let mut claim = |(provider, rate): (usize, &f64)| {
        let count = tries.sample(rng).round();
        let others = 1.0 / world.correlation - 1.0;
        let rate = if world.correlation > 0.0 {
            Beta::new(rate * others, (1.0 - rate) * others).unwrap().sample(rng)
        } else {
            *rate
        };
        let failed = Binomial::new(count as u64, rate).unwrap().sample(rng) as f64;
        let mean = if count > 0.0 { failed / count } else { 0.0 };
        Claim { name: format!("failures a try at provider {provider}"), kind: Kind::Share, count, mean }
    };
    let told = (0..world.authors).map(|_| rates.iter().enumerate().map(&mut claim).collect()).collect();
    (rates, told)
}

/// Of what these claim together, beside the one try in ten that is believed to fail before anything is seen.
fn error<'a>(rates: &[f64], told: impl IntoIterator<Item = &'a Vec<Claim>>) -> f64 {
    let mut sums = vec![(1.0, 0.1); rates.len()];
    for claim in told.into_iter().flat_map(|claims| claims.iter().enumerate()) {
        let (provider, Claim { count, mean, .. }) = claim;
        sums[provider].0 += count;
        sums[provider].1 += count * mean;
    }
    let squares = rates.iter().zip(sums).map(|(rate, (count, failed))| (failed / count - rate).powi(2));
    (squares.sum::<f64>() / rates.len() as f64).sqrt()
}
