use std::time::{Duration, Instant};

use api::remembrancer::{Fence, LeaseClaim, LeaseRelease, LeaseRenewal};
use tokio::sync::watch;
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
    ttl: Duration,
    /// When the call was begun that renewed it last.
    renewed: watch::Receiver<Instant>,
    lost: CancellationToken,
    stop: CancellationToken,
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
        let claim = LeaseClaim { holder: holder.to_owned(), ttl_ms: milliseconds(ttl) };
        let (renewed, watched) = watch::channel(Instant::now());
        let claimed = remembrancer.claim_lease(name, &claim).await?;
        let fence = Fence { lease: claimed.name, token: claimed.token };
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let renewing = renew_until_lost(remembrancer.clone(), fence.clone(), ttl, renewed, lost.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(renewing));
        let (remembrancer, _stop_renewing) = (remembrancer.fenced(&fence), stop.clone().drop_guard());
        Ok(Self { remembrancer, fence, ttl, renewed: watched, lost, stop, _stop_renewing })
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

    /// True when the lease may have run out: no renewal has succeeded for as long as it lasts, because the
    /// remembrancer was away or this process stood still. Whether it is lost is not known before the next one.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        !self.lost.is_cancelled() && self.renewed.borrow().elapsed() >= self.ttl
    }

    /// Waits until the lease is not [overdue](Self::is_overdue) (any more): renewed, or lost.
    pub async fn settled(&self) {
        let mut renewed = self.renewed.clone();
        while self.is_overdue() {
            tokio::select! {
                () = self.lost.cancelled() => return,
                changed = renewed.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Gives the lease back, so that somebody else can go on at once, and ends the renewals.
    ///
    /// # Errors
    /// The call's. The lease then runs out.
    pub async fn release(&self) -> Result<(), ClientError> {
        self.stop.cancel();
        let release = LeaseRelease { token: self.fence.token };
        self.remembrancer.release_lease(&self.fence.lease, &release).await.map(drop)
    }
}

async fn renew_until_lost(
    remembrancer: Remembrancer,
    fence: Fence,
    ttl: Duration,
    renewed: watch::Sender<Instant>,
    lost: CancellationToken,
) {
    let renewal = LeaseRenewal { token: fence.token, ttl_ms: milliseconds(ttl) };
    loop {
        tokio::time::sleep(ttl / 3).await;
        let began = Instant::now();
        match remembrancer.renew_lease(&fence.lease, &renewal).await {
            Ok(_) => drop(renewed.send_replace(began)),
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
