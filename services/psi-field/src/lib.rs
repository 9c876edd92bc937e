//! The psi-field service: one Ψ-field a swarm.

pub mod field;
