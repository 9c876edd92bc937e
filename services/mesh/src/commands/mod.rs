//! The commands, one file each.

pub(crate) mod api_key;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod deploy;
pub(crate) mod detect;
pub(crate) mod evaluate;
pub(crate) mod federation;
pub(crate) mod fsck;
pub(crate) mod interventions;
pub(crate) mod key;
pub(crate) mod meta_train;
pub(crate) mod pareto;
pub(crate) mod prove;
pub(crate) mod proxy;
pub(crate) mod query;
pub(crate) mod record;
pub(crate) mod runs;
pub(crate) mod simulate;
pub(crate) mod train;
pub(crate) mod up;
pub(crate) mod verify;
pub(crate) mod visualize;
pub(crate) mod watch;
pub(crate) mod witness;
