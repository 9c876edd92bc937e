//! Whose claims are heeded, and how far.
//!
//! A liar who is left out does no harm, but no test finds a modest one; an estimate that bears outliers bounds whoever is not
//! found, but not who comes with a thousand times the evidence. So there are three steps, over all authors alike, with no
//! regard to whose node it is:
//!
//! 1. **Counts** of more than 3 times the median count as so many.
//! 2. **The test.** Each claim is compared with what the others say together: Huber's estimate (1964) of the others' claims
//!    alone, and the variance between authors that the median of squared deviations shows. An author is left out for all of
//!    its claims together, by one of two statistics: how far they are *scattered* (the mean of squared deviations), and how
//!    far they *lean* to one side (their sum), in terms of how far those of the others do. Then the others are compared anew,
//!    as long as those who are left are a majority.
//! 3. **The bound.** Of those who are left, a claim is taken as far as one standard deviation from what all say (Winsorised;
//!    one step of Huber's estimate). Whatever a liar says that the test does not find, it moves a mean by no more than
//!    its part of the capped counts of one standard deviation.
//!
//! **Why honest authors pass.** A test by the binomial law alone leaves out honest nodes all the time: they try a provider at
//! different times, while its failures come and go, so that their shares differ by more than chance. (With 60 tries and an
//! intraclass correlation of .05 the variance is 1 + 59 · .05, four times the binomial one: 5 σ are 2.5.) Three things hold the
//! level. The scatter is measured by at least the variance that a correlation of .05 makes, or by what there is between authors
//! where that is more. No single claim counts for more than 5 deviations, so that one wild figure, which heavy tails bring now
//! and then, is not enough. And leaning is measured in units of the authors' own spread (median absolute deviation), so that
//! whatever makes all of them differ makes the unit larger.
//! The limits are those that honest authors pass by far more than 99 % of the time where tries are correlated by up to .1 in
//! authors, counts differ by a factor of 10 and more, and there are 5 or 20 authors: `cargo run --release -p federation
//! --example federation_guard` shows it, and a test holds it.
//!
//! Fewer than 4 who claim something cannot tell which of them is right: they are taken at their word. A third of all authors
//! who lie in the same direction, by about as much as honest ones differ, is not told from honest ones; half of all can lie
//! at will.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::Author;

/// What kind of figure a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A share from 0 to 1, the same for all authors but for chance: each observation is 0 or 1.
    Share,
    /// A mean of positive figures, the same for all authors but for chance.
    Ratio,
    /// A mean that may differ between honest authors as much as it likes: it is bounded, but nobody is left out for it.
    Local,
}

/// What an author says it has seen: a mean over so many observations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Of what.
    pub name: String,
    /// What kind of figure it is.
    pub kind: Kind,
    /// Over how many observations.
    pub count: f64,
    /// Their mean; 0 where there are none.
    pub mean: f64,
}

impl Claim {
    /// Whether anybody can have seen this.
    ///
    /// # Errors
    /// Says what nobody can have seen.
    pub fn check(&self) -> Result<(), String> {
        let Self { name, kind, count, mean } = self;
        if !(0.0..=MOST_OBSERVATIONS).contains(count) {
            return Err(format!("{name}: expected 0 to {MOST_OBSERVATIONS:e} observations, found {count}"));
        }
        let (least, most) = match kind {
            Kind::Share => (0.0, 1.0),
            Kind::Ratio => (0.0, MOST_OBSERVATIONS),
            Kind::Local => (-MOST_OBSERVATIONS, MOST_OBSERVATIONS),
        };
        if (least..=most).contains(mean) {
            Ok(())
        } else {
            Err(format!("{name}: expected a mean from {least} to {most:e}, found {mean}"))
        }
    }
}

/// Nobody has seen more.
const MOST_OBSERVATIONS: f64 = 1e12;

/// Fewer authors cannot tell who of them is right.
const FEWEST: usize = 4;

/// A count of more than so many times the median counts as so many.
const MOST_TIMES_MEDIAN: f64 = 3.0;

/// So many standard deviations a single claim counts for at most.
const LARGEST_DEVIATION: f64 = 5.0;

