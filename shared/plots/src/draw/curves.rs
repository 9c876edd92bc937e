//! Lines over a shared horizontal axis.

use std::borrow::Cow;

use plotters::prelude::DrawingBackend;

use super::{LABEL, MARGIN, TICK, lanes};
use crate::{
    canvas::{AXIS, Align, Canvas, Drawn, GRID, INK, Pixel, Stroke},
    figure::{Curve, CurvePanel, Curves, Form, Point},
    font::{fitted, width},
    palette::Colour,
    scale::{Scale, span},
};

const LEFT: f64 = 66.0;
const PANEL_TITLE: f64 = 22.0;
const PANEL_GAP: f64 = 16.0;
const X_AXIS: f64 = 38.0;
/// Room for the labels at the lines' right ends, at most this share of the paper.
const MOST_LABEL: f64 = 0.26;
pub(super) const LABEL_OFFSET: f64 = 14.0;
const LABEL_HEIGHT: f64 = 14.0;
const MARK: Colour = Colour::Orange;

/// With fewer points than this each is marked by a dot.
const FEW: usize = 40;

/// Where a panel's data are drawn.
struct Frame {
    x: Scale,
    y: Scale,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Curves {
    pub(crate) fn height(&self) -> f64 {
        self.panels.iter().map(|p| PANEL_TITLE + f64::from(p.height) + PANEL_GAP).sum::<f64>() + X_AXIS
    }

    pub(crate) fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, top: f64) -> Drawn<DB> {
        let right = canvas.width - MARGIN - LABEL_OFFSET - self.label_room(canvas.width);
        let range = self.x_range();
        let x = Scale::new(range, (LEFT, right));
        let ticks = x.ticks(((right - LEFT) / 60.0) as usize, true);
        let mut y = top;
        for panel in &self.panels {
            canvas.text((MARGIN, y + LABEL), &panel.y_title, LABEL, INK, Align::Left)?;
            let (top, bottom) = (y + PANEL_TITLE, y + PANEL_TITLE + f64::from(panel.height));
            for (tick, _) in &ticks {
                canvas.line((x.at(*tick), top), (x.at(*tick), bottom), Stroke::new(GRID, 1.0))?;
            }
            panel.draw(canvas, x, (LEFT, right), (top, bottom))?;
            y = bottom + PANEL_GAP;
        }
        let axis = y - PANEL_GAP;
        for (tick, text) in &ticks {
            canvas.line((x.at(*tick), axis), (x.at(*tick), axis + 4.0), Stroke::new(AXIS, 1.0))?;
            canvas.text((x.at(*tick), axis + 17.0), text, TICK, INK, Align::Middle)?;
        }
        canvas.text(((LEFT + right) / 2.0, axis + 34.0), &self.x_title, LABEL, INK, Align::Middle)
    }

    fn label_room(&self, paper: f64) -> f64 {
        let labels = self.panels.iter().flat_map(CurvePanel::labels);
        labels.map(|label| width(&label, LABEL)).fold(0.0, f64::max).min(paper * MOST_LABEL).ceil()
    }

    fn x_range(&self) -> (f64, f64) {
        let points = self.panels.iter().flat_map(|p| &p.curves).flat_map(|c| &c.points);
        let (low, high) = points
            .map(|p| p.x)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if low > high {
            return (0.0, 1.0);
        }
        let room = if high > low { (high - low) * 0.015 } else { 0.5 };
        (low - room, high + room)
    }
}

impl CurvePanel {
    /// All that is written at the right.
    fn labels(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let curves = self.curves.iter().map(|c| c.label.as_str());
        let references = self.references.iter().map(|r| r.label.as_str());
        let marks = self.marks.iter().map(|m| m.label.as_str());
        let lanes = self.lanes.iter().map(|lane| lanes::label(lane).into());
        curves.chain(references).chain(marks).map(Cow::Borrowed).chain(lanes)
    }

