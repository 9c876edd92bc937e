//! Policies judged on the same held-out episodes: what each achieves, what nobody can do better, how sure the
//! differences are, and what they say in words and tables. Pure and deterministic: the same plan gives the same bytes, on
//! however many threads.

#![warn(missing_docs)]

pub mod analysis;
pub mod bounds;
pub mod brief;
pub mod constrained;
pub mod constrained_limit;
pub mod csv;
pub mod episodes;
pub mod evaluate;
pub mod figures;
pub mod off_policy;
pub mod origin;
pub mod pareto;
pub mod plan;
pub mod pooled;
pub mod progress;
pub mod report;
pub mod statistics;
pub mod tables;
pub mod values;
pub mod verdicts;