/// The mean square of an author's deviations is at most the first, and the second divided by the number of its claims, more.
const MOST_SCATTERED: (f64, f64) = (5.0, 20.0);

/// How far the sum of an author's deviations is from the median of these sums at most, in robust standard deviations.
const MOST_LEANING: f64 = 5.0;

/// A claim is taken as far as so many standard deviations from what all say together.
const BOUND: f64 = 1.0;

/// The correlation between the observations of one author that is no reason to leave anybody out.
const TOLERATED_CORRELATION: f64 = 0.05;

/// The correlation that there always is: no two authors have seen quite the same.
const LEAST_CORRELATION: f64 = 0.01;

/// The coefficient of variation of single observations of a ratio.
const VARIATION_OF_RATIOS: f64 = 0.5;

/// From so many standard deviations on a claim has less weight (Huber 1964: 95 % efficient for normal ones at 1.345).
const HUBER: f64 = 1.5;

/// Steps of the estimate; it has settled by then.
const PASSES: usize = 8;

/// Bits to which the variance between authors is found.
const HALVINGS: usize = 20;

/// The median of the square of a standard normal variable.
const MEDIAN_OF_SQUARES: f64 = 0.4549;

/// A normal distribution's standard deviation / its median absolute deviation.
const DEVIATIONS: f64 = 1.4826;

/// What is made of an author's claims.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// They are heeded, as these.
    Heeded(Vec<Claim>),
    /// They are not.
    LeftOut(Vec<Figure>),
}

/// Why an author is left out: a claim that is far from the others'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Which claim.
    pub claim: String,
    /// Over how many observations it was made.
    pub count: f64,
    /// What it says.
    pub mean: f64,
    /// What the others say.
    pub of_the_others: f64,
    /// How far that is apart, in standard deviations.
    pub deviations: f64,
}

/// Judges all authors of a stream by what they claim. A pure function of the claims, whose own author's are among them: every
/// node comes to the same.
#[must_use]
pub fn judge(claims: &BTreeMap<Author, Vec<Claim>>) -> BTreeMap<Author, Verdict> {
    let topics = topics(claims.values());
    let mut heeded = vec![true; claims.len()];
    let mut figures: BTreeMap<usize, Vec<Figure>> = BTreeMap::new();
    // the furthest first, and all others anew without it: what it claims has moved what they are compared with
    while let Some(author) = furthest(&topics, &heeded) {
        figures.insert(author, figures_of(author, &topics, &heeded));
        heeded[author] = false;
    }
    let mut bounded: Vec<Vec<Claim>> = claims.values().cloned().collect();
    for topic in &topics {
        topic.bound(&heeded, &mut bounded);
    }
    let verdict = |(author, claims)| match figures.remove(&author) {
        Some(figures) => Verdict::LeftOut(figures),
        None => Verdict::Heeded(claims),
    };
    claims.keys().cloned().zip(bounded.into_iter().enumerate().map(verdict)).collect()
}

/// All claims about one thing.
struct Topic<'a> {
    name: &'a str,
    kind: Kind,
    claims: Vec<Told>,
}

/// An author's claim, as far as it was made of anything.
#[derive(Clone, Copy)]
struct Told {
    author: usize,
    /// Among the author's claims.
    position: usize,
    count: f64,
    mean: f64,
}

/// What several claim together.
struct Pool {
    centre: f64,
    /// The centre for the variance of a mean: no share that was seen a few times is taken for impossible.
    likely: f64,
    /// The variance of the centre.
    uncertainty: f64,
    /// The variance between authors.
    between: f64,
}

/// How far a claim is from those of the others, in standard deviations.
struct Deviation {
    author: usize,
    /// By the variance between authors that there is.
    estimated: f64,
    /// By that which there may be.
    cautious: f64,
    of_the_others: f64,
}

fn topics<'a>(claims: impl Iterator<Item = &'a Vec<Claim>>) -> Vec<Topic<'a>> {
    let mut topics: BTreeMap<&str, Topic<'a>> = BTreeMap::new();
    for (author, claims) in claims.enumerate() {
        for (position, Claim { name, kind, count, mean }) in claims.iter().enumerate() {
            let topic = topics.entry(name).or_insert_with(|| Topic { name, kind: *kind, claims: Vec::new() });
            if *count > 0.0 {
                topic.claims.push(Told { author, position, count: *count, mean: *mean });
            }
        }
    }
    topics.into_values().collect()
}

