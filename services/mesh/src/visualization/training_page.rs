//! The page of a training run.

use api::{evaluator::EvaluationResult, trainer::EpisodeMetrics};
use evaluation::brief::headline;
use evaluator::{conversion::from_wire, report_page};
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
    let found = evaluation.and_then(|result| headline(&from_wire(result)));
    let found = found.map_or_else(String::new, |found| format!("{found} "));
    let watched = if swarm.has_data() {
        vec![Block::chart(&swarm)?]
    } else {
        vec![Block::Text("Nobody watched this run: psi-field was off, or had no data.".into())]
    };
    let mut sections = vec![
        Section { heading: "In one picture".into(), blocks: vec![Block::chart(&curves)?] },
        Section { heading: "Figures of the training".into(), blocks: vec![Block::Table(summary(episodes))] },
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
        lede: format!(
            "{found}Below is what a swarm achieved while it trained, exploration included, and what its policy is worth on seeds \
             that it was not trained on."
        ),
        sections,
    })
}

/// A metric's name, its decimals, and where it is read.
type Line = (&'static str, usize, fn(&EpisodeMetrics) -> Option<f64>);

/// First episode, last episode, and the mean over the last tenth where that is more than one.
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
    let columns = if tenth > 1 { 4 } else { 3 };
    let row = |(label, decimals, of): Line| {
        let values: Vec<f64> = late.iter().filter_map(of).collect();
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let figures = [episodes.first().and_then(of), episodes.last().and_then(of), mean];
        let cells = figures.map(|f| f.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}")));
        std::iter::once(label.to_owned()).chain(cells).take(columns).collect()
    };
    Table {
        caption: "– is no data.".into(),
        header: ["", "first episode", "last episode", &format!("mean of the last {tenth}")]
            .map(str::to_owned)
            .into_iter()
            .take(columns)
            .collect(),
        rows: rows.into_iter().map(row).collect(),
        marked: Vec::new(),
    }
}
