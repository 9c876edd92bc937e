//! Events that change providers for a while: timed by the file, or drawn for each episode.

use rand::{Rng, RngExt};

use crate::{
    catalog::Catalog,
    input::{Checker, InputError},
    market::ProviderState,
    workloads::ScenarioEvent,
};

/// What an event does to its provider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// The provider takes nothing.
    Outage,
    /// Milliseconds added to its latency.
    Latency(f64),
    /// Its capacity is multiplied.
    Capacity(f64),
    /// Its prices are multiplied.
    Price(f64),
    /// Added to its reputation.
    Reputation(f64),
    /// It fails far more of its jobs. Drawn where knowledge is hidden, and never announced.
    Brownout,
}

/// An effect on one provider from `start` on, undone at `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The provider's index.
    pub provider: usize,
    /// The first step with it.
    pub start: u32,
    /// The first step without it.
    pub end: u32,
    /// What it does.
    pub effect: Effect,
}

impl Event {
    pub(crate) fn from_file(
        event: &ScenarioEvent,
        catalog: &Catalog,
        check: &Checker<'_>,
        at: &str,
    ) -> Result<Self, InputError> {
        let provider = catalog.providers.iter().position(|p| p.id == event.provider_id).ok_or_else(|| {
            let known: Vec<&str> = catalog.providers.iter().map(|p| p.id.as_str()).collect();
            check.error(
                format!("{at}/provider_id"),
                format!(
                    "unknown provider `{}`: expected one of the catalog's ({})",
                    event.provider_id,
                    known.join(", ")
                ),
            )
        })?;
        let needs = |field: &str, value: Option<f64>, low: f64, high: f64| {
            let pointer = format!("{at}/{field}");
            let value = value.ok_or_else(|| {
                check.error(pointer.clone(), format!("a {} needs this number", event.event))
            })?;
            check.within(value, low, high, &pointer).map(|()| value)
        };
        let (effect, used, default_duration) = match event.event.as_str() {
            "outage" => (Effect::Outage, "", 5),
            "latency_spike" => {
                (Effect::Latency(needs("delta_ms", event.delta_ms, -1e6, 1e6)?), "delta_ms", 10)
            }
            "capacity_surge" => {
                (Effect::Capacity(needs("multiplier", event.multiplier, 0.0, 1e3)?), "multiplier", 10)
            }
            "price_spike" => {
                (Effect::Price(needs("multiplier", event.multiplier, 1e-3, 1e3)?), "multiplier", 10)
            }
            "reputation_drop" => {
                (Effect::Reputation(needs("delta", event.delta, -100.0, 100.0)?), "delta", 10)
            }
            other => {
                return Err(check.error(
                    format!("{at}/event"),
                    format!(
                        "unknown event `{other}`: expected outage, latency_spike, capacity_surge, price_spike or reputation_drop"
                    ),
                ));
            }
        };
        for (field, present) in [
            ("multiplier", event.multiplier.is_some()),
            ("delta_ms", event.delta_ms.is_some()),
            ("delta", event.delta.is_some()),
        ] {
            check.require(!present || field == used, &format!("{at}/{field}"), || {
                format!("a {} does not take this number: remove it", event.event)
            })?;
        }
        let duration = event.duration.unwrap_or(default_duration);
        check.require((1..=1_000_000).contains(&duration), &format!("{at}/duration"), || {
            format!("expected 1 to 1000000 steps, found {duration}")
        })?;
        Ok(Self { provider, start: event.step, end: event.step.saturating_add(duration), effect })
    }

    /// Draws an event: provider uniform among all but the last, start uniform over the episode,
    /// 8 to 25 steps; outage 20 %, latency 30 %, capacity 10 %, price 30 %, reputation 10 %.
    pub(crate) fn draw(rng: &mut impl Rng, providers: usize, steps: u32) -> Self {
        let provider = rng.random_range(0..providers.saturating_sub(1).max(1));
        let start = rng.random_range(0..steps);
        let duration = rng.random_range(8..=25);
        let effect = match rng.random_range(0..10) {
            0..2 => Effect::Outage,
            2..5 => Effect::Latency(rng.random_range(20.0..150.0)),
            5 => Effect::Capacity(rng.random_range(0.5..1.5)),
            6..9 => Effect::Price(rng.random_range(1.2..2.0)),
            _ => Effect::Reputation(rng.random_range(-12.0..-5.0)),
        };
        Self { provider, start, end: start + duration, effect }
    }