/// Who is to be left out next: whoever is furthest beyond what an honest author may be.
fn furthest(topics: &[Topic<'_>], heeded: &[bool]) -> Option<usize> {
    let out = heeded.iter().filter(|heeded| !**heeded).count();
    if heeded.len() - out < FEWEST || 2 * (out + 1) >= heeded.len() {
        return None; // the others are no majority
    }
    let (mut tested, mut squares, mut sums) =
        (vec![0.0; heeded.len()], vec![0.0; heeded.len()], vec![0.0; heeded.len()]);
    for topic in topics.iter().filter(|topic| topic.kind != Kind::Local) {
        for deviation in topic.deviations(heeded) {
            let within = |deviations: f64| deviations.clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION);
            tested[deviation.author] += 1.0;
            squares[deviation.author] += within(deviation.cautious) * within(deviation.cautious);
            sums[deviation.author] += within(deviation.estimated);
        }
    }
    let compared: Vec<usize> = (0..heeded.len()).filter(|author| tested[*author] > 0.0).collect();
    let leaning = |author: usize| sums[author] / f64::sqrt(tested[author]);
    let middle = median(compared.iter().map(|author| leaning(*author)));
    let spread = DEVIATIONS * median(compared.iter().map(|author| (leaning(*author) - middle).abs()));
    let excess = |author: usize| {
        let scattered =
            squares[author] / tested[author] / (MOST_SCATTERED.0 + MOST_SCATTERED.1 / tested[author]);
        let leaning = (leaning(author) - middle).abs() / spread.max(1.0) / MOST_LEANING;
        scattered.max(leaning)
    };
    let furthest = compared.into_iter().map(|author| (author, excess(author)));
    let (author, excess) = furthest.reduce(|best, other| if other.1 > best.1 { other } else { best })?;
    (excess > 1.0).then_some(author)
}

