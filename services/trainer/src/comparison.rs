//! Two runs side by side: what was asked for, what was decided, what came of it.

use api::trainer::{
    Checkpoint, ComparedRun, ConfigurationDifference, EpisodeMetrics, MetricDifference, PartedRoots, Run,
    RunComparison, SideBySide,
};
use jsonptr::PointerBuf;
use serde_json::{Map, Value};

/// All that is compared of a run.
pub struct Side {
    /// The run.
    pub run: Run,
    /// Its checkpoints, the oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// Its episodes, the first first.
    pub episodes: Vec<EpisodeMetrics>,
}

/// Compares two runs. Differences are b - a.
#[must_use]
pub fn compare(a: &Side, b: &Side) -> RunComparison {
    let (same_until_episode, parted) = roots(&a.checkpoints, &b.checkpoints);
    let common = a.episodes.len().min(b.episodes.len());
    let in_mean = common.div_ceil(10);
    RunComparison {
        a: shown(&a.run),
        b: shown(&b.run),
        same_digest: a.run.digest == b.run.digest,
        same_run_root: a.run.run_root.zip(b.run.run_root).map(|(a, b)| a == b),
        same_until_episode,
        parted,
        configuration: configuration(a, b),
        common_episodes: count(common),
        episodes_in_mean: count(in_mean),
        metrics: metrics(&a.episodes[..common], &b.episodes[..common], in_mean),
    }
}

fn shown(run: &Run) -> ComparedRun {
    ComparedRun {
        id: run.id,
        name: run.labels.name.clone(),
        status: run.status,
        digest: run.digest,
        run_root: run.run_root,
        episodes_done: run.progress.episodes_done,
    }
}

/// A run has at most 10,000,000 episodes.
fn count(episodes: usize) -> u32 {
    u32::try_from(episodes).unwrap_or(u32::MAX)
}

/// The last checkpoint of both with the same root, and the first with different ones.
fn roots(a: &[Checkpoint], b: &[Checkpoint]) -> (Option<u32>, Option<PartedRoots>) {
    let mut same = None;
    for one in a {
        let Some(other) = b.iter().find(|other| other.episodes_done == one.episodes_done) else { continue };
        if one.run_root != other.run_root {
            let parted = PartedRoots { episodes_done: one.episodes_done, a: one.run_root, b: other.run_root };
            return (same, Some(parted));
        }
        same = Some(one.episodes_done);
    }
    (same, None)
}

fn configuration(a: &Side, b: &Side) -> Vec<ConfigurationDifference> {
    let config = |side: &Side| serde_json::to_value(&side.run.config).unwrap_or_default();
    let mut found = Vec::new();
    differences(&mut PointerBuf::new(), Some(&config(a)), Some(&config(b)), &mut found);
    found
}

/// Goes down where both are objects, or lists of the same length; elsewhere the values as a whole are compared.
fn differences(
    pointer: &mut PointerBuf,
    a: Option<&Value>,
    b: Option<&Value>,
    found: &mut Vec<ConfigurationDifference>,
) {
    match (a, b) {
        (a, b) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                pointer.push_back(name);
                differences(pointer, a.get(name), b.get(name), found);
                pointer.pop_back();
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                pointer.push_back(index);
                differences(pointer, Some(a), Some(b), found);
                pointer.pop_back();
            }
        }
        (a, b) => {
            let (pointer, a, b) = (pointer.to_string(), a.cloned(), b.cloned());
            found.push(ConfigurationDifference { pointer, a, b });
        }
    }
}

/// As many episodes of both.
fn metrics(a: &[EpisodeMetrics], b: &[EpisodeMetrics], in_mean: usize) -> Vec<MetricDifference> {
    let tail = a.len() - in_mean;
    let (a, b): (Vec<_>, Vec<_>) =
        (a[tail..].iter().map(columns).collect(), b[tail..].iter().map(columns).collect());
    let (Some(last_a), Some(last_b)) = (a.last(), b.last()) else { return Vec::new() };
    let of = |episode: &Map<String, Value>, metric: &str| episode.get(metric).and_then(Value::as_f64);
    let names = last_a.keys().filter(|name| *name != "episode");
    names
        .map(|metric| {
            let pairs = a.iter().zip(&b).filter_map(|(a, b)| of(a, metric).zip(of(b, metric)));
            let (mut n, mut sum_a, mut sum_b) = (0.0, 0.0, 0.0);
            for (a, b) in pairs {
                (n, sum_a, sum_b) = (n + 1.0, sum_a + a, sum_b + b);
            }
            let mean = |sum: f64| (n > 0.0).then(|| sum / n);
            MetricDifference {
                metric: metric.clone(),
                last: side_by_side(of(last_a, metric), of(last_b, metric)),
                mean: side_by_side(mean(sum_a), mean(sum_b)),
            }
        })
        .collect()
}

/// An episode by the names of its columns.
fn columns(episode: &EpisodeMetrics) -> Map<String, Value> {
    match serde_json::to_value(episode) {
        Ok(Value::Object(columns)) => columns,
        _ => Map::new(), // a struct of numbers is always an object
    }
}

fn side_by_side(a: Option<f64>, b: Option<f64>) -> SideBySide {
    SideBySide { a, b, difference: a.zip(b).map(|(a, b)| b - a) }
}

#[cfg(test)]
mod tests {
    use api::{
        Hash,
        trainer::{AlgorithmSpec, NewRun},
    };
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::run;

