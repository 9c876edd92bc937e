use api::psi_field::WindowAnswer;
use plots::{Block, Colour, Curve, CurvePanel, Curves, Figure, Form, Marks, Point, Reference};

use super::series::Series;

/// As many channels are drawn, each in a panel of its own.
const MOST_PANELS: usize = 8;

/// Above this a row is a surprise.
const SURPRISE: f64 = psi::SURPRISE;

/// The rows as CSV: timestamp, prediction error, the anomaly that the row completes, and its cause.
///
/// # Errors
/// None that is known: the rows go into memory.
pub(crate) fn rows(series: &Series, answers: &[WindowAnswer]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "timestamp",
        "prediction_error",
        "anomaly",
        "cause",
        "z_score",
        "observed",
        "expected",
    ])?;
    for (row, answer) in series.rows.iter().zip(answers) {
        let error = answer.state.prediction_error.map_or(String::new(), |error| error.to_string());
        let mut record = vec![row.timestamp.clone(), error];
        match &answer.anomaly {
            None => record.extend(std::iter::repeat_n(String::new(), 5)),
            Some(anomaly) => {
                record.push(anomaly.detector.clone());
                match anomaly.channels.first() {
                    None => record.extend(std::iter::repeat_n(String::new(), 4)),
                    Some(cause) => record.extend([
                        cause.channel.clone(),
                        cause.z_score.to_string(),
                        cause.observed.to_string(),
                        cause.expected.to_string(),
                    ]),
                }
            }
        }
        writer.write_record(&record)?;
    }
    Ok(String::from_utf8(writer.into_inner().map_err(|error| error.into_error())?)?)
}

/// The channels, the prediction error, and where the anomalies are.
pub(crate) fn chart(series: &Series, answers: &[WindowAnswer]) -> Figure {
    let at: Vec<f64> =
        answers.iter().filter(|answer| answer.anomaly.is_some()).map(|answer| answer.window as f64).collect();
    let marks = Marks { label: "anomaly".into(), at };
    let curve = |label: &str, colour, values: &mut dyn Iterator<Item = Option<f64>>| Curve {
        label: label.into(),
        colour,
        form: Form::Line,
        points: values.enumerate().map(|(x, y)| Point { x: x as f64, y, band: None }).collect(),
    };
    let mut panels: Vec<CurvePanel> = Vec::new();
    for (channel, name) in series.channels.iter().enumerate().take(MOST_PANELS) {
        let mut values = series.rows.iter().map(|row| row.cells[channel]);
        panels.push(CurvePanel {
            y_title: name.clone(),
            y_range: None,
            height: 160,
            curves: vec![curve(name, Colour::Blue, &mut values)],
            references: Vec::new(),
            marks: Some(marks.clone()),
            lanes: Vec::new(),
        });
    }
    let mut errors = answers.iter().map(|answer| answer.state.prediction_error);
    panels.push(CurvePanel {
        y_title: "Prediction error, 0 to 1".into(),
        y_range: Some((0.0, 1.0)),
        height: 120,
        curves: vec![curve("PE", Colour::Vermillion, &mut errors)],
        references: vec![Reference { label: "surprise".into(), colour: Colour::Grey, value: SURPRISE }],
        marks: Some(marks),
        lanes: Vec::new(),
    });
    Figure {
        name: "detection",
        title: "Series, prediction error and anomalies".into(),
        caption: format!(
            "The first {MOST_PANELS} channels at most. A row above {SURPRISE} is a surprise; vertical lines are anomalies."
        ),
        blocks: vec![Block::Curves(Curves { x_title: "row".into(), panels })],
    }
}
