//! Series of figures that are no swarm's: read, watched by the field, and shown.

pub(crate) mod nab;
pub(crate) mod report;
pub(crate) mod series;
