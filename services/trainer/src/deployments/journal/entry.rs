use api::remembrancer::{Decision, DecisionBatch, Receipt};
use client::{Ledger, LedgerError};
use futures_util::future::join_all;
use records::deployments::{Called, Heard, Inputs, Market, Promoted, RolledBack, WindowEnded};
use serde::{Deserialize, Serialize};

/// Something of a deployment that goes into the ledger before anything that happens after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Entry {
    /// Decisions, and before them what they were made from, and for.
    Decisions {
        inputs: Vec<Inputs>,
        calls: Vec<Called>,
        decisions: Vec<Decision>,
    },
    Market(Market),
    Window(WindowEnded),
    Heard(Heard),
    Promoted(Promoted),
    RolledBack(RolledBack),
}

/// Decisions that go to the ledger at once.
const MOST_DECISIONS: usize = 4000;

/// Records that go to the ledger beside one batch of decisions, each by itself: a try must come to its end.
const MOST_RECORDS: usize = 200;

impl Entry {
    /// Appends it; the same once more changes nothing. The receipts of its decisions.
    pub(crate) async fn append_to(&self, ledger: &Ledger) -> Result<Vec<Receipt>, LedgerError> {
        match self {
            Self::Decisions { inputs, calls, decisions } => {
                for recorded in join_all(inputs.iter().map(|inputs| ledger.append_body(inputs))).await {
                    recorded?;
                }
                for recorded in join_all(calls.iter().map(|called| ledger.append_body(called))).await {
                    recorded?;
                }
                let batch = DecisionBatch { decisions: decisions.clone(), frontier: None };
                return Ok(ledger.append_decisions(&batch).await?.receipts);
            }
            Self::Market(market) => ledger.append_body(market).await?,
            Self::Window(window) => ledger.append_body(window).await?,
            Self::Heard(heard) => ledger.append_body(heard).await?,
            Self::Promoted(promoted) => ledger.append_body(promoted).await?,
            Self::RolledBack(rolled_back) => ledger.append_body(rolled_back).await?,
        };
        Ok(Vec::new())
    }

    /// Leaves that it adds to the log.
    pub(crate) fn leaves(&self) -> u64 {
        match self {
            Self::Decisions { inputs, calls, decisions } => {
                (inputs.len() + calls.len() + decisions.len()) as u64
            }
            _ => 1,
        }
    }

    /// Takes the decisions of a later entry in, if both are of decisions and one post holds both; else gives it back.
    pub(crate) fn join(&mut self, later: Self) -> Option<Self> {
        match (self, later) {
            (
                Self::Decisions { inputs, calls, decisions },
                Self::Decisions { inputs: more, calls: others, decisions: following },
            ) if decisions.len() + following.len() <= MOST_DECISIONS
                && inputs.len() + calls.len() + more.len() + others.len() <= MOST_RECORDS =>
            {
                inputs.extend(more);
                calls.extend(others);
                decisions.extend(following);
                None
            }
            (_, later) => Some(later),
        }
    }
}
