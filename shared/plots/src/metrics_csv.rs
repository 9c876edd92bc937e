//! `training_metrics.csv` as rows.

use std::str::FromStr;

use api::trainer::EpisodeMetrics;
use csv::{ReaderBuilder, StringRecord};

/// The columns that every such file has.
const COLUMNS: [&str; 12] = [
    "episode",
    "avg_reward",
    "fill_rate",
    "gpu_hours_fill",
    "avg_cost_usd",
    "avg_latency_ms",
    "epsilon",
    "q_table_size",
    "psi",
    "continuity",
    "prediction_error",
    "interventions",
];

/// Figures beyond this size are none of a run, and no axis can be drawn for them.
const MOST: f64 = 1e100;

const ORIGIN: &str = "such a file is what `mesh train` leaves in --output as training_metrics.csv, and what the trainer's \
                      GET /v1/runs/{id}/metrics?format=csv gives";

/// Why a file has no rows to draw.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MetricsError(String);

/// The rows of a file. An empty cell is a figure without data. `name` is the file's, for messages.
///
/// # Errors
/// It is no CSV, or lacks a column or rows, or a cell is no number.
pub fn episodes(name: &str, content: &[u8]) -> Result<Vec<EpisodeMetrics>, MetricsError> {
    if content.trim_ascii().is_empty() {
        return Err(MetricsError(format!("{name} is empty: {ORIGIN}")));
    }
    let no_text = |error| MetricsError(format!("{name} is no CSV of metrics: {error}; {ORIGIN}"));
    let content = json_input::text(content).map_err(no_text)?.as_bytes();
    let mut reader = ReaderBuilder::new().from_reader(content);
    let no_csv = |error: csv::Error| MetricsError(format!("{name} is no CSV of metrics: {error}; {ORIGIN}"));
    let header = reader.headers().map_err(no_csv)?.clone();
    if let Some(missing) = COLUMNS.iter().find(|column| !header.iter().any(|name| name == **column)) {
        return Err(MetricsError(format!(
            "{name} has no column `{missing}`, but needs {}: {ORIGIN}",
            COLUMNS.join(", ")
        )));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(no_csv)?;
        let line = line_of(content, record.position());
        let row = Row { header: &header, record: &record };
        rows.push(row.metrics().map_err(|error| MetricsError(format!("{name}, line {line}, {error}")))?);
    }
    if rows.is_empty() {
        return Err(MetricsError(format!(
            "{name} has a header and no row: its run has not ended an episode yet"
        )));
    }
    Ok(rows)
}

/// The line in which a record begins: the reader counts empty lines before it as its own.
fn line_of(content: &[u8], position: Option<&csv::Position>) -> usize {
    let (before, rest) = content.split_at(position.map_or(0, |p| p.byte() as usize).min(content.len()));
    let begin = rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
    let ends = before.iter().chain(&rest[..begin]).filter(|byte| **byte == b'\n');
    1 + ends.count()
}

struct Row<'a> {
    header: &'a StringRecord,
    record: &'a StringRecord,
}

