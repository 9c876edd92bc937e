//! Charts of a training run, from the rows of `training_metrics.csv`.

use api::trainer::EpisodeMetrics;

use crate::{
    figure::{Block, Curve, CurvePanel, Curves, Figure, Form, Marks, Reference, stretch},
    palette::Colour,
};

/// As many points a curve has at most. More of them cannot be told apart: means are drawn instead.
const MOST_POINTS: usize = 300;

/// As many marked episodes are drawn as lines over the curves. More of them would hide these.
const MOST_MARKS: usize = 40;

/// Below it Ψ counts as unstable, above it a prediction error as surprising (psi-field's defaults).
const THRESHOLD: f64 = 0.7;

/// All charts of a run that have data.
#[must_use]
pub fn training_figures(episodes: &[EpisodeMetrics]) -> Vec<Figure> {
    [training_curves(episodes), swarm_consciousness(episodes)].into_iter().filter(Figure::has_data).collect()
}

/// Reward, fill, cost and latency over the episodes, and ε where it changes.
#[must_use]
pub fn training_curves(episodes: &[EpisodeMetrics]) -> Figure {
    let curve = |label: &str, colour, of: fn(&EpisodeMetrics) -> Option<f64>| {
        Curve::line(label, colour, over(episodes, of)).thinned(MOST_POINTS)
    };
    let mut panels = vec![
        CurvePanel::new("Reward, per request", vec![curve("reward", Colour::Blue, |e| e.avg_reward)]),
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
            "What the swarm achieved in each episode of its training, exploration included. {}",
            thinning(episodes.len())
        ),
        blocks: vec![Block::Curves(Curves { x_title: "episode".into(), panels })],
    }
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
        curve("prediction error PE", Colour::Vermillion, |e| e.prediction_error),
    ];
    let has_data = watched.iter().any(|curve| curve.points.iter().any(|p| p.y.is_some()));
    let marked: Vec<f64> =
        episodes.iter().filter(|e| e.interventions > 0).map(|e| f64::from(e.episode)).collect();
    let marks = (marked.len() <= MOST_MARKS).then(|| Marks { label: "intervention".into(), at: marked });
    let state = CurvePanel {
        y_range: Some((0.0, 1.0)),
        height: 220,
        references: vec![Reference {
            label: format!("{THRESHOLD}: Ψ below, PE above"),
            colour: Colour::Grey,
            value: THRESHOLD,
        }],
        marks,
        ..CurvePanel::new("State, 0 to 1", watched)
    };
    let mut panels = vec![state];
    // without a monitor there is nothing that could intervene: no line of zeros
    if has_data {
        let mut count = Curve::line(
            "interventions",
            Colour::Orange,
            over(episodes, |e| Some(f64::from(e.interventions))),
        );
        count.form = Form::Impulses;
        let count = CurvePanel {
            height: 60,
            ..CurvePanel::new("Interventions, per episode", vec![count.thinned(MOST_POINTS)])
        };
        panels.push(count);
    }
    Figure {
        name: "swarm_consciousness",
        title: "Swarm consciousness: Ψ, continuity and prediction error".into(),
        caption: format!(
            "Ψ and continuity after each episode's last window, the highest prediction error of its windows, and \
             how often psi-field intervened. {}",
            thinning(episodes.len())
        ),
        blocks: vec![Block::Curves(Curves { x_title: "episode".into(), panels })],
    }
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
