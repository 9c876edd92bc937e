//! What is asked of a desk, checked against the stream, and what decisions will not show of it.

use std::collections::HashSet;

use api::{
    FieldError,
    deployments::{DeployedRequest, DeploymentRequest},
};
use records::deployments::{Inputs, Special};
use uuid::Uuid;

use super::Desk;
use crate::{
    deployments::{engine::Asked, market::Said},
    policies::identity::{parse_decision_id, stream_of},
    serving::request_of,
};

/// Wrong fields that an answer names.
const MOST_REPORTED: usize = 20;

impl Desk {
    pub(super) fn checked(&self, asked: &DeploymentRequest) -> Result<(Said, Vec<Asked>), Vec<FieldError>> {
        let (mut errors, mut retried) = (Vec::new(), HashSet::new());
        let said = Said::of(&self.engine, &asked.providers, &asked.tenants)
            .map_err(|wrong| errors.extend(wrong))
            .unwrap_or_default();
        let mut requests = Vec::with_capacity(asked.requests.len());
        for (i, DeployedRequest { request, retry_of, .. }) in asked.requests.iter().enumerate() {
            let request =
                request_of(self.engine.env(), request, &format!("/requests/{i}/request"), &mut errors);
            let retry_of = retry_of.map(|decision| self.retry(decision, &mut retried));
            match (request, retry_of.transpose()) {
                (Some(request), Ok(retry_of)) => requests.push(Asked { request, retry_of, arm: 0 }),
                (_, Err(detail)) => {
                    errors.push(FieldError { pointer: format!("/requests/{i}/retry_of"), detail });
                }
                (None, Ok(_)) => {}
            }
            if errors.len() >= MOST_REPORTED {
                break;
            }
        }
        if errors.is_empty() { Ok((said, requests)) } else { Err(errors) }
    }

    fn retry(&self, decision: Uuid, retried: &mut HashSet<u64>) -> Result<u64, String> {
        let own = parse_decision_id(decision).filter(|(stream, _)| *stream == stream_of(&self.engine.run()));
        let sequence = own.map(|(_, sequence)| sequence).ok_or("expected a decision of this deployment")?;
        self.engine.check_retry(sequence).map_err(|why| why.to_string())?;
        if !retried.insert(sequence) {
            return Err("expected each decision once".to_owned());
        }
        Ok(sequence)
    }

    /// What decisions do not show of a call; `None` where they show all.
    pub(super) fn special(&self, asked: &DeploymentRequest, requests: &[Asked]) -> Option<Inputs> {
        let special =
            |(offset, (DeployedRequest { request, .. }, checked)): (usize, (&DeployedRequest, &Asked))| {
                let special = Special {
                    offset: offset as u64,
                    max_latency_ms: request.max_latency_ms,
                    min_reputation: request.min_reputation,
                    retry_of: checked.retry_of,
                };
                (special != Special { offset: special.offset, ..Special::default() }).then_some(special)
            };
        let requests: Vec<_> = asked.requests.iter().zip(requests).enumerate().filter_map(special).collect();
        let has_settled = self.engine.window().has_settled();
        let is_special =
            has_settled || !requests.is_empty() || !asked.providers.is_empty() || !asked.tenants.is_empty();
        is_special.then(|| Inputs {
            deployment_id: self.id,
            session_id: self.session,
            first_sequence: self.engine.next_sequence(),
            has_settled,
            providers: asked.providers.clone(),
            tenants: asked.tenants.clone(),
            requests,
        })
    }
}
