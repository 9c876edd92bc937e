//! The page of a training run.

use api::{evaluator::EvaluationResult, trainer::EpisodeMetrics};
use evaluator::report_page;
use plots::{
    PlotError,
    page::{Block, Page, Section, Table},
    swarm_consciousness, training_curves,
};

/// The page of a run's episodes, with what an evaluation found of its policy.
///
/// # Errors
/// A chart cannot be drawn.
pub(super) fn page(
    episodes: &[EpisodeMetrics],
    evaluation: Option<&EvaluationResult>,
) -> Result<Page, PlotError> {
    let curves = training_curves(episodes, evaluation);
    let swarm = swarm_consciousness(episodes);
    let training = vec![Block::Table(summary(episodes)), Block::chart(&curves)?];
    let watched = if swarm.has_data() {
        vec![Block::chart(&swarm)?]
    } else {
        vec![Block::Text("Nobody watched this run: psi-field was off, or had no data.".into())]
    };
    let mut sections = vec![
        Section { heading: "Training".into(), blocks: training },
        Section { heading: "Swarm consciousness".into(), blocks: watched },
    ];
    match evaluation {
        Some(result) => {
            let mut blocks = vec![Block::List(result.verdicts.clone())];
            blocks.extend(report_page::figures(result));
            blocks.extend(report_page::charts(result)?);
            let heading = format!("Judged on {} held-out seeds", result.seeds.len());
            sections.push(Section { heading, blocks });
        }
        None => sections.push(Section {
            heading: "Judged on held-out seeds".into(),
            blocks: vec![Block::Text(
                "Not judged yet. What a run earned while it trained says little of its policy: `mesh evaluate` compares it \
                 with the hand rules on seeds that it was not trained on."
                    .into(),
            )],
        }),
    }
    Ok(Page {
        title: format!("Training report: {} episodes", episodes.len()),
        lede: "What a swarm achieved while it trained, exploration included, and what its policy is worth on seeds that \
               it was not trained on."
            .into(),
        sections,
    })
}

/// A metric's name, its decimals, and where it is read.
type Line = (&'static str, usize, fn(&EpisodeMetrics) -> Option<f64>);

/// First episode, last episode, and the mean over the last tenth.
fn summary(episodes: &[EpisodeMetrics]) -> Table {
    let rows: [Line; 12] = [
        ("reward per request", 3, |e| e.avg_reward),
        ("reward minus that of weighted-score in the same episode", 3, |e| {
            Some(e.avg_reward? - e.baseline_reward?)
        }),
        ("fill, share of requests", 4, |e| e.fill_rate),
        ("fill, share of GPU-hours", 4, |e| e.gpu_hours_fill),
        ("worst tenant's GPU-hours fill", 4, |e| e.worst_tenant_gpu_hours_fill),
        ("$ per GPU-hour", 4, |e| e.cost_per_gpu_hour_usd),
        ("cost index", 4, |e| e.cost_index),
        ("$ per routed request", 3, |e| e.avg_cost_usd),
        ("latency, ms", 1, |e| e.avg_latency_ms),
        ("deferred share", 4, |e| e.deferred_share),
        ("Ψ", 4, |e| e.psi),
        ("ε", 4, |e| Some(e.epsilon).filter(|epsilon| epsilon.is_finite())),
    ];
    let tenth = episodes.len().div_ceil(10);
    let late = &episodes[episodes.len() - tenth..];
    let row = |(label, decimals, of): Line| {
        let values: Vec<f64> = late.iter().filter_map(of).collect();
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let figures = [episodes.first().and_then(of), episodes.last().and_then(of), mean];
        let cells = figures.map(|f| f.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}")));
        std::iter::once(label.to_owned()).chain(cells).collect()
    };
    Table {
        caption: "– is no data.".into(),
        header: ["", "first episode", "last episode", &format!("mean of the last {tenth} of them")]
            .map(str::to_owned)
            .into(),
        rows: rows.into_iter().map(row).collect(),
        marked: Vec::new(),
    }
}
