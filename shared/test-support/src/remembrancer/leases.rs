//! Leases: claimed, renewed, given back; and what is refused to whoever has lost one.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use api::{
    Page,
    remembrancer::{FenceQuery, Lease, LeaseClaim, LeaseQuery, LeaseRelease, LeaseRenewal},
};
use axum::{
    Json,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};

use super::{Ledger, Shared, lock};
use crate::problem;

/// A lease, and until when it is held.
#[derive(Debug)]
pub(super) struct Entry {
    holder: Option<String>,
    token: u64,
    expires_at: SystemTime,
}

impl Entry {
    fn held(&self) -> bool {
        self.holder.is_some() && self.expires_at > SystemTime::now()
    }

    /// As if its time were over.
    pub(super) fn run_out(&mut self) {
        self.expires_at = SystemTime::UNIX_EPOCH;
    }

    fn shown(&self, name: &str) -> Lease {
        Lease {
            name: name.to_owned(),
            holder: self.holder.clone(),
            token: self.token,
            expires_at: self.expires_at.into(),
            held: self.held(),
        }
    }
}

impl Ledger {
    /// Refuses what comes under a claim that is over.
    pub(super) fn check(&self, fence: &FenceQuery) -> Result<(), Response> {
        let (name, token) = match (&fence.lease, fence.token) {
            (None, None) => return Ok(()),
            (Some(name), Some(token)) => (name, token),
            _ => return Err(problem(422, "invalid_request", "`?lease` and `?token`, or neither.")),
        };
        match self.leases.get(name) {
            Some(lease) if lease.holder.is_some() && lease.token == token => Ok(()),
            _ => Err(lost(name, token)),
        }
    }
}

pub(super) async fn claim(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Json(claim): Json<LeaseClaim>,
) -> Response {
    let mut ledger = lock(&shared.ledger);
    let known = ledger.leases.get(&name);
    if let Some(known) = known.filter(|known| known.held() && known.holder.as_ref() != Some(&claim.holder)) {
        return problem(409, "lease_held", format!("{:?} holds the lease {name:?}.", known.holder));
    }
    let token = known.map_or(1, |known| known.token + 1);
    let lease = Entry { holder: Some(claim.holder), token, expires_at: from_now(claim.ttl_ms) };
    let shown = lease.shown(&name);
    ledger.leases.insert(name, lease);
    Json(shown).into_response()
}

pub(super) async fn renew(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Json(renewal): Json<LeaseRenewal>,
) -> Response {
    match lock(&shared.ledger).leases.get_mut(&name) {
        Some(lease) if lease.holder.is_some() && lease.token == renewal.token => {
            lease.expires_at = from_now(renewal.ttl_ms);
            Json(lease.shown(&name)).into_response()
        }
        _ => lost(&name, renewal.token),
    }
}

pub(super) async fn release(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Json(release): Json<LeaseRelease>,
) -> Response {
    match lock(&shared.ledger).leases.get_mut(&name) {
        Some(lease) if lease.token == release.token => {
            lease.holder = None;
            Json(lease.shown(&name)).into_response()
        }
        _ => lost(&name, release.token),
    }
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match lock(&shared.ledger).leases.get(&name) {
        Some(lease) => Json(lease.shown(&name)).into_response(),
        None => problem(404, "lease_not_found", format!("Nobody ever claimed the lease {name:?}.")),
    }
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<LeaseQuery>,
) -> Json<Page<Lease>> {
    let limit = (query.limit.unwrap_or(100) as usize).min(shared.page_size.load(Ordering::SeqCst));
    let ledger = lock(&shared.ledger);
    let all = ledger.leases.iter().map(|(name, lease)| lease.shown(name));
    let wanted = |lease: &Lease| {
        query.prefix.as_ref().is_none_or(|prefix| lease.name.starts_with(prefix))
            && query.holder.as_ref().is_none_or(|holder| lease.holder.as_ref() == Some(holder))
            && query.held.is_none_or(|held| lease.held == held)
            && query.cursor.as_ref().is_none_or(|after| lease.name > *after)
    };
    let mut items: Vec<Lease> = all.filter(wanted).take(limit + 1).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|lease| lease.name.clone());
    Json(Page { items, next_cursor })
}

fn from_now(ms: u32) -> SystemTime {
    SystemTime::now() + Duration::from_millis(ms.into())
}

fn lost(name: &str, token: u64) -> Response {
    problem(409, "lease_lost", format!("The claim with the token {token} of the lease {name:?} is over."))
}
