//! How deployments are shown.

use api::deployments::{
    ChallengerMode, ChallengerState, ChallengerStatus, Comparison, Deployment, DeploymentStatus,
    DeploymentStream,
};

use crate::output::table;

pub(super) fn status(status: DeploymentStatus) -> &'static str {
    match status {
        DeploymentStatus::Serving => "serving",
        DeploymentStatus::Stopped => "stopped",
    }
}

pub(super) fn shown(deployment: &Deployment) -> String {
    let mut head = format!("{} ({}), {}", deployment.name, deployment.algorithm, status(deployment.status));
    if let Some(preference) = &deployment.settings.preference {
        head += &format!(", decides for {preference}");
    }
    let stream = deployment.stream.as_ref().map(stream_shown);
    stream.map_or_else(|| head.clone(), |stream| format!("{head}\n{stream}"))
}

pub(super) fn stream_shown(stream: &DeploymentStream) -> String {
    let DeploymentStream { window, outcomes, .. } = stream;
    let figures = format!(
        "window {} until {}: {} decisions so far, {} requests wait\noutcomes: {} done, {} failed, {} open, {} missing\n",
        window.number,
        window.ends_at.format("%Y-%m-%d %H:%M:%S UTC"),
        stream.decisions,
        stream.waiting,
        outcomes.succeeded,
        outcomes.failed,
        outcomes.open,
        outcomes.missing
    );
    let rows = stream.providers.iter().map(|provider| {
        let available = if provider.available { "yes" } else { "no" };
        let left = format!("{:.1} of {:.1}", provider.remaining_gpu_hours, provider.capacity_gpu_hours);
        vec![provider.id.clone(), available.to_owned(), left, provider.open_jobs.to_string()]
    });
    let providers = table(&["provider", "takes jobs", "GPU-hours left", "open jobs"], rows);
    figures + &others_shown(stream) + &arms_shown(stream) + &providers
}

/// What was heard of other nodes; nothing where there was nothing.
fn others_shown(stream: &DeploymentStream) -> String {
    let Some(heard) = &stream.heard else { return String::new() };
    let out = match heard.left_out.len() {
        0 => String::new(),
        out => format!(", and leaves {out} out (`mesh federation status` says why)"),
    };
    let nodes = match heard.authors.len() {
        1 => "one other node has".to_owned(),
        count => format!("{count} other nodes have"),
    };
    format!("others: acts on what {nodes} seen, last told in window {}{out}\n", heard.window)
}

/// The challengers; nothing where there are none.
fn arms_shown(stream: &DeploymentStream) -> String {
    if stream.challengers.is_empty() {
        return String::new();
    }
    let champion = match stream.champion {
        0 => "the policy that was deployed".to_owned(),
        arm => format!("challenger {arm}"),
    };
    let rows = stream.challengers.iter().map(|challenger| {
        let does = match (challenger.mode, challenger.share) {
            (ChallengerMode::Shadow, None) => "shadow".to_owned(),
            (_, Some(share)) => format!("{:.1} % of the requests", 100.0 * share),
            (ChallengerMode::Canary, None) => "nothing".to_owned(),
        };
        let number = challenger.arm.to_string();
        vec![
            number,
            challenger.algorithm.clone(),
            state(challenger.state).to_owned(),
            does,
            compared(challenger),
        ]
    });
    format!(
        "champion: {champion}\n{}\n",
        table(&["challenger", "policy", "state", "decides", "beside the champion"], rows)
    )
}

fn state(state: ChallengerState) -> &'static str {
    match state {
        ChallengerState::Active => "active",
        ChallengerState::Champion => "champion",
        ChallengerState::Former => "former champion",
        ChallengerState::RolledBack => "rolled back",
    }
}

/// How a challenger does, in a few words.
fn compared(challenger: &ChallengerStatus) -> String {
    if let Some(shadow) = &challenger.shadow {
        if let Some(failure) = &shadow.failure {
            return failure.clone();
        }
        let behind =
            if shadow.behind > 0 { format!(", {} events behind", shadow.behind) } else { String::new() };
        let expects =
            shadow.expected_reward.map_or(String::new(), |points| format!(", expects {points:+.2} points"));
        return format!("{} of {} otherwise{expects}{behind}", shadow.disagreements, shadow.compared);
    }
    let Some(Comparison { difference, .. }) = challenger.comparison else { return String::new() };
    match (difference.mean, difference.low, difference.high) {
        (Some(mean), Some(low), Some(high)) => {
            format!("{mean:+.2} points ({low:+.2} to {high:+.2}), {} decisions", difference.decisions)
        }
        _ => "nothing is known yet".to_owned(),
    }
}
