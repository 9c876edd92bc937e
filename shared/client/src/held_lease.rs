use std::time::Duration;

use api::remembrancer::{Fence, LeaseClaim, LeaseRelease, LeaseRenewal};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{ClientError, Remembrancer};

/// A lease that this process holds and renews until it gives it back.
///
/// Renewals go on while the remembrancer is away: only its word, `lease_lost`, ends the claim. What this process writes
/// in the meantime is safe, for it is fenced: send it with [`remembrancer`](Self::remembrancer). Dropping the lease
/// ends the renewals without giving it back; it then runs out.
#[derive(Debug)]
pub struct HeldLease {
    remembrancer: Remembrancer,
    fence: Fence,
    lost: CancellationToken,
    _stop_renewing: DropGuard,
}

impl HeldLease {
    /// Claims the lease, once, and begins to renew it: three times within `ttl`, so that a lost call does not lose it.
    /// Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::is_lease_held`] when somebody else has it; the call's.
    pub async fn claim(
        remembrancer: &Remembrancer,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Self, ClientError> {
        let ttl_ms = milliseconds(ttl);
        let claimed =
            remembrancer.claim_lease(name, &LeaseClaim { holder: holder.to_owned(), ttl_ms }).await?;
        let fence = Fence { lease: claimed.name, token: claimed.token };
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let renewing = renew_until_lost(remembrancer.clone(), fence.clone(), ttl, lost.clone());
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(renewing).await });
        let remembrancer = remembrancer.fenced(&fence);
        Ok(Self { remembrancer, fence, lost, _stop_renewing: stop.drop_guard() })
    }

    /// The client whose appends are refused once this claim is over.
    #[must_use]
    pub fn remembrancer(&self) -> &Remembrancer {
        &self.remembrancer
    }

    /// The lease's name and this claim's token.
    #[must_use]
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Cancelled as soon as a renewal is told that the claim is over. A refused append says so too, perhaps earlier.
    #[must_use]
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Gives the lease back, so that somebody else can go on at once.
    ///
    /// # Errors
    /// The call's. The lease then runs out.
    pub async fn release(self) -> Result<(), ClientError> {
        let release = LeaseRelease { token: self.fence.token };
        self.remembrancer.release_lease(&self.fence.lease, &release).await.map(drop)
    }
}

async fn renew_until_lost(remembrancer: Remembrancer, fence: Fence, ttl: Duration, lost: CancellationToken) {
    let renewal = LeaseRenewal { token: fence.token, ttl_ms: milliseconds(ttl) };
    loop {
        tokio::time::sleep(ttl / 3).await;
        match remembrancer.renew_lease(&fence.lease, &renewal).await {
            Ok(_) => {}
            Err(error) if error.is_lease_lost() => {
                tracing::warn!(lease = fence.lease, token = fence.token, "the lease is somebody else's now");
                return lost.cancel();
            }
            Err(error) => tracing::warn!(%error, lease = fence.lease, "the lease could not be renewed"),
        }
    }
}

fn milliseconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX)
}
