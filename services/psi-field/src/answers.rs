//! The answers of a swarm that may be asked again.

use std::collections::{BTreeMap, btree_map};

use api::psi_field::WindowAnswer;

/// An answer, and what it answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// SHA-256 over the window.
    pub(crate) digest: [u8; 32],
    /// The answer to it.
    pub(crate) answer: WindowAnswer,
}

/// Answers by window.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_window: BTreeMap<u64, Answered>,
    bytes: usize,
}

impl Answers {
    /// The answer to a window, while it is kept.
    pub(crate) fn get(&self, window: u64) -> Option<&Answered> {
        self.by_window.get(&window)
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<&WindowAnswer> {
        self.by_window.last_key_value().map(|(_, answered)| &answered.answer)
    }

    /// The window of the first one.
    pub(crate) fn first_window(&self) -> Option<u64> {
        self.by_window.first_key_value().map(|(window, _)| *window)
    }

    /// Those from a window on.
    pub(crate) fn from(&self, window: u64) -> impl Iterator<Item = &WindowAnswer> {
        let in_range: btree_map::Range<'_, u64, Answered> = self.by_window.range(window..);
        in_range.map(|(_, answered)| &answered.answer)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_window.len()
    }

    /// About how many bytes they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps one more.
    pub(crate) fn insert(&mut self, answered: Answered) {
        self.bytes += bytes(&answered);
        if let Some(before) = self.by_window.insert(answered.answer.window, answered) {
            self.bytes -= bytes(&before);
        }
    }

    /// Lets go of those before a window.
    pub(crate) fn drop_before(&mut self, window: u64) {
        while self.first_window().is_some_and(|first| first < window) {
            self.drop_first();
        }
    }

    /// Keeps at most so many, the last ones; true when it had more.
    pub(crate) fn keep_last(&mut self, most: usize) -> bool {
        let had_more = self.len() > most;
        while self.len() > most {
            self.drop_first();
        }
        had_more
    }

    fn drop_first(&mut self) {
        if let Some((_, dropped)) = self.by_window.pop_first() {
            self.bytes -= bytes(&dropped);
        }
    }
}

/// About what an answer takes in memory.
fn bytes(answered: &Answered) -> usize {
    let answer = &answered.answer;
    let of_anomaly = answer.anomaly.as_ref().map_or(0, |anomaly| {
        anomaly.channels.iter().map(|channel| size_of_val(channel) + channel.channel.len()).sum::<usize>()
            + size_of_val(anomaly.agents.as_slice())
    });
    // what is in the evidence is not to be had without walking through it, and is a few times as long as the reason
    let of_interventions = answer
        .interventions
        .iter()
        .map(|i| size_of_val(i) + size_of_val(i.targets.as_slice()) + 4 * i.reason.len())
        .sum::<usize>();
    // a tree's node is two thirds full
    size_of::<(u64, Answered)>() * 3 / 2 + answer.swarm.len() + of_anomaly + of_interventions
}
