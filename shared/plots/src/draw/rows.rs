//! Points with intervals, a row each.

use std::collections::{BTreeMap, BTreeSet};

use plotters::prelude::DrawingBackend;

use super::{
    LABEL, MARGIN, TICK,
    legend::{Legend, Sample},
};
use crate::{
    canvas::{AXIS, Align, Canvas, Drawn, GRID, INK, Stroke},
    figure::{Interval, Row, RowPanel, Rows},
    font::{fitted, width, wrapped},
    palette::{Colour, Role},
    scale::{Scale, span},
};

/// Room for the rows' names, at most this share of the paper.
const MOST_LABEL: f64 = 0.36;
const PANEL_GAP: f64 = 26.0;
const TITLE_LINE: f64 = 15.0;
const AXIS_LABELS: f64 = 22.0;
const DOT: f64 = 2.2;

impl Rows {
    pub(crate) fn height(&self, paper: f64) -> f64 {
        let rows = self.labels.len() as f64 * self.row_height();
        self.legend(paper).height + self.title_height(paper) + rows + AXIS_LABELS
    }

    pub(crate) fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, top: f64) -> Drawn<DB> {
        let legend = self.legend(canvas.width);
        legend.draw(canvas, top)?;
        let title_height = self.title_height(canvas.width);
        let top = top + legend.height + title_height;
        let row_height = self.row_height();
        let bottom = top + self.labels.len() as f64 * row_height;
        let middles: Vec<f64> = (0..self.labels.len()).map(|i| top + (i as f64 + 0.5) * row_height).collect();
        for ((label, role), y) in self.labels.iter().zip(&middles) {
            let label = fitted(label, LABEL, self.label_room(canvas.width));
            let colour = if *role == Role::Rule { INK } else { role.colour().ink() };
            canvas.text((MARGIN, y + LABEL * 0.36), &label, LABEL, colour, Align::Left)?;
        }
        for (panel, (left, right)) in self.panels.iter().zip(self.places(canvas.width)) {
            for (i, line) in panel.title(right - left).iter().enumerate() {
                let y = top - title_height + LABEL + i as f64 * TITLE_LINE;
                canvas.text((left, y), line, LABEL, INK, Align::Left)?;
            }
            let frame = Frame { left, right, top, bottom };
            panel.draw(canvas, &frame, &middles, &self.labels)?;
        }
        Ok(())
    }

    fn row_height(&self) -> f64 {
        let dots = self.panels.iter().flat_map(|p| &p.rows).any(|row| !row.dots.is_empty());
        if dots { 30.0 } else { 21.0 }
    }

    fn label_room(&self, paper: f64) -> f64 {
        self.labels
            .iter()
            .map(|(label, _)| width(label, LABEL))
            .fold(0.0, f64::max)
            .min(paper * MOST_LABEL)
            .ceil()
    }

    /// Left and right of each panel's data.
    fn places(&self, paper: f64) -> Vec<(f64, f64)> {
        let first = MARGIN + self.label_room(paper) + 14.0;
        let each = (paper - MARGIN - first) / self.panels.len().max(1) as f64;
        let place = |(i, panel): (usize, &RowPanel)| {
            let left = first + i as f64 * each;
            let gap = if i + 1 < self.panels.len() { PANEL_GAP } else { 6.0 };
            (left, left + each - gap - panel.written_room())
        };
        self.panels.iter().enumerate().map(place).collect()
    }

    fn title_height(&self, paper: f64) -> f64 {
        let lines = self.panels.iter().zip(self.places(paper)).map(|(p, (l, r))| p.title(r - l).len());
        lines.max().unwrap_or(0) as f64 * TITLE_LINE + 7.0
    }

    fn legend(&self, paper: f64) -> Legend {
        if !self.legend {
            return Legend::new([], paper);
        }
        let roles: BTreeSet<Role> = self.labels.iter().map(|(_, role)| *role).collect();
        let mut entries: Vec<_> =
            roles.into_iter().map(|role| (Sample::Marker(role), role.label().to_owned())).collect();
        if self.panels.iter().flat_map(|p| &p.rows).any(|row| !row.dots.is_empty()) {
            entries.push((Sample::Dot, "one seed".to_owned()));
        }
        for reference in self.panels.iter().flat_map(|p| &p.references) {
            let entry = (Sample::Dashes(reference.colour), reference.label.clone());
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        Legend::new(entries, paper)
    }
}

struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl RowPanel {
    fn title(&self, room: f64) -> Vec<String> {
        wrapped(&self.x_title, LABEL, room + self.written_room())
    }

    fn written_room(&self) -> f64 {
        let Some(decimals) = self.written else { return 0.0 };
        let texts = self.rows.iter().filter_map(|row| row.interval.map(|i| i.written(decimals)));
        texts.map(|text| width(&text, TICK)).fold(0.0, f64::max) + 14.0
    }

    fn draw<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        frame: &Frame,
        middles: &[f64],
        labels: &[(String, Role)],
    ) -> Drawn<DB> {
        let Frame { left, right, top, bottom } = *frame;
        canvas.line((left, bottom), (right, bottom), Stroke::new(AXIS, 1.0))?;
        for y in middles {
            canvas.line((left, *y), (right, *y), Stroke::new(GRID, 1.0))?;
        }
        let Some(range) = self.range() else {
            let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
            return canvas.text(middle, "no data", LABEL, Colour::Grey.rgb(), Align::Middle);
        };
        let x = Scale::new(range, (left, right));
        for (tick, text) in x.ticks(((right - left) / 38.0) as usize, false) {
            canvas.line((x.at(tick), top), (x.at(tick), bottom), Stroke::new(GRID, 1.0))?;
            canvas.line((x.at(tick), bottom), (x.at(tick), bottom + 4.0), Stroke::new(AXIS, 1.0))?;
            canvas.text((x.at(tick), bottom + 17.0), &text, TICK, INK, Align::Middle)?;
        }
        for reference in &self.references {
            let at = x.at(reference.value);
            canvas.dashed((at, top), (at, bottom), Stroke::new(reference.colour.rgb(), 1.5))?;
        }
        for ((row, y), (_, role)) in self.rows.iter().zip(middles).zip(labels) {
            row.draw(canvas, &x, *y, *role)?;
            if let (Some(interval), Some(decimals)) = (row.interval, self.written) {
                let text = interval.written(decimals);
                canvas.text((right + 14.0, y + TICK * 0.36), &text, TICK, INK, Align::Left)?;
            }
        }
        Ok(())
    }

    fn range(&self) -> Option<(f64, f64)> {
        let intervals = self.rows.iter().filter_map(|row| row.interval);
        let dots = self.rows.iter().flat_map(|row| row.dots.iter().copied());
        let data = intervals.flat_map(|i| [i.low, i.mean, i.high]).chain(dots);
        data.clone().next()?;
        span(data.chain(self.references.iter().map(|r| r.value)))
    }
}

impl Row {
    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, x: &Scale, y: f64, role: Role) -> Drawn<DB> {
        // the dots above the interval, where neither hides the other
        let (dots, line) = if self.dots.is_empty() { (y, y) } else { (y - 3.0, y + 6.0) };
        for (at, level) in stacked(&self.dots, x) {
            canvas.dot((at, dots - f64::from(level) * DOT * 1.6), DOT, Colour::Grey.rgb(), 0.6)?;
        }
        if let Some(interval) = self.interval {
            let stroke = Stroke::new(role.colour().rgb(), 2.0);
            canvas.line((x.at(interval.low), line), (x.at(interval.high), line), stroke)?;
            canvas.marker((x.at(interval.mean), line), role)?;
        }
        Ok(())
    }
}

/// Where the dots are, and on which level, so that those of about the same value stand upon each other. No more
/// than a few levels are drawn: they are a solid mark then.
fn stacked(dots: &[f64], x: &Scale) -> Vec<(f64, u8)> {
    const MOST: u8 = 4;
    let mut taken: BTreeMap<i64, u8> = BTreeMap::new();
    let mut placed = Vec::with_capacity(dots.len());
    for at in dots.iter().filter(|d| d.is_finite()).map(|d| x.at(*d)) {
        let level = taken.entry((at / (DOT * 2.0)).floor() as i64).or_default();
        if *level < MOST {
            placed.push((at, *level));
            *level += 1;
        }
    }
    placed
}

impl Interval {
    /// The mean and the interval as text.
    fn written(&self, decimals: usize) -> String {
        format!("{:.decimals$} [{:.decimals$}, {:.decimals$}]", self.mean, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_of_one_value_stand_upon_each_other() {
        let x = Scale::new((0.0, 100.0), (0.0, 100.0));
        assert_eq!(stacked(&[1.0, 1.0, 50.0, 1.0], &x), [(1.0, 0), (1.0, 1), (50.0, 0), (1.0, 2)]);
    }
}
