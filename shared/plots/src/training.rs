//! Charts of a training run, from the rows of `training_metrics.csv`.

use api::{evaluator::EvaluationResult, trainer::EpisodeMetrics};

use crate::{
    evaluation::{BASELINE, limit_over_baseline},
    figure::{Block, Curve, CurvePanel, Curves, Figure, Lane, Reference, Tip, stretch},
    palette::{Colour, Role},
};

/// As many points a curve has at most. More of them cannot be told apart: means are drawn instead.
const MOST_POINTS: usize = 300;

/// From so many interventions of a kind on, some may stand too close for a mark of their own.
const MANY_MARKS: usize = 100;

/// Below it Ψ counts as unstable, above it a prediction error as surprising (psi-field's defaults).
const THRESHOLD: f64 = 0.7;

/// All charts of a run that have data; with the physical limit where its policy was evaluated.
#[must_use]
pub fn training_figures(episodes: &[EpisodeMetrics], evaluation: Option<&EvaluationResult>) -> Vec<Figure> {
    [training_curves(episodes, evaluation), swarm_consciousness(episodes)]
        .into_iter()
        .filter(Figure::has_data)
        .collect()
}

/// Reward beyond the baseline's, fill, cost and latency over the episodes, and ε where it changes.
#[must_use]
pub fn training_curves(episodes: &[EpisodeMetrics], evaluation: Option<&EvaluationResult>) -> Figure {
    let curve = |label: &str, colour, of: fn(&EpisodeMetrics) -> Option<f64>| {
        Curve::line(label, colour, over(episodes, of)).thinned(MOST_POINTS)
    };
    let (reward, how_to_read) = reward_panel(episodes, evaluation);
    let mut panels = vec![
        reward,
        CurvePanel::new(
            "Fill, share of what was asked for",
            vec![
                curve("requests", Colour::Blue, |e| e.fill_rate),
                curve("GPU-hours", Colour::Vermillion, |e| e.gpu_hours_fill),
            ],
        ),
        CurvePanel::new(
            "Cost, $",
            vec![
                curve("per routed request", Colour::Blue, |e| e.avg_cost_usd),
                curve("per GPU-hour served", Colour::Vermillion, |e| e.cost_per_gpu_hour_usd),
            ],
        ),
        CurvePanel::new(
            "Latency of a routed request, ms, waiting included",
            vec![curve("latency", Colour::Blue, |e| e.avg_latency_ms)],
        ),
    ];
    if changes(episodes, |e| e.epsilon) {
        panels.push(CurvePanel {
            height: 70,
            ..CurvePanel::new(
                "Exploration ε, share of decisions",
                vec![curve("ε", Colour::Blue, |e| Some(e.epsilon))],
            )
        });
    }
    Figure {
        name: "training_curves",
        title: "Training: reward, fill, cost and latency".into(),
        caption: format!(
            "What the swarm achieved in each episode of its training, exploration included. {how_to_read}{}",
            thinning(episodes.len())
        ),
        blocks: vec![Block::Curves(Curves { x_title: "episode".into(), panels })],
    }
}

/// The reward beside the baseline's in the same episodes, whose demand differs more than policies do; and what is to be said of
/// it. Rows that an earlier version wrote have the reward alone.
fn reward_panel(episodes: &[EpisodeMetrics], evaluation: Option<&EvaluationResult>) -> (CurvePanel, String) {
    let line = |label: &str, of: fn(&EpisodeMetrics) -> Option<f64>| {
        vec![Curve::line(label, Role::Learned.colour(), over(episodes, of)).thinned(MOST_POINTS)]
    };
    if episodes.iter().all(|episode| gain(episode).is_none()) {
        return (CurvePanel::new("Reward, per request", line("reward", |e| e.avg_reward)), String::new());
    }
    let mut references = vec![Reference {
        label: format!("{BASELINE}: {}", Role::Baseline.label()),
        colour: Role::Baseline.colour(),
        value: 0.0,
    }];
    let mut how_to_read = format!("The reward is beside that of {BASELINE} in the same episode. ");
    if let Some((result, limit)) = evaluation.and_then(|result| Some((result, limit_over_baseline(result)?)))
    {
        references.push(Reference {
            label: format!("{}: held-out mean", Role::Limit.label()),
            colour: Role::Limit.colour(),
            value: limit,
        });
        how_to_read += &format!(
            "No policy can pass the physical limit on {} in the mean: the line is that of the {} held-out episodes of the \
             evaluation; of a single episode it may be higher or lower. ",
            result.environment,
            result.seeds.len()
        );
    }
    let title = format!("Reward minus that of {BASELINE} in the same episode, per request");
    let panel = CurvePanel { height: 150, references, ..CurvePanel::new(&title, line("swarm", gain)) };
    (panel, how_to_read)
}

