//! What a fold has to know of what it folds: what evidence claims, and how two are brought together.

use policy::{Knowledge, Swarm};
use serde_json::{Number, Value};

use crate::guard::{Claim, Kind};

/// How evidence is read and brought together.
pub trait Law {
    /// What it claims, each claim under a name that no other one has.
    ///
    /// # Errors
    /// Says which figure nobody can have seen: a number of tries below 0, more failures than tries.
    fn claims(&self, evidence: &Knowledge) -> Result<Vec<Claim>, String>;

    /// The same evidence with these claims in place of its own, which are as many and in the same order.
    ///
    /// # Errors
    /// They are not the claims of this evidence.
    fn with_claims(&self, evidence: &Knowledge, claims: &[Claim]) -> Result<Knowledge, String>;

    /// Adds what another one has seen. What has seen nothing changes nothing.
    ///
    /// # Errors
    /// Says why they do not belong together. `all` is then as it was.
    fn merge(&self, all: &mut Knowledge, other: &Knowledge) -> Result<(), String>;
}

/// The laws of the learners of `policy`.
///
/// Of `adaptive` it reads claims: the share of failed tries and the factor of latencies at each provider, which are the same
/// for all, and the levels of demand by time, what settings earned and how right estimators were, which are not. Counts and values of the other learners'
/// tables are no claims about the world but about what follows from acting in some way, so that there is nothing to
/// compare them with: who lies there is found by repeating what made them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LearnersLaw;

impl Law for LearnersLaw {
    fn claims(&self, evidence: &Knowledge) -> Result<Vec<Claim>, String> {
        places(evidence).iter().map(|place| place.read(&evidence.learned)).collect()
    }

    fn with_claims(&self, evidence: &Knowledge, claims: &[Claim]) -> Result<Knowledge, String> {
        let places = places(evidence);
        if places.len() != claims.len() {
            return Err(format!("expected {} claims, found {}", places.len(), claims.len()));
        }
        let mut changed = evidence.clone();
        for (place, claim) in places.iter().zip(claims) {
            place.write(&mut changed.learned, claim)?;
        }
        Ok(changed)
    }

    fn merge(&self, all: &mut Knowledge, other: &Knowledge) -> Result<(), String> {
        all.merge(other).map_err(|error| error.to_string())
    }
}

/// The laws of the learners of `policy`, where a twin of who acts is at hand, which has learned nothing: evidence that it
/// cannot act on (a table with a state that its catalog does not have) is unfit, and its author alone is left out.
#[derive(Clone, Copy)]
pub struct TwinsLaw<'a>(pub &'a Swarm);

impl Law for TwinsLaw<'_> {
    fn claims(&self, evidence: &Knowledge) -> Result<Vec<Claim>, String> {
        self.0.clone().heed(Some(evidence)).map_err(|error| error.to_string())?;
        LearnersLaw.claims(evidence)
    }

    fn with_claims(&self, evidence: &Knowledge, claims: &[Claim]) -> Result<Knowledge, String> {
        LearnersLaw.with_claims(evidence, claims)
    }

    fn merge(&self, all: &mut Knowledge, other: &Knowledge) -> Result<(), String> {
        LearnersLaw.merge(all, other)
    }
}

/// Where a claim stands: the JSON pointers (RFC 6901) to a count and to a sum over so many.
struct Place {
    name: String,
    kind: Kind,
    count: String,
    sum: String,
    /// The sum is a number of things.
    is_whole: bool,
}

impl Place {
    fn new(name: String, kind: Kind, count: String, sum: String) -> Self {
        Self { name, kind, count, sum, is_whole: false }
    }

    fn read(&self, learned: &Value) -> Result<Claim, String> {
        let figure = |pointer: &str| {
            let found = learned.pointer(pointer).and_then(Value::as_f64);
            found.ok_or_else(|| format!("expected a figure at `{pointer}`"))
        };
        let (count, sum) = (figure(&self.count)?, figure(&self.sum)?);
        let mean = if count == 0.0 { 0.0 } else { sum / count };
        let claim = Claim { name: self.name.clone(), kind: self.kind, count, mean };
        claim.check()?;
        if count == 0.0 && sum != 0.0 {
            return Err(format!("{}: expected a sum of 0 over nothing, found {sum}", self.name));
        }
        Ok(claim)
    }

