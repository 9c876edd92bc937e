use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::numbers::{COUNT_LIMIT, LIMIT};

/// A value is one of so many steps of its running range.
const SYMBOLS: usize = 7;
/// Contexts of no, one, … and four values before.
const ORDERS: usize = 5;
/// Contexts of an order that are told apart; longer ones share these.
const SLOTS: usize = 64;
const CELLS: usize = ORDERS * SLOTS * SYMBOLS;
/// What every symbol is counted before it is seen.
const PRIOR: f64 = 0.1;
/// How fast the orders' code lengths fade.
const FADE: f64 = 0.98;
const LEAST_WEIGHT: f64 = 1e-12;
/// Values that must have been seen before their order says anything.
const KNOWN_AFTER: u64 = 50;
/// Counts are halved at this, so that they stay exact, and a series may learn another habit.
const MOST_COUNTED: f32 = 65_536.0;

/// What usually follows what: a mixture of context models of the value in steps of its range, each weighted by its
/// fading code length (Volf and Willems' switching of models; the contexts are those of PPM, Cleary and Witten, 1984).
///
/// It notices what is nowhere new but comes in the wrong order: a beat that is left out, a plateau at a usual height.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Order {
    /// How often each symbol came in each context.
    #[garde(length(equal = CELLS), inner(range(min = 0.0, max = MOST_COUNTED)))]
    counts: Vec<f32>,
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    weights: [f64; ORDERS],
    /// The last symbols, the newest first.
    #[garde(inner(range(max = SYMBOLS - 1)))]
    last: [usize; ORDERS - 1],
    #[garde(range(min = -LIMIT, max = LIMIT))]
    low: f64,
    #[garde(range(min = -LIMIT, max = LIMIT))]
    high: f64,
    #[garde(range(max = COUNT_LIMIT))]
    seen: u64,
    /// The longest code so far, in bits.
    #[garde(range(min = 0.0, max = 1e3))]
    longest: f64,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            counts: vec![0.0; CELLS],
            weights: [1.0; ORDERS],
            last: [0; ORDERS - 1],
            low: 0.0,
            high: 0.0,
            seen: 0,
            longest: 0.0,
        }
    }
}

impl Order {
    /// By how many bits the value's code is longer than all codes before; 0 when it is not, or while too little is known.
    pub(crate) fn observe(&mut self, value: f64) -> f64 {
        self.seen = self.seen.saturating_add(1);
        (self.low, self.high) =
            if self.seen == 1 { (value, value) } else { (self.low.min(value), self.high.max(value)) };
        let width = self.high - self.low;
        let step = if width > 0.0 { (value - self.low) / width * SYMBOLS as f64 } else { 0.0 };
        let bits = self.code_length((step as usize).min(SYMBOLS - 1));
        if self.seen <= KNOWN_AFTER {
            self.longest = self.longest.max(bits);
            return 0.0;
        }
        let record = (bits - self.longest).max(0.0);
        self.longest = self.longest.max(bits);
        record
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub(crate) fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.counts.capacity() * size_of::<f32>()
    }

    /// −log₂ of the mixture's probability of the symbol, which is learned thereby.
    fn code_length(&mut self, symbol: usize) -> f64 {
        let (mut probabilities, mut whole, mut mixed) = ([0.0; ORDERS], 0.0, 0.0);
        for (order, known) in probabilities.iter_mut().enumerate() {
            let at = self.context(order);
            let counts = &mut self.counts[at..at + SYMBOLS];
            let sum: f64 = counts.iter().map(|count| f64::from(*count)).sum();
            let probability = (f64::from(counts[symbol]) + PRIOR) / (sum + PRIOR * SYMBOLS as f64);
            *known = probability;
            mixed += self.weights[order] * probability;
            whole += self.weights[order];
            counts[symbol] += 1.0;
            if counts[symbol] >= MOST_COUNTED {
                counts.iter_mut().for_each(|count| *count *= 0.5);
            }
        }
        for (weight, probability) in self.weights.iter_mut().zip(probabilities) {
            *weight = (*weight / whole).powf(FADE) * probability;
        }
        let heaviest = self.weights.iter().copied().fold(LEAST_WEIGHT, f64::max);
        self.weights.iter_mut().for_each(|weight| *weight = (*weight / heaviest).clamp(LEAST_WEIGHT, 1.0));
        self.last.rotate_right(1);
        self.last[0] = symbol;
        -(mixed / whole).log2()
    }

    /// Where the counts of the context of the last `order` symbols begin.
    fn context(&self, order: usize) -> usize {
        let place = self.last[..order].iter().fold(0_u64, |place, symbol| place * 8 + *symbol as u64 + 1);
        // Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4): the upper six bits are well mixed.
        let slot = if order < 2 { place } else { place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58 };
        (order * SLOTS + slot as usize) * SYMBOLS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_value_at_the_wrong_place_has_a_longer_code_than_any_before() {
        let mut order = Order::default();
        let beat = [0.0, 1.0, 5.0, 1.0];
        for i in 0..400 {
            let record = order.observe(beat[i % 4]);
            assert!(i < 60 || record < 0.5, "value {i}: {record}");
        }
        assert!(order.observe(5.0) > 1.0, "where 0 was due");
    }

    #[test]
    fn a_series_that_never_moves_surprises_nobody() {
        let mut order = Order::default();
        assert!((0..500).all(|_| order.observe(7.0) == 0.0));
    }
}