    fn side(config: NewRun, roots: &[(u32, u8)], rewards: &[Option<f64>]) -> Side {
        let checkpoint = |(episodes_done, root): &(u32, u8)| Checkpoint {
            sha256: Hash([0; 32]),
            episodes_done: *episodes_done,
            decisions: 1,
            run_root: Hash([*root; 32]),
        };
        let episode = |(episode, reward): (usize, &Option<f64>)| {
            serde_json::from_value(json!({
                "episode": episode, "avg_reward": reward, "epsilon": 0.1, "q_table_size": episode, "interventions": 0}))
            .unwrap()
        };
        let mut run = run::Run::new(Uuid::now_v7(), Hash([1; 32]), config).to_wire();
        run.run_root = roots.last().map(|(_, root)| Hash([*root; 32]));
        Side {
            run,
            checkpoints: roots.iter().map(checkpoint).collect(),
            episodes: rewards.iter().enumerate().map(episode).collect(),
        }
    }

    fn roots_of(a: &[(u32, u8)], b: &[(u32, u8)]) -> (Option<u32>, Option<u32>, Option<bool>) {
        let (a, b) = (side(NewRun::default(), a, &[]), side(NewRun::default(), b, &[]));
        let RunComparison { same_until_episode, parted, same_run_root, .. } = compare(&a, &b);
        (same_until_episode, parted.map(|parted| parted.episodes_done), same_run_root)
    }

    #[test]
    fn runs_part_at_the_first_checkpoint_of_both_that_differs() {
        assert_eq!(roots_of(&[(2, 7), (4, 8)], &[(2, 7), (4, 8)]), (Some(4), None, Some(true)));
        assert_eq!(
            roots_of(&[(2, 7), (4, 8), (6, 1)], &[(2, 7), (4, 9), (6, 1)]),
            (Some(2), Some(4), Some(true))
        );
        assert_eq!(
            roots_of(&[(2, 7), (3, 1), (6, 4)], &[(2, 7), (4, 9), (6, 5)]),
            (Some(2), Some(6), Some(false))
        );
        assert_eq!(roots_of(&[(1, 7)], &[(2, 8)]), (None, None, Some(false)));
        assert_eq!(roots_of(&[], &[(2, 8)]), (None, None, None));
    }

    #[test]
    fn differences_of_the_configuration_are_pointed_at_as_deep_as_they_go() {
        let config = |learning_rate: f64, workloads| {
            let algorithm = AlgorithmSpec::new("q-learning", json!({"learning_rate": learning_rate}));
            let mut config = NewRun { algorithm: Some(algorithm), ..NewRun::default() };
            config.environment.workloads = Some(workloads);
            side(config, &[], &[])
        };
        let a = config(0.1, json!({"mix": {"x/y": 1, "z": 2}, "list": [1, 2], "other": [1]}));
        let b = config(0.2, json!({"mix": {"x/y": 3, "z": 2}, "list": [1, 5], "other": [], "new": true}));
        let found = compare(&a, &b).configuration;
        let found: Vec<_> = found.iter().map(|d| (d.pointer.as_str(), d.a.clone(), d.b.clone())).collect();
        let place = |pointer: &'static str, a: Value, b: Value| (pointer, Some(a), Some(b));
        assert_eq!(
            found,
            [
                place("/algorithm/learning_rate", json!(0.1), json!(0.2)),
                place("/environment/workloads/mix/x~1y", json!(1), json!(3)),
                place("/environment/workloads/list/1", json!(2), json!(5)),
                place("/environment/workloads/other", json!([1]), json!([])),
                ("/environment/workloads/new", None, Some(json!(true))),
            ]
        );
        assert_eq!(compare(&a, &a).configuration, []);
    }

    #[test]
    fn figures_are_of_the_common_episodes_and_of_those_with_data() {
        // 11 common episodes: the last tenth, rounded up, is 2 of them
        let mut rewards = vec![Some(100.0); 9];
        rewards.extend([Some(1.0), Some(2.0), Some(1000.0)]);
        let a = side(NewRun::default(), &[], &rewards);
        rewards.truncate(9);
        rewards.extend([None, Some(5.0)]);
        let b = side(NewRun::default(), &[], &rewards);
        let comparison = compare(&a, &b);
        assert_eq!((comparison.common_episodes, comparison.episodes_in_mean), (11, 2));
        let reward = &comparison.metrics[0];
        assert_eq!(reward.metric, "avg_reward");
        assert_eq!(reward.last, SideBySide { a: Some(2.0), b: Some(5.0), difference: Some(3.0) });
        assert_eq!(reward.mean, SideBySide { a: Some(2.0), b: Some(5.0), difference: Some(3.0) });
        let states = comparison.metrics.iter().find(|metric| metric.metric == "q_table_size").unwrap();
        assert_eq!(states.mean, SideBySide { a: Some(9.5), b: Some(9.5), difference: Some(0.0) });
        let fill = comparison.metrics.iter().find(|metric| metric.metric == "fill_rate").unwrap();
        assert_eq!((fill.last, fill.mean), (SideBySide::default(), SideBySide::default()));
        assert_eq!(comparison.metrics.len(), 15);
    }

    #[test]
    fn without_a_common_episode_there_are_no_figures() {
        let comparison =
            compare(&side(NewRun::default(), &[], &[]), &side(NewRun::default(), &[], &[Some(1.0)]));
        assert_eq!((comparison.common_episodes, comparison.episodes_in_mean), (0, 0));
        assert_eq!(comparison.metrics, []);
    }
}
