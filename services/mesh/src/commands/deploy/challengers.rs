//! Challengers of a deployment: which there are, and what becomes of them.

use api::deployments::{Challenger, ChallengerMode, ChangeChampion, Deployment, Guardrails, Promotion};
use clap::Args;
use client::{ClientError, Trainer};

use super::{Shown, share, show::shown};
use crate::{exit::Answer, remote::RunName};

/// Which policies challenge the one that is deployed, and what they may do.
#[derive(Debug, Args)]
pub(super) struct ChallengerArgs {
    /// A policy that decides every request in thought, beside the other; can be given several times
    #[arg(long, value_name = "POLICY")]
    shadow: Vec<RunName>,
    /// A policy that decides a share of the requests; can be given several times
    #[arg(long, value_name = "POLICY=SHARE", value_parser = canary)]
    canary: Vec<(RunName, f64)>,
    /// The share of a canary's jobs that may fail
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "canary")]
    max_failure_rate: Option<f64>,
    /// What a canary's jobs may take on average, in ms
    #[arg(long, value_name = "MS", requires = "canary")]
    max_latency: Option<f64>,
    /// What a canary's jobs may cost on average, in USD
    #[arg(long, value_name = "USD", requires = "canary")]
    max_cost: Option<f64>,
    /// Never promote a canary that earns more: that is for people to do
    #[arg(long, requires = "canary")]
    promote_by_hand: bool,
}

/// Make a challenger the champion
///
/// It decides all requests that are no canary's from now on. The ledger has the reason, and how both did until then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh deploy promote gateway --reason \"it has agreed for a week\"
  mesh deploy promote gateway --challenger 2 --reason \"it earns more\"")]
pub(super) struct Promote {
    #[command(flatten)]
    pub(super) change: ChangeArgs,
}

/// Take a challenger back
///
/// Its requests are the champion's again. Where a challenger was promoted and no other one is active, it is taken back itself, and
/// the champion before it decides.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh deploy rollback gateway --reason \"tenants complain\"
  mesh deploy rollback gateway --challenger 1 --reason \"it is too dear\"")]
pub(super) struct Rollback {
    #[command(flatten)]
    pub(super) change: ChangeArgs,
}

/// Which challenger it is, and why.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// The deployment
    #[arg(value_name = "NAME")]
    name: String,
    /// The challenger by its number, where there are several
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    challenger: Option<u32>,
    /// Why, for whoever reads the ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    shown: Shown,
}

impl ChallengerArgs {
    /// The challengers; the trainer says which runs are meant.
    pub(super) async fn challengers(&self, trainer: &Trainer) -> anyhow::Result<Vec<Challenger>> {
        let mut challengers = Vec::new();
        for name in &self.shadow {
            let policy_id = name.id(trainer).await?;
            challengers.push(Challenger { policy_id, mode: ChallengerMode::Shadow, share: None });
        }
        for (name, share) in &self.canary {
            let policy_id = name.id(trainer).await?;
            challengers.push(Challenger { policy_id, mode: ChallengerMode::Canary, share: Some(*share) });
        }
        Ok(challengers)
    }

    pub(super) fn guardrails(&self) -> Option<Guardrails> {
        let guardrails = Guardrails {
            max_failure_rate: self.max_failure_rate,
            max_mean_latency_ms: self.max_latency,
            max_mean_cost_usd: self.max_cost,
        };
        (guardrails != Guardrails::default()).then_some(guardrails)
    }

    pub(super) fn promotion(&self) -> Promotion {
        if self.promote_by_hand { Promotion::ByHand } else { Promotion::Automatic }
    }
}

impl ChangeArgs {
    pub(super) fn run(
        self,
        call: impl AsyncFnOnce(&Trainer, &str, &ChangeChampion) -> Result<Deployment, ClientError>,
    ) -> anyhow::Result<Answer> {
        let change = ChangeChampion { challenger: self.challenger, reason: self.reason.clone() };
        let deployment = self.shown.ask(async |trainer| call(trainer, &self.name, &change).await)?;
        self.shown.say(&deployment, shown)
    }
}

/// A policy and its share of the requests.
fn canary(text: &str) -> Result<(RunName, f64), String> {
    let (policy, share) = text.split_once('=').ok_or("expected a policy's id, `=` and a share")?;
    let policy = policy.parse()?;
    let share = share.parse().ok().filter(|share| (0.001..=0.5).contains(share));
    Ok((policy, share.ok_or("expected a share from 0.001 to 0.5 behind `=`")?))
}