impl Row<'_> {
    fn metrics(&self) -> Result<EpisodeMetrics, String> {
        Ok(EpisodeMetrics {
            episode: self.get("episode")?.ok_or("column `episode`: expected a number, found nothing")?,
            avg_reward: self.figure("avg_reward")?,
            fill_rate: self.figure("fill_rate")?,
            gpu_hours_fill: self.figure("gpu_hours_fill")?,
            avg_cost_usd: self.figure("avg_cost_usd")?,
            avg_latency_ms: self.figure("avg_latency_ms")?,
            // what is no number is drawn as a gap
            epsilon: self.figure("epsilon")?.unwrap_or(f64::NAN),
            q_table_size: self.get("q_table_size")?.unwrap_or_default(),
            psi: self.figure("psi")?,
            continuity: self.figure("continuity")?,
            prediction_error: self.figure("prediction_error")?,
            interventions: self.get("interventions")?.unwrap_or_default(),
            cost_index: self.figure("cost_index")?,
            cost_per_gpu_hour_usd: self.figure("cost_per_gpu_hour_usd")?,
            deferred_share: self.figure("deferred_share")?,
            worst_tenant_gpu_hours_fill: self.figure("worst_tenant_gpu_hours_fill")?,
            baseline_reward: self.figure("baseline_reward")?,
            nigredo: self.get("nigredo")?,
            albedo: self.get("albedo")?,
        })
    }

    /// A cell's number, which has a place on an axis.
    fn figure(&self, column: &str) -> Result<Option<f64>, String> {
        let figure: Option<f64> = self.get(column)?;
        match figure {
            Some(figure) if figure.abs() > MOST => Err(format!(
                "column `{column}`: expected a number from -{MOST:e} to {MOST:e} or an empty cell, found `{figure:e}`"
            )),
            Some(figure) if figure.is_nan() => {
                Err(format!("column `{column}`: expected a number or an empty cell, found `NaN`"))
            }
            figure => Ok(figure),
        }
    }

    /// A cell's number; `None` when it is empty or there is no such column.
    fn get<T: FromStr>(&self, column: &str) -> Result<Option<T>, String> {
        let place = self.header.iter().position(|name| name == column);
        let Some(cell) =
            place.and_then(|i| self.record.get(i)).map(str::trim).filter(|cell| !cell.is_empty())
        else {
            return Ok(None);
        };
        let wrong = || format!("column `{column}`: expected a number or an empty cell, found `{cell}`");
        json_input::number(cell).map(Some).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(content: &str) -> String {
        episodes("m.csv", content.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn empty_cells_are_figures_without_data() {
        let rows =
            episodes("m.csv", format!("{}\n0,1.5,,0.5,,,,7,,,,\n", COLUMNS.join(",")).as_bytes()).unwrap();
        let row = &rows[0];
        assert_eq!((row.avg_reward, row.fill_rate, row.gpu_hours_fill), (Some(1.5), None, Some(0.5)));
        assert_eq!((row.q_table_size, row.psi, row.interventions, row.cost_index), (7, None, 0, None));
        assert!(row.epsilon.is_nan());
    }

    #[test]
    fn a_file_that_another_program_wrote_again_is_the_same_file() {
        let header = COLUMNS.join(",");
        let ours = format!("{header}\n203,1.5,1,0.5,2,30,0.1,7,0.9,1,0.2,4\n");
        let pandas = format!("{header}\n203.0,1.5,1.0,0.5,2.0,30.0,0.1,7.0,0.9,1.0,0.2,4.0\n");
        let excel = format!("\u{feff}{}", ours.replace('\n', "\r\n"));
        let read = |text: &str| format!("{:?}", episodes("m.csv", text.as_bytes()).unwrap());
        assert_eq!(read(&pandas), read(&ours));
        assert_eq!(read(&excel), read(&ours));
        assert!(refused(&ours.replace("203", "203.5")).contains("column `episode`"));
        let utf_16: Vec<u8> = ours.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(episodes("m.csv", &utf_16).unwrap_err().to_string().contains("UTF-16"));
    }

    #[test]
    fn columns_are_known_by_their_names_and_not_by_their_places() {
        let columns: Vec<&str> = COLUMNS.iter().rev().copied().chain(["cost_index"]).collect();
        let rows = episodes(
            "m.csv",
            format!("{}\n3,.9,.8,.7,5,.1,300,2,.6,.5,40,4,1.2", columns.join(",")).as_bytes(),
        );
        let row = &rows.unwrap()[0];
        assert_eq!((row.episode, row.interventions, row.avg_reward), (4, 3, Some(40.0)));
        assert_eq!(row.cost_index, Some(1.2));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_place_and_what_makes_such_a_file() {
        let header = COLUMNS.join(",");
        for (content, expected) in [
            (String::new(), "m.csv is empty: such a file is what `mesh train` leaves"),
            (header.replace(",psi", ""), "m.csv has no column `psi`"),
            (header.clone(), "has a header and no row"),
            (format!("{header}\n0,1,1"), "m.csv is no CSV of metrics"),
            (
                format!("{header}\n0,x,1,1,1,1,1,1,1,1,1,1"),
                "m.csv, line 2, column `avg_reward`: expected a number",
            ),
            (format!("{header}\n-1,1,1,1,1,1,1,1,1,1,1,1"), "column `episode`"),
            (format!("{header}\n\n\n0,x,1,1,1,1,1,1,1,1,1,1"), "m.csv, line 4, column `avg_reward`"),
            (
                format!("{header}\n0,NaN,1,1,1,1,1,1,1,1,1,1"),
                "expected a number or an empty cell, found `NaN`",
            ),
            (format!("{header}\n0,1,inf,1,1,1,1,1,1,1,1,1"), "expected a number from -1e100 to 1e100"),
        ] {
            let error = refused(&content);
            assert!(error.contains(expected), "{error}");
        }
        assert!(episodes("m.csv", b"\xff\xfe\x00").unwrap_err().to_string().contains("m.csv"));
    }
}
