//! What fronts say, in sentences.

use super::{Coverage, Front};
use crate::{
    origin::Origin,
    plan::Plan,
    verdicts::{on_final_seeds, on_training},
};

/// Every trained policy beside the baseline and the limit, or else the hand rules; what the rules cover together; and on
/// what the figures rest.
pub(super) fn verdicts(plan: &Plan, policies: &[Front], rules: Coverage) -> Vec<String> {
    let is_trained =
        |front: &&Front| front.origin.learned().is_some_and(|learned| learned.trained_episodes > 0);
    let mut judged: Vec<&Front> = policies.iter().filter(is_trained).collect();
    if judged.is_empty() {
        judged = policies.iter().skip(1).collect(); // the first one is the baseline
    }
    let mut verdicts: Vec<String> = judged.iter().map(|front| on_front(front)).collect();
    verdicts.extend(judged.iter().flat_map(|front| on_training(&front.name, &front.origin)));
    let of_rules = policies.iter().filter(|front| front.origin == Origin::Rule).count();
    if of_rules > 1 && !judged.is_empty() {
        verdicts.push(format!(
            "All {of_rules} hand rules together cover {} of the limit's hypervolume; they have {of_rules} points to its one.",
            percent(rules.hypervolume)
        ));
    }
    verdicts.extend(plan.final_opening.map(on_final_seeds));
    verdicts.extend(plan.environment.catalog().assumption()); // costs and rewards rest on it
    verdicts
}

fn on_front(front: &Front) -> String {
    let covered = percent(front.coverage.hypervolume);
    match front.least_gap_closed().zip(front.mean_gap_closed()) {
        Some((least, mean)) => format!(
            "{} goes {} of the way from the baseline to the physical limit under the preference where it is least, and {} in \
             the mean; its points cover {covered} of the limit's hypervolume.",
            front.name,
            percent(least),
            percent(mean)
        ),
        None => format!(
            "{}: under no preference is the physical limit better than the baseline; its points cover {covered} of the \
             limit's hypervolume.",
            front.name
        ),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
