//! Physical limits that were solved before, by their content: those of this process, then those in the ledger.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use api::Hash;
use client::LedgerError;
use evaluation::bounds::Digest;
use limit::Limit;

use crate::ledger::Ledger;

/// How many are kept in memory, about 10 MB. The ledger has them all.
const MAX_IN_MEMORY: usize = 100_000;

/// The limits of episodes. Each has the SHA-256 over all that it depends on as its key, so that it is never out of
/// date.
///
/// What the ledger says is trusted as far as it is possible (`bounds::is_possible`): a record that is no
/// limit, counts other requests or is beaten by a policy is solved again. A forged record that promises more than is
/// possible is believed: who may post to the ledger could post the whole evaluation.
pub(crate) struct KnownLimits {
    ledger: Ledger,
    memory: Mutex<HashMap<Digest, Limit>>,
}

impl KnownLimits {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger, memory: Mutex::default() }
    }

    /// The limit of each key, where it is known. While the ledger cannot be asked, what it has counts as unknown:
    /// solving takes seconds.
    pub(crate) async fn find(&self, keys: &[Digest]) -> Vec<Option<Limit>> {
        let mut found: Vec<Option<Limit>> = {
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            keys.iter().map(|key| memory.get(key).copied()).collect()
        };
        for (key, limit) in keys.iter().zip(&mut found).filter(|(_, limit)| limit.is_none()) {
            match self.ledger.limit(&Hash(*key)).await {
                Ok(recorded) => *limit = recorded,
                Err(error) => {
                    tracing::warn!(%error, "the ledger cannot be asked for known limits: solving them");
                    break;
                }
            }
        }
        found
    }

    /// Keeps limits that were solved, in the ledger too: while it is away, this waits. If it refuses one, it is not
    /// kept there, which only costs time.
    pub(crate) async fn keep(&self, solved: &[(Digest, Limit)]) {
        {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            if memory.len() + solved.len() > MAX_IN_MEMORY {
                memory.clear();
            }
            memory.extend(solved.iter().copied());
        }
        for (key, limit) in solved {
            let key = Hash(*key);
            match self.ledger.record_limit(&key, limit).await {
                Ok(()) => {}
                Err(LedgerError::ShuttingDown) => return,
                Err(error) => tracing::warn!(%key, %error, "the ledger refused a limit"),
            }
        }
    }
}
