use std::sync::Arc;

use service_kit::Readiness;

use crate::evaluations::Evaluations;

/// What the routes share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) evaluations: Evaluations,
}

impl AppState {
    /// What is missing to serve: the ledger, when it cannot be used.
    pub(crate) fn readiness(&self) -> Readiness {
        let evaluations = self.evaluations.clone();
        Arc::new(move || {
            let evaluations = evaluations.clone();
            Box::pin(async move { evaluations.missing().await })
        })
    }
}