    fn write(&self, learned: &mut Value, claim: &Claim) -> Result<(), String> {
        if claim.name != self.name {
            return Err(format!("expected the claim `{}`, found `{}`", self.name, claim.name));
        }
        // what is left as it was keeps its last bit
        if self.read(learned).is_ok_and(|own| own == *claim) {
            return Ok(());
        }
        let sum = claim.count * claim.mean;
        let sum = if self.is_whole { sum.round() } else { sum };
        for (pointer, figure) in [(&self.count, claim.count), (&self.sum, sum)] {
            let place = learned.pointer_mut(pointer).ok_or_else(|| format!("expected `{pointer}`"))?;
            *place = number(figure).ok_or_else(|| format!("expected a figure, found {figure}"))?;
        }
        Ok(())
    }
}

/// A whole number is written as one: there are counts that are read as nothing else.
fn number(figure: f64) -> Option<Value> {
    let is_whole = figure.trunc() == figure && (0.0..=9.0e15).contains(&figure);
    if is_whole { Some((figure as u64).into()) } else { Number::from_f64(figure).map(Value::Number) }
}

fn places(evidence: &Knowledge) -> Vec<Place> {
    if evidence.algorithm != "adaptive" {
        return Vec::new();
    }
    let learned = &evidence.learned;
    let length = |pointer: &str| learned.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
    let mut places = Vec::new();
    for (kind, list, what) in [
        (Kind::Share, "failures", "failures a try at provider"),
        (Kind::Ratio, "latencies", "latency / advertised latency at provider"),
    ] {
        for provider in 0..length(&format!("/facts/{list}")) {
            let of = format!("/facts/{list}/{provider}");
            places.push(Place::new(format!("{what} {provider}"), kind, format!("{of}/0"), format!("{of}/1")));
        }
    }
    for (list, what) in [("hours", "hour"), ("days", "day")] {
        for time in 0..length(&format!("/facts/calendar/{list}")) {
            let of = format!("/facts/calendar/{list}/{time}");
            for (sum, which) in [("sum", "level"), ("sum_of_squares", "squared level")] {
                let name = format!("{which} of demand, {what} {time}");
                places.push(Place::new(name, Kind::Local, format!("{of}/count"), format!("{of}/{sum}")));
            }
        }
    }
    let worlds = learned.get("worlds").and_then(Value::as_object);
    for world in worlds.into_iter().flat_map(|worlds| worlds.keys()) {
        let at = format!("/worlds/{}", world.replace('~', "~0").replace('/', "~1"));
        for kind in 0..length(&format!("{at}/tunings")) {
            let of = format!("{at}/tunings/{kind}");
            let steps = format!("{of}/steps");
            let unserved = format!("requests set aside or not served a step, {kind}, {world}");
            let unserved = Place::new(unserved, Kind::Local, steps.clone(), format!("{of}/unserved"));
            places.push(Place { is_whole: true, ..unserved });
            for setting in 0..length(&format!("{of}/tried")) {
                let name = format!("earned a step by setting {setting}, {kind}, {world}");
                let earned = format!("{of}/tried/{setting}/earned");
                places.push(Place::new(name, Kind::Local, steps.clone(), earned));
            }
        }
        for estimated in ["level", "mix", "failures", "latencies"] {
            let of = format!("{at}/records/{estimated}");
            for estimator in 0..length(&format!("{of}/sums")) {
                let name = format!("loss a step by estimator {estimator} of {estimated}, {world}");
                let sum = format!("{of}/sums/{estimator}");
                places.push(Place::new(name, Kind::Local, format!("{of}/steps"), sum));
            }
        }
    }
    places
}
