use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::files;

/// The name of the column that tells the time.
const TIMESTAMP: &str = "timestamp";

/// A window has so many channels at most.
const MOST_CHANNELS: usize = psi::MOST_OPEN_CHANNELS;

/// A file of channels over time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// The channels' names, in the order of the columns.
    pub(crate) channels: Vec<String>,
    /// The rows, in the file's order.
    pub(crate) rows: Vec<Row>,
}

/// A row of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The timestamp as it stands there.
    pub(crate) timestamp: String,
    /// What it says, if it is one that can be read.
    pub(crate) time: Option<DateTime<Utc>>,
    /// A value for each channel; `None` where the cell is empty.
    pub(crate) cells: Vec<Option<f64>>,
}

impl Row {
    /// The values that are there, by channel.
    pub(crate) fn values(&self, channels: &[String]) -> BTreeMap<String, f64> {
        channels.iter().zip(&self.cells).filter_map(|(name, cell)| Some((name.clone(), (*cell)?))).collect()
    }
}

/// Reads a file.
///
/// # Errors
/// What is wrong, and in which line.
pub(crate) fn read_text(text: &[u8]) -> Result<Series, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    if header.get(0) != Some(TIMESTAMP) {
        return Err(format!("expected the first column to be `{TIMESTAMP}`, and a channel in each other"));
    }
    let channels: Vec<String> = header.iter().skip(1).map(ToOwned::to_owned).collect();
    if channels.is_empty() || channels.len() > MOST_CHANNELS {
        return Err(format!("expected 1 to {MOST_CHANNELS} channels, found {}", channels.len()));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let timestamp = record.get(0).unwrap_or_default().to_owned();
        let cell = |(name, cell): (&String, &str)| match cell {
            "" => Ok(None),
            cell => match cell.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Some(value)),
                _ => Err(format!("line {line}: expected a number in `{name}`, found `{cell}`")),
            },
        };
        let cells: Vec<Option<f64>> =
            channels.iter().zip(record.iter().skip(1)).map(cell).collect::<Result<_, _>>()?;
        if cells.iter().all(Option::is_none) {
            return Err(format!("line {line}: expected a number in at least one channel"));
        }
        rows.push(Row { time: time(&timestamp), timestamp, cells });
    }
    if rows.is_empty() {
        return Err("expected at least one row".into());
    }
    Ok(Series { channels, rows })
}

/// Reads a file of the disk.
///
/// # Errors
/// As [`read_text`], or it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Series, String> {
    read_text(&files::read(path).map_err(|error| format!("{error:#}"))?)
}

/// A time as RFC 3339 has it, or as most files do, which is taken for UTC.
pub(crate) fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_the_other_columns_and_an_empty_cell_is_none() {
        let text = "timestamp,cpu,gpu\n2014-04-01 00:05:00, 1.5,\n2014-04-01T00:10:00Z,2,3e1\n5,,7\n";
        let series = read_text(text.as_bytes()).unwrap();
        assert_eq!(series.channels, ["cpu", "gpu"]);
        assert_eq!(series.rows[0].cells, [Some(1.5), None]);
        assert_eq!(series.rows[1].values(&series.channels)["gpu"], 30.0);
        let minutes = (series.rows[1].time.unwrap() - series.rows[0].time.unwrap()).num_minutes();
        assert_eq!((minutes, series.rows[2].time), (5, None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = |text: &str| read_text(text.as_bytes()).unwrap_err();
        assert!(wrong("time,value\n1,2\n").contains("`timestamp`"));
        assert!(wrong("timestamp\n1\n").contains("1 to 64 channels"));
        assert!(
            wrong("timestamp,value\n1,2\n2,high\n")
                .contains("line 3: expected a number in `value`, found `high`")
        );
        assert!(wrong("timestamp,value\n1,inf\n").contains("found `inf`"));
        assert!(wrong("timestamp,value\n").contains("at least one row"));
    }
}
