//! Points in a plane, with a third figure as their colour.

use plotters::{prelude::DrawingBackend, style::WHITE};

use super::{
    LABEL, MARGIN, TICK,
    legend::{Legend, Sample},
};
use crate::{
    canvas::{AXIS, Align, Canvas, Drawn, GRID, INK, Stroke},
    figure::{Scatter, ScatterPanel, ScatterPoint, ScatterSeries},
    font::wrapped,
    palette::{Role, sequential},
    scale::{Scale, span},
};

const PANEL: f64 = 340.0;
const PANEL_GAP: f64 = 18.0;
const TITLE_LINE: f64 = 16.0;
/// Room for the titles of the vertical axis and of the colours.
const AXIS_TITLE: f64 = 28.0;
/// How far a point's edge is seen, where it lies on others.
const EDGE: f64 = 6.2;
/// Room for the vertical axis's labels.
const LEFT: f64 = 66.0;
const X_AXIS: f64 = 40.0;
/// The bar that says what the colours are, with its labels.
const BAR: f64 = 14.0;
const BAR_ROOM: f64 = 96.0;
const BAR_STEPS: u32 = 60;

/// Where values of all panels are.
struct Axes {
    x: Scale,
    y: (f64, f64),
    colour: (f64, f64),
    right: f64,
}

impl Scatter {
    pub(crate) fn height(&self, paper: f64) -> f64 {
        let panels = self.panels.iter().map(|panel| panel.height(paper)).sum::<f64>();
        let gaps = PANEL_GAP * self.panels.len().saturating_sub(1) as f64;
        self.legend(paper).height + panels + gaps + X_AXIS
    }

    pub(crate) fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, top: f64) -> Drawn<DB> {
        let legend = self.legend(canvas.width);
        legend.draw(canvas, top)?;
        let top = top + legend.height;
        let points = || self.panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
        let range = |of: fn(&ScatterPoint) -> f64| span(points().map(of));
        let Some(((x, y), colour)) = range(|p| p.x).zip(range(|p| p.y)).zip(range(|p| p.colour)) else {
            return canvas.text((canvas.width / 2.0, top + LABEL), "no data", LABEL, INK, Align::Middle);
        };
        let right = canvas.width - MARGIN - BAR_ROOM;
        let axes = Axes { x: Scale::new(x, (LEFT, right)), y, colour, right };
        let mut bottom = top - PANEL_GAP;
        for panel in &self.panels {
            let top = bottom + PANEL_GAP;
            bottom = top + panel.height(canvas.width);
            let titles = bottom - PANEL - 8.0;
            canvas.text((MARGIN, titles), &self.y_title, LABEL, INK, Align::Left)?;
            canvas.text((canvas.width - MARGIN, titles), &self.colour_title, LABEL, INK, Align::Right)?;
            panel.draw(canvas, &axes, top)?;
        }
        for (tick, text) in axes.x.ticks(axes.ticks(), false) {
            let at = axes.x.at(tick);
            canvas.line((at, bottom), (at, bottom + 4.0), Stroke::new(AXIS, 1.0))?;
            canvas.text((at, bottom + 17.0), &text, TICK, INK, Align::Middle)?;
        }
        canvas.text(((LEFT + right) / 2.0, bottom + 34.0), &self.x_title, LABEL, INK, Align::Middle)
    }

    fn legend(&self, paper: f64) -> Legend {
        let mut entries: Vec<(Sample, String)> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series).rev() {
            let sample =
                if series.is_front { Sample::Joined(series.role) } else { Sample::Shape(series.role) };
            let entry = (sample, series.label.clone());
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        Legend::new(entries, paper)
    }
}

impl ScatterPanel {
    fn title_lines(&self, paper: f64) -> Vec<String> {
        wrapped(&self.title, LABEL, paper - 2.0 * MARGIN)
    }

    fn height(&self, paper: f64) -> f64 {
        self.title_lines(paper).len() as f64 * TITLE_LINE + AXIS_TITLE + PANEL
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, axes: &Axes, top: f64) -> Drawn<DB> {
        for (i, line) in self.title_lines(canvas.width).iter().enumerate() {
            let baseline = top + LABEL + i as f64 * TITLE_LINE;
            canvas.text((MARGIN, baseline), line, LABEL, INK, Align::Left)?;
        }
        let bottom = top + self.height(canvas.width);
        let (top, right) = (bottom - PANEL, axes.right);
        let y = Scale::new(axes.y, (bottom, top));
        for (tick, _) in axes.x.ticks(axes.ticks(), false) {
            canvas.line((axes.x.at(tick), top), (axes.x.at(tick), bottom), Stroke::new(GRID, 1.0))?;
        }
        for (tick, text) in y.ticks(9, false) {
            canvas.line((LEFT, y.at(tick)), (right, y.at(tick)), Stroke::new(GRID, 1.0))?;
            canvas.text((LEFT - 6.0, y.at(tick) + TICK * 0.36), &text, TICK, INK, Align::Right)?;
        }
        canvas.line((LEFT, bottom), (right, bottom), Stroke::new(AXIS, 1.0))?;
        canvas.line((LEFT, top), (LEFT, bottom), Stroke::new(AXIS, 1.0))?;
        for series in &self.series {
            series.draw(canvas, axes, &y)?;
        }
        axes.draw_colours(canvas, (top, bottom))
    }
}

impl Axes {
    /// How many labels have room below.
    fn ticks(&self) -> usize {
        ((self.right - LEFT) / 70.0) as usize
    }

    fn colour_of(&self, value: f64) -> f64 {
        let (low, high) = self.colour;
        (value - low) / (high - low)
    }

    /// The bar of all colours.
    fn draw_colours<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, (top, bottom): (f64, f64)) -> Drawn<DB> {
        let left = self.right + 30.0;
        let scale = Scale::new(self.colour, (bottom, top));
        let step = (bottom - top) / f64::from(BAR_STEPS);
        for i in 0..BAR_STEPS {
            let from = bottom - f64::from(i) * step;
            let colour = sequential((f64::from(i) + 0.5) / f64::from(BAR_STEPS));
            // up to the top, where the next ones cover it: edges that only meet let the paper shine through
            canvas.rectangle((left, top), (left + BAR, from), colour, 1.0)?;
        }
        for (tick, text) in scale.ticks(8, false) {
            let at = scale.at(tick);
            canvas.line((left + BAR, at), (left + BAR + 4.0, at), Stroke::new(AXIS, 1.0))?;
            canvas.text((left + BAR + 8.0, at + TICK * 0.36), &text, TICK, INK, Align::Left)?;
        }
        Ok(())
    }
}

impl ScatterSeries {
    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, axes: &Axes, y: &Scale) -> Drawn<DB> {
        let place = |point: &ScatterPoint| (axes.x.at(point.x), y.at(point.y));
        if self.is_front {
            canvas.path(self.front().iter().map(place), Stroke::new(self.role.colour().rgb(), 1.5))?;
        }
        for point in self.points.iter().filter(|p| p.x.is_finite() && p.y.is_finite()) {
            let colour = sequential(axes.colour_of(point.colour));
            if self.role != Role::Rule {
                canvas.dot(place(point), EDGE, WHITE, 0.5)?;
            }
            canvas.shape(place(point), self.role, colour)?;
        }
        Ok(())
    }
}