fn gain(episode: &EpisodeMetrics) -> Option<f64> {
    Some(episode.avg_reward? - episode.baseline_reward?)
}

/// Ψ, continuity and prediction error over the episodes, with the interventions.
#[must_use]
pub fn swarm_consciousness(episodes: &[EpisodeMetrics]) -> Figure {
    let curve = |label: &str, colour, of: fn(&EpisodeMetrics) -> Option<f64>| {
        Curve::line(label, colour, over(episodes, of)).thinned(MOST_POINTS)
    };
    let watched = vec![
        curve("Ψ", Colour::Blue, |e| e.psi),
        curve("continuity C", Colour::Green, |e| e.continuity),
        curve("prediction error PE", Colour::Purple, |e| e.prediction_error),
    ];
    let has_data = watched.iter().any(|curve| curve.points.iter().any(|p| p.y.is_some()));
    let mut panels = vec![CurvePanel {
        y_range: Some((0.0, 1.0)),
        height: 220,
        references: vec![Reference {
            label: format!("{THRESHOLD}: Ψ below, PE above"),
            colour: Colour::Grey,
            value: THRESHOLD,
        }],
        ..CurvePanel::new("State, 0 to 1", watched)
    }];
    let lanes = interventions(episodes);
    let crowded = lanes.iter().any(|lane| lane.at.len() >= MANY_MARKS);
    // without a monitor there is nothing that could intervene
    if has_data {
        panels.push(CurvePanel::of_lanes("Interventions that were applied, a mark each", lanes));
    }
    Figure {
        name: "swarm_consciousness",
        title: "Swarm consciousness: Ψ, continuity and prediction error".into(),
        caption: format!(
            "Ψ and continuity after each episode's last window, the highest prediction error of its windows, and what \
             psi-field did: nigredo (forget) and albedo (explore).{} {}",
            if crowded { " Where marks are close together, one stands for several." } else { "" },
            thinning(episodes.len())
        ),
        blocks: vec![Block::Curves(Curves { x_title: "episode".into(), panels })],
    }
}

/// The interventions by kind. Rows that an earlier version wrote do not know of which kind they were.
fn interventions(episodes: &[EpisodeMetrics]) -> Vec<Lane> {
    let lane = |label: &str, colour, tip, of: fn(&EpisodeMetrics) -> u32| {
        let at = episodes.iter().flat_map(|e| std::iter::repeat_n(f64::from(e.episode), most(of(e))));
        Lane { label: label.to_owned(), colour, tip, at: at.collect() }
    };
    let kinds = [
        lane("nigredo", Colour::Vermillion, Tip::Down, |e| e.nigredo.unwrap_or(0)),
        lane("albedo", Colour::SkyBlue, Tip::Up, |e| e.albedo.unwrap_or(0)),
    ];
    let unknown = lane("of unknown kind", Colour::Grey, Tip::Up, |e| {
        e.interventions.saturating_sub(e.nigredo.unwrap_or(0).saturating_add(e.albedo.unwrap_or(0)))
    });
    let known = episodes.iter().any(|e| e.nigredo.is_some() || e.albedo.is_some());
    let kinds = kinds.into_iter().filter(|_| known);
    kinds.chain((!known || !unknown.at.is_empty()).then_some(unknown)).collect()
}

/// A count as it is drawn. A file may claim any; no step has so many.
fn most(count: u32) -> usize {
    count.min(1000) as usize
}

/// Whether a figure is another one in some episode: one that stands still tells nothing as a curve.
fn changes(episodes: &[EpisodeMetrics], of: fn(&EpisodeMetrics) -> f64) -> bool {
    episodes.windows(2).any(|pair| of(&pair[0]).to_bits() != of(&pair[1]).to_bits())
}

fn over(
    episodes: &[EpisodeMetrics],
    of: fn(&EpisodeMetrics) -> Option<f64>,
) -> impl Iterator<Item = (f64, Option<f64>)> {
    episodes.iter().map(move |e| (f64::from(e.episode), of(e)))
}

fn thinning(episodes: usize) -> String {
    match stretch(episodes, MOST_POINTS) {
        1 => "A gap is an episode without data.".into(),
        n => format!(
            "Each point is the mean of {n} episodes, the band reaches from the lowest to the highest of them."
        ),
    }
}
