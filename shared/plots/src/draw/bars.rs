//! Groups of horizontal bars.

use plotters::prelude::DrawingBackend;

use super::{
    BAR_ALPHA, LABEL, MARGIN, TICK,
    legend::{Legend, Sample},
};
use crate::{
    canvas::{AXIS, Align, Canvas, Drawn, GRID, INK, Stroke},
    figure::{BarSeries, Bars},
    font::{fitted, width},
    palette::Colour,
    scale::Scale,
};

/// Room for the groups' names, at most this share of the paper.
const MOST_LABEL: f64 = 0.36;
const BAR: f64 = 12.0;
const GROUP_GAP: f64 = 10.0;
const AXIS_LABELS: f64 = 40.0;
/// Room for the figure at the end of a bar.
const FIGURE: f64 = 50.0;

impl Bars {
    pub(crate) fn height(&self, paper: f64) -> f64 {
        self.legend(paper).height + self.groups.len() as f64 * self.group_height() + AXIS_LABELS
    }

    pub(crate) fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, top: f64) -> Drawn<DB> {
        let legend = self.legend(canvas.width);
        legend.draw(canvas, top)?;
        let top = top + legend.height;
        let bottom = top + self.groups.len() as f64 * self.group_height();
        let room = self
            .groups
            .iter()
            .map(|group| width(group, LABEL))
            .fold(0.0, f64::max)
            .min(canvas.width * MOST_LABEL)
            .ceil();
        let (left, right) = (MARGIN + room + 12.0, canvas.width - MARGIN - FIGURE);
        let x = Scale::new((0.0, self.most()), (left, right));
        for (tick, text) in x.ticks(((right - left) / 90.0) as usize, false) {
            canvas.line((x.at(tick), top), (x.at(tick), bottom), Stroke::new(GRID, 1.0))?;
            canvas.text((x.at(tick), bottom + 16.0), &text, TICK, INK, Align::Middle)?;
        }
        for (i, group) in self.groups.iter().enumerate() {
            let y = top + i as f64 * self.group_height() + GROUP_GAP / 2.0;
            let middle = y + self.series.len() as f64 * BAR / 2.0;
            let label = fitted(group, LABEL, room);
            canvas.text((left - 8.0, middle + LABEL * 0.36), &label, LABEL, INK, Align::Right)?;
            for (j, series) in self.series.iter().enumerate() {
                series.draw(canvas, i, &x, y + j as f64 * BAR)?;
            }
        }
        canvas.line((left, top), (left, bottom), Stroke::new(AXIS, 1.0))?;
        canvas.text(((left + right) / 2.0, bottom + 34.0), &self.x_title, LABEL, INK, Align::Middle)
    }

    fn group_height(&self) -> f64 {
        self.series.len() as f64 * BAR + GROUP_GAP
    }

    fn most(&self) -> f64 {
        let values = self.series.iter().flat_map(|s| s.values.iter().flatten());
        let most = values.flat_map(|v| [v.mean, v.high]).filter(|v| v.is_finite()).fold(0.0, f64::max);
        if most > 0.0 { most } else { 1.0 }
    }

    fn legend(&self, paper: f64) -> Legend {
        Legend::new(self.series.iter().map(|s| (Sample::Bar(s.role.colour()), s.label.clone())), paper)
    }
}

impl BarSeries {
    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, group: usize, x: &Scale, top: f64) -> Drawn<DB> {
        let baseline = top + BAR / 2.0 + TICK * 0.34;
        let Some(value) = self.values.get(group).copied().flatten() else {
            let place = (x.at(0.0) + 4.0, baseline);
            return canvas.text(place, "no data", TICK - 1.0, Colour::Grey.rgb(), Align::Left);
        };
        let (from, to) = ((x.at(0.0), top + 1.0), (x.at(value.mean), top + BAR - 1.0));
        canvas.rectangle(from, to, self.role.colour().rgb(), BAR_ALPHA)?;
        let middle = top + BAR / 2.0;
        let interval = Stroke::new(INK, 1.25);
        canvas.line((x.at(value.low), middle), (x.at(value.high), middle), interval)?;
        for end in [value.low, value.high] {
            canvas.line((x.at(end), middle - 3.0), (x.at(end), middle + 3.0), interval)?;
        }
        let place = (x.at(value.high.max(value.mean)) + 5.0, baseline);
        canvas.text(place, &format!("{:.3}", value.mean), TICK - 1.0, INK, Align::Left)
    }
}