fn figures_of(author: usize, topics: &[Topic<'_>], heeded: &[bool]) -> Vec<Figure> {
    let tested = topics.iter().filter(|topic| topic.kind != Kind::Local);
    let figures = tested.filter_map(|topic| {
        let deviation = topic.deviations(heeded).into_iter().find(|deviation| deviation.author == author)?;
        let told = topic.claims.iter().find(|told| told.author == author)?;
        Some(Figure {
            claim: topic.name.to_owned(),
            count: told.count,
            mean: told.mean,
            of_the_others: deviation.of_the_others,
            deviations: deviation.estimated,
        })
    });
    figures.collect()
}

impl Topic<'_> {
    /// The claims of those who are heeded, each count at most [`MOST_TIMES_MEDIAN`] times the median; nothing of so few that
    /// nobody can be told from the others.
    fn capped(&self, heeded: &[bool]) -> Vec<Told> {
        let mut claims: Vec<Told> = self.claims.iter().filter(|told| heeded[told.author]).copied().collect();
        if claims.len() < FEWEST {
            return Vec::new();
        }
        let cap = (MOST_TIMES_MEDIAN * median(claims.iter().map(|told| told.count))).floor().max(1.0);
        claims.iter_mut().for_each(|told| told.count = told.count.min(cap));
        claims
    }

    fn deviations(&self, heeded: &[bool]) -> Vec<Deviation> {
        let claims = self.capped(heeded);
        let of = |own: &Told| {
            let others: Vec<Told> = claims.iter().filter(|told| told.author != own.author).copied().collect();
            let pool = self.pool(&others);
            let known = self.sampling(pool.likely, own.count) + pool.uncertainty;
            let apart = own.mean - pool.centre;
            let cautious = pool.between.max(self.per_observation(pool.likely) * TOLERATED_CORRELATION);
            Deviation {
                author: own.author,
                estimated: apart / (known + pool.between).sqrt(),
                cautious: apart / (known + cautious).sqrt(),
                of_the_others: pool.centre,
            }
        };
        claims.iter().map(of).collect()
    }

    /// Caps the counts of those who are heeded, and takes their means only as far as the bound.
    fn bound(&self, heeded: &[bool], claims: &mut [Vec<Claim>]) {
        let capped = self.capped(heeded);
        if capped.is_empty() {
            return;
        }
        let pool = self.pool(&capped);
        for told in capped {
            let variance = self.sampling(pool.likely, told.count) + pool.between + pool.uncertainty;
            let bound = BOUND * variance.sqrt();
            let claim = &mut claims[told.author][told.position];
            claim.count = told.count;
            claim.mean = told.mean.max(pool.centre - bound).min(pool.centre + bound);
        }
    }

    /// The variance of a single observation around this centre; a local mean's is not known.
    fn per_observation(&self, centre: f64) -> f64 {
        match self.kind {
            Kind::Share => centre * (1.0 - centre),
            Kind::Ratio => (VARIATION_OF_RATIOS * centre) * (VARIATION_OF_RATIOS * centre),
            Kind::Local => 0.0,
        }
    }

    fn sampling(&self, centre: f64, count: f64) -> f64 {
        self.per_observation(centre) / count
    }

    /// Huber's estimate of location (1964), with the variance between authors estimated beside it.
    fn pool(&self, claims: &[Told]) -> Pool {
        let total: f64 = claims.iter().map(|told| told.count).sum();
        // shares of 0 and 1 have no variance, and no other share would then be possible
        let within = |centre: f64| match self.kind {
            Kind::Share => centre.max(0.5 / (total + 1.0)).min(1.0 - 0.5 / (total + 1.0)),
            Kind::Ratio => centre.max(f64::EPSILON),
            Kind::Local => centre,
        };
        let mut centre = within(middle_mean(claims));
        let (mut between, mut weights) = (0.0, 0.0);
        for _ in 0..PASSES {
            between = self.between(claims, centre).max(self.per_observation(centre) * LEAST_CORRELATION);
            let mut sum = 0.0;
            weights = 0.0;
            for told in claims {
                let variance = (self.sampling(centre, told.count) + between).max(f64::MIN_POSITIVE);
                let deviations = (told.mean - centre).abs() / variance.sqrt();
                let weight = if deviations > HUBER { HUBER / deviations } else { 1.0 } / variance;
                // as a distance from the centre, so that equal means stay what they are and no sum overflows
                sum += weight * (told.mean - centre);
                weights += weight;
            }
            centre = within(centre + sum / weights);
        }
        let likely = match self.kind {
            Kind::Share => (centre * total + 1.0) / (total + 2.0), // Laplace's rule of succession
            _ => centre,
        };
        Pool { centre, likely, uncertainty: 1.0 / weights, between }
    }

    /// The variance between authors with which the median of squared deviations is what it is of normal ones.
    fn between(&self, claims: &[Told], centre: f64) -> f64 {
        let apart = |told: &Told| (told.mean - centre) * (told.mean - centre);
        let median_square = |between: f64| {
            median(claims.iter().map(|told| apart(told) / (self.sampling(centre, told.count) + between)))
        };
        let (mut low, mut high) = (0.0, median(claims.iter().map(apart)) / MEDIAN_OF_SQUARES);
        for _ in 0..HALVINGS {
            let half = 0.5 * (low + high);
            if half > 0.0 && median_square(half) > MEDIAN_OF_SQUARES { low = half } else { high = half }
        }
        high
    }
}

/// The mean of the middle third, by counts: where Huber's estimate begins. Less than a third cannot move it at will.
fn middle_mean(claims: &[Told]) -> f64 {
    let mut sorted = claims.to_vec();
    sorted.sort_unstable_by(|one, other| one.mean.total_cmp(&other.mean));
    let total: f64 = sorted.iter().map(|told| told.count).sum();
    let (from, to) = (total / 3.0, total * 2.0 / 3.0);
    let (mut passed, mut sum) = (0.0, 0.0);
    for told in sorted {
        let inside = (passed + told.count).min(to) - f64::max(passed, from);
        sum += inside.max(0.0) * told.mean;
        passed += told.count;
    }
    sum / (to - from)
}

/// The upper median; 0 of nothing.
fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
