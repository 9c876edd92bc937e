use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};

use anyhow::{Context as _, bail};
use psi::{
    Field, Settings,
    nab::{PROFILES, Score, normalised},
    window::{SwarmWindow, Window},
};
use serde::Serialize;

use super::series::{self, Series, time};
use crate::{
    exit::usage,
    files::{read, read_text},
};

/// The benchmark's series that are there, with their labelled windows.
pub(crate) struct Benchmark {
    files: Vec<Labelled>,
}

struct Labelled {
    name: String,
    series: Series,
    windows: Vec<RangeInclusive<usize>>,
}

/// How the detector fares.
#[derive(Debug, Serialize)]
pub(crate) struct Scored {
    pub(crate) standard: f64,
    pub(crate) low_fp: f64,
    pub(crate) low_fn: f64,
    pub(crate) files: Vec<ScoredFile>,
}

/// How it fares on a series, by the standard profile.
#[derive(Debug, Serialize)]
pub(crate) struct ScoredFile {
    pub(crate) file: String,
    pub(crate) hits: usize,
    pub(crate) windows: usize,
    pub(crate) false_rows: usize,
    pub(crate) score: f64,
}

impl Benchmark {
    /// Reads what is there of it.
    ///
    /// # Errors
    /// It is not the benchmark's folder, or a file is none of its.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("labels").join("combined_windows.json");
        let labels: BTreeMap<String, Vec<[String; 2]>> =
            serde_json::from_str(&read_text(&path)?).map_err(|error| {
                usage(format!("{}: {error}; expected the benchmark's labels", path.display()))
            })?;
        let mut files = Vec::new();
        for (name, labelled) in labels {
            let path = folder.join("data").join(&name);
            if !path.exists() {
                continue;
            }
            let wrong = |why: String| usage(format!("{}: {why}", path.display()));
            let series = series::read_text(&read(&path)?).map_err(wrong)?;
            let row = |text: &String| {
                let wanted = time(text);
                let found = series.rows.iter().position(|row| wanted.is_some() && row.time == wanted);
                found.ok_or_else(|| {
                    wrong(format!("a window of the labels begins or ends at {text}, where no row is"))
                })
            };
            let windows = labelled
                .iter()
                .map(|[begin, end]| Ok(row(begin)?..=row(end)?))
                .collect::<anyhow::Result<Vec<_>>>()?;
            files.push(Labelled { name, series, windows });
        }
        if files.iter().all(|file| file.windows.is_empty()) {
            bail!(usage(format!("{}: expected series with labelled windows in `data`", folder.display())));
        }
        Ok(Self { files })
    }
}

/// Scores the field with its default settings, a field of its own for each series.
///
/// # Errors
/// A window is not taken, which no series can bring about.
pub(crate) fn score(benchmark: &Benchmark) -> anyhow::Result<Scored> {
    let mut scores: Vec<Score> = Vec::new();
    for file in &benchmark.files {
        scores.push(psi::nab::score(&alarms(&file.series)?, &file.windows));
    }
    let all = |profile: usize| {
        normalised(&scores, &PROFILES[profile]).context("without a labelled window there is no score")
    };
    let of = |(file, score): (&Labelled, &Score)| ScoredFile {
        file: file.name.clone(),
        hits: score.hits,
        windows: score.windows,
        false_rows: score.false_rows,
        score: score.under(&PROFILES[0]),
    };
    let files = benchmark.files.iter().zip(&scores).map(of).collect();
    Ok(Scored { standard: all(0)?, low_fp: all(1)?, low_fn: all(2)?, files })
}

/// The rows that complete an anomaly.
fn alarms(series: &Series) -> anyhow::Result<Vec<bool>> {
    let mut field = Field::new("nab", "", Settings::default());
    let mut alarms = Vec::with_capacity(series.rows.len());
    for (number, row) in (0..).zip(&series.rows) {
        let window = Window {
            number,
            time: row.time.map(|time| time.timestamp()),
            agents: Vec::new(),
            swarm: SwarmWindow::default(),
            channels: row.values(&series.channels),
            acknowledged: Vec::new(),
            trials: Vec::new(),
        };
        alarms.push(field.watch(&window)?.answer.anomaly.is_some());
    }
    Ok(alarms)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_benchmark_that_is_given_is_scored_at_seventy_or_more() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nab");
        if !folder.exists() {
            eprintln!("{} is not there: nothing was scored", folder.display());
            return;
        }
        let scored = score(&Benchmark::read(&folder).unwrap()).unwrap();
        assert!(scored.standard >= 70.0, "{scored:?}");
        assert!(scored.low_fp < scored.standard && scored.standard < scored.low_fn);
    }

    #[test]
    fn files_that_are_not_there_do_not_count_and_a_window_must_be_of_rows() {
        let folder = tempfile::tempdir().unwrap();
        let labels = folder.path().join("labels");
        fs::create_dir_all(&labels).unwrap();
        fs::create_dir_all(folder.path().join("data/a")).unwrap();
        let mut rows = "timestamp,value\n".to_owned();
        for row in 0..400 {
            let value = if row == 301 { 900.0 } else { f64::from(row * 7 % 11) };
            rows += &format!("2014-04-01 {:02}:{:02}:00,{value}\n", row / 60, row % 60);
        }
        fs::write(folder.path().join("data/a/one.csv"), rows).unwrap();
        let label = |begin: &str| {
            format!(
                r#"{{"a/one.csv": [["{begin}", "2014-04-01 05:10:00.000000"]], "a/other.csv": [["x", "y"]]}}"#
            )
        };
        fs::write(labels.join("combined_windows.json"), label("2014-04-01 05:00:00.000000")).unwrap();
        let scored = score(&Benchmark::read(folder.path()).unwrap()).unwrap();
        assert_eq!((scored.files.len(), scored.files[0].hits, scored.files[0].false_rows), (1, 1, 0));
        assert!(scored.standard > 90.0, "{scored:?}");

        fs::write(labels.join("combined_windows.json"), label("2014-04-02 00:00:00")).unwrap();
        let error = Benchmark::read(folder.path()).err().unwrap().to_string();
        assert!(error.contains("2014-04-02 00:00:00"), "{error}");
    }
}
