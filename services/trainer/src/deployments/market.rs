//! What callers say of the market, as a deployment takes it.

use api::{
    FieldError,
    policies::{ProviderNow, TenantNow},
};
use routing_env::ProviderState;

use super::engine::Engine;
use crate::serving::{state_of, unknown};

/// What is said, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    providers: Vec<(usize, ProviderState)>,
    budgets: Vec<(usize, f64)>,
}

impl Said {
    /// # Errors
    /// Every wrong field by JSON pointer.
    pub(crate) fn of(
        engine: &Engine,
        providers: &[ProviderNow],
        tenants: &[TenantNow],
    ) -> Result<Self, Vec<FieldError>> {
        let (mut said, mut errors) = (Self::default(), Vec::new());
        let catalog = &engine.env().catalog().providers;
        for (i, now) in providers.iter().enumerate() {
            let mut wrong = |field: &str, detail: String| {
                errors.push(FieldError { pointer: format!("/providers/{i}/{field}"), detail });
            };
            let Some(provider) = catalog.iter().position(|provider| provider.id == now.id) else {
                let names: Vec<_> = catalog.iter().map(|provider| provider.id.as_str()).collect();
                wrong("id", unknown("provider", &now.id, &names));
                continue;
            };
            if said.providers.iter().any(|(known, _)| *known == provider) {
                wrong("id", format!("expected each provider once, but `{}` stands there before", now.id));
                continue;
            }
            let left = before(engine, provider, now);
            let now = ProviderNow {
                remaining_gpu_hours: now.remaining_gpu_hours.or(Some(left.remaining)),
                ..now.clone()
            };
            match state_of(&left, &now) {
                Ok(state) => said.providers.push((provider, state)),
                Err(detail) => wrong("remaining_gpu_hours", detail),
            }
        }
        let known = &engine.env().workloads().tenants;
        for (i, now) in tenants.iter().enumerate() {
            let pointer = format!("/tenants/{i}/id");
            match known.iter().position(|tenant| tenant.id == now.id) {
                Some(tenant) if said.budgets.iter().any(|(known, _)| *known == tenant) => {
                    let detail = format!("expected each tenant once, but `{}` stands there before", now.id);
                    errors.push(FieldError { pointer, detail });
                }
                Some(tenant) => said.budgets.push((tenant, now.remaining_budget_usd)),
                None => {
                    let names: Vec<_> = known.iter().map(|tenant| tenant.id.as_str()).collect();
                    errors.push(FieldError { pointer, detail: unknown("tenant", &now.id, &names) });
                }
            }
        }
        if errors.is_empty() { Ok(said) } else { Err(errors) }
    }

    /// Tells the stream.
    pub(crate) fn tell(&self, engine: &mut Engine) {
        engine.hear_market(&self.providers, &self.budgets);
    }
}

/// The provider as it is; where its capacity changes and nothing is said of what is left of it, what was taken stays taken.
fn before(engine: &Engine, provider: usize, now: &ProviderNow) -> ProviderState {
    let state = engine.window().market().providers()[provider];
    let capacity = now.capacity_gpu_hours.unwrap_or(state.capacity);
    let remaining = (state.remaining + capacity - state.capacity).clamp(0.0, capacity);
    ProviderState { capacity, remaining, ..state }
}