    fn draw<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        x: Scale,
        (left, right): (f64, f64),
        (top, bottom): (f64, f64),
    ) -> Drawn<DB> {
        let axis = Stroke::new(AXIS, 1.0);
        canvas.line((left, bottom), (right, bottom), axis)?;
        if !self.lanes.is_empty() {
            return lanes::draw(&self.lanes, canvas, x, (left, right), (top, bottom));
        }
        canvas.line((left, top), (left, bottom), axis)?;
        let Some(range) = self.range() else {
            let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
            return canvas.text(middle, "no data", LABEL, Colour::Grey.rgb(), Align::Middle);
        };
        let frame = Frame { x, y: Scale::new(range, (bottom, top)), right, top, bottom };
        for (tick, text) in frame.y.ticks((f64::from(self.height) / 20.0) as usize, self.counts()) {
            let y = frame.y.at(tick);
            canvas.line((left, y), (right, y), Stroke::new(GRID, 1.0))?;
            canvas.text((left - 6.0, y + TICK * 0.36), &text, TICK, INK, Align::Right)?;
        }
        if let Some(marks) = &self.marks {
            for at in &marks.at {
                let stroke = Stroke::new(MARK.rgb(), 1.25).alpha(0.8);
                canvas.line((x.at(*at), top), (x.at(*at), bottom), stroke)?;
            }
        }
        for reference in &self.references {
            let y = frame.y.at(reference.value);
            canvas.dashed((left, y), (right, y), Stroke::new(reference.colour.rgb(), 1.5))?;
        }
        for curve in &self.curves {
            curve.draw(canvas, &frame)?;
        }
        self.draw_labels(canvas, &frame)
    }

    /// Whether all its values are counts, which have no halves.
    fn counts(&self) -> bool {
        let mut points = self.curves.iter().flat_map(|c| &c.points).filter_map(|p| p.y);
        self.curves.iter().all(|c| c.form == Form::Impulses) && points.all(|y| y.fract() == 0.0)
    }

    /// The panel's range; `None` when it has no data.
    fn range(&self) -> Option<(f64, f64)> {
        let points = || self.curves.iter().flat_map(|c| &c.points);
        let data = points().filter_map(|p| p.y);
        data.clone().next()?;
        let bands = points().filter_map(|p| p.band).flat_map(|(low, high)| [low, high]);
        let references = self.references.iter().map(|r| r.value);
        let impulses = self.curves.iter().any(|c| c.form == Form::Impulses);
        let (low, high) = span(data.chain(bands).chain(references))?;
        let (low, high) = if impulses { (0.0, high.max(1.0)) } else { (low, high) };
        Some(self.y_range.map_or((low, high), |(least, most)| (least.min(low), most.max(high))))
    }

    /// Each label at the end of what it names, moved up or down where two would meet.
    fn draw_labels<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: &Frame) -> Drawn<DB> {
        let mut labels: Vec<(f64, f64, Colour, &str)> = Vec::new();
        for curve in &self.curves {
            if let Some((x, y)) = curve.points.iter().rev().find_map(|p| p.y.map(|y| (p.x, y))) {
                labels.push((frame.x.at(x), frame.y.at(y), curve.colour, &curve.label));
            }
        }
        for reference in &self.references {
            labels.push((frame.right, frame.y.at(reference.value), reference.colour, &reference.label));
        }
        if let Some(marks) = self.marks.as_ref().filter(|marks| !marks.at.is_empty()) {
            labels.push((frame.right, frame.bottom, MARK, &marks.label));
        }
        labels.sort_by(|a, b| a.1.total_cmp(&b.1));
        let ends: Vec<f64> = labels.iter().map(|label| label.1).collect();
        let apart = spread(&ends, LABEL_HEIGHT, (frame.top, frame.bottom));
        let left = frame.right + LABEL_OFFSET;
        for ((x, end, colour, text), y) in labels.into_iter().zip(apart) {
            let stroke = Stroke::new(colour.rgb(), 1.0).alpha(0.6);
            // from where the curve ends only when that is near: a long line would look like data
            canvas.path(
                [(x.max(frame.right - LABEL_OFFSET), end), (frame.right + 3.0, end), (left - 3.0, y)],
                stroke,
            )?;
            let text = fitted(text, LABEL, canvas.width - MARGIN - left);
            canvas.text((left, y + LABEL * 0.36), &text, LABEL, colour.ink(), Align::Left)?;
        }
        Ok(())
    }
}

impl Curve {
    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: &Frame) -> Drawn<DB> {
        let colour = self.colour.rgb();
        let at = |x: f64, y: f64| -> Pixel { (frame.x.at(x), frame.y.at(y)) };
        if self.form == Form::Impulses {
            for (x, y) in self.points.iter().filter_map(|p| p.y.map(|y| (p.x, y))).filter(|(_, y)| *y != 0.0)
            {
                canvas.line(at(x, 0.0), at(x, y), Stroke::new(colour, 2.0))?;
            }
            return Ok(());
        }
        for run in self.points.split(|p| p.y.is_none()).filter(|run| !run.is_empty()) {
            let bands = || run.iter().filter_map(|p| p.band.map(|band| (p.x, band)));
            if bands().count() > 1 {
                let upper = bands().map(|(x, (_, high))| at(x, high));
                let lower = bands().map(|(x, (low, _))| at(x, low)).collect::<Vec<_>>();
                canvas.polygon(upper.chain(lower.into_iter().rev()), colour, 0.18)?;
            }
            let points = || run.iter().filter_map(|p| p.y.map(|y| at(p.x, y)));
            if run.len() > 1 {
                canvas.path(points(), Stroke::new(colour, 1.75))?;
            }
            if self.points.len() < FEW || run.len() == 1 {
                points().try_for_each(|point| canvas.dot(point, 2.75, colour, 1.0))?;
            }
        }
        Ok(())
    }
}

impl Point {
    /// A point with a band.
    #[must_use]
    pub fn with_band(x: f64, y: f64, band: (f64, f64)) -> Self {
        Self { x, y: Some(y), band: Some(band) }
    }
}

/// Sorted places moved as little as a simple sweep can, so that neighbours are `distance` apart and, as far as
/// there is room, within the range.
fn spread(places: &[f64], distance: f64, (top, bottom): (f64, f64)) -> Vec<f64> {
    let mut moved = places.to_vec();
    for i in 1..moved.len() {
        moved[i] = moved[i].max(moved[i - 1] + distance);
    }
    let mut lowest = bottom;
    for place in moved.iter_mut().rev() {
        *place = place.min(lowest);
        lowest = *place - distance;
    }
    let mut highest = top;
    for place in &mut moved {
        *place = place.max(highest);
        highest = *place + distance;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_would_meet_are_moved_apart_within_the_panel() {
        assert_eq!(spread(&[10.0, 50.0], 14.0, (0.0, 100.0)), [10.0, 50.0]);
        assert_eq!(spread(&[10.0, 11.0, 12.0], 14.0, (0.0, 100.0)), [10.0, 24.0, 38.0]);
        assert_eq!(spread(&[98.0, 99.0], 14.0, (0.0, 100.0)), [86.0, 100.0]);
        assert_eq!(spread(&[], 14.0, (0.0, 100.0)), [0.0; 0]);
    }
}