    /// Whether policies are told of it where knowledge is hidden: what a provider advertises, but not how well
    /// it keeps to that.
    pub(crate) fn is_announced(&self) -> bool {
        !matches!(self.effect, Effect::Latency(_) | Effect::Brownout)
    }

    /// Several may overlap: deltas add, multipliers multiply.
    pub(crate) fn apply(&self, state: &mut ProviderState) {
        match self.effect {
            Effect::Outage => state.active = false,
            Effect::Latency(delta) => state.latency_ms += delta,
            Effect::Capacity(multiplier) => state.capacity *= multiplier,
            Effect::Price(multiplier) => state.price_multiplier *= multiplier,
            Effect::Reputation(delta) => state.reputation += delta,
            Effect::Brownout => {}
        }
    }
}

/// An episode's events, step by step. A step costs as much as events are active in it, however many there are.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    events: Vec<Event>,
    /// Their positions, by when they start.
    by_start: Vec<usize>,
    /// How many of these have started.
    started: usize,
    active: Vec<usize>,
}

impl Timeline {
    pub(crate) fn new(events: Vec<Event>) -> Self {
        let mut by_start: Vec<usize> = (0..events.len()).collect();
        by_start.sort_by_key(|event| events[*event].start);
        Self { events, by_start, started: 0, active: Vec::new() }
    }

    /// The events that are active in a step, in the order in which they were given. Steps come one after the other.
    pub(crate) fn begin_step(&mut self, step: u32) -> impl Iterator<Item = &Event> {
        let Self { events, by_start, started, active } = self;
        active.retain(|event| events[*event].end > step);
        while let Some(event) = by_start.get(*started).filter(|event| events[**event].start <= step) {
            if events[*event].end > step {
                active.push(*event);
            }
            *started += 1;
        }
        active.sort_unstable();
        active.iter().map(|event| &events[*event])
    }

    /// What is active goes on for good, and nothing else comes: all that somebody can know who does not know the future.
    pub(crate) fn standing(&self) -> Self {
        let standing = self.active.iter().map(|event| Event { end: u32::MAX, ..self.events[*event] });
        Self::new(standing.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_has_in_each_step_what_is_active_in_the_order_given() {
        let spans = [(3, 6), (0, 2), (3, 4), (1, 9), (5, 5), (2, 100)];
        let events: Vec<Event> = spans
            .iter()
            .enumerate()
            .map(|(provider, (start, end))| Event {
                provider,
                start: *start,
                end: *end,
                effect: Effect::Outage,
            })
            .collect();
        let mut timeline = Timeline::new(events.clone());
        for step in 0..12 {
            let expected: Vec<usize> =
                events.iter().filter(|e| (e.start..e.end).contains(&step)).map(|e| e.provider).collect();
            let found: Vec<usize> = timeline.begin_step(step).map(|event| event.provider).collect();
            assert_eq!(found, expected, "step {step}");
        }
    }

    #[test]
    fn what_stands_goes_on_and_what_was_to_come_never_does() {
        let event = |provider, start, end| Event { provider, start, end, effect: Effect::Outage };
        let mut timeline =
            Timeline::new(vec![event(0, 0, 2), event(1, 2, 5), event(2, 1, 9), event(3, 4, 9)]);
        (0..=3).for_each(|step| assert!(timeline.begin_step(step).count() > 0));
        let mut standing = timeline.standing();
        for step in [4, 5, 1000] {
            let found: Vec<usize> = standing.begin_step(step).map(|event| event.provider).collect();
            assert_eq!(found, [1, 2], "step {step}");
        }
    }
}
