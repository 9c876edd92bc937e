//! What marks mean, in lines above a panel: beside the data, never over them.

use plotters::prelude::DrawingBackend;

use super::{BAR_ALPHA, LABEL, MARGIN};
use crate::{
    canvas::{Align, Canvas, Drawn, INK, Pixel, Stroke},
    font::{fitted, width},
    palette::{Colour, Role},
};

const LINE: f64 = 20.0;
const SAMPLE: f64 = 26.0;
const GAP: f64 = 18.0;

/// A legend with its entries where they fit.
pub(crate) struct Legend {
    entries: Vec<(Pixel, Sample, String)>,
    /// How high it is.
    pub(crate) height: f64,
}

/// What an entry explains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sample {
    /// The point of a policy with its interval.
    Marker(Role),
    /// A shape whose colour says something else.
    Shape(Role),
    /// Such shapes, joined by a line.
    Joined(Role),
    Bar(Colour),
    /// A dashed line.
    Dashes(Colour),
    /// A small dot.
    Dot,
}

impl Legend {
    /// Entries one after the other, in as many lines as they need on paper of this width.
    pub(crate) fn new(entries: impl IntoIterator<Item = (Sample, String)>, paper: f64) -> Self {
        let (mut x, mut line, mut placed) = (MARGIN, 0.0, Vec::new());
        for (sample, text) in entries {
            let text = fitted(&text, LABEL, paper - 2.0 * MARGIN - SAMPLE);
            let long = SAMPLE + width(&text, LABEL);
            if x > MARGIN && x + long > paper - MARGIN {
                (x, line) = (MARGIN, line + 1.0);
            }
            placed.push(((x, line * LINE), sample, text));
            x += long + GAP;
        }
        let height = if placed.is_empty() { 0.0 } else { (line + 1.0) * LINE + 6.0 };
        Self { entries: placed, height }
    }

    pub(crate) fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, top: f64) -> Drawn<DB> {
        for ((x, y), sample, text) in &self.entries {
            let (x, y) = (*x, top + y + LINE / 2.0);
            let (left, middle, right) = ((x, y), (x + 10.0, y), (x + 20.0, y));
            match *sample {
                Sample::Marker(role) => {
                    canvas.line(left, right, Stroke::new(role.colour().rgb(), 1.5))?;
                    canvas.marker(middle, role)?;
                }
                Sample::Joined(role) => {
                    canvas.line(left, right, Stroke::new(role.colour().rgb(), 1.5))?;
                    canvas.shape(middle, role, Colour::Grey.rgb())?;
                }
                Sample::Shape(role) => canvas.shape(middle, role, Colour::Grey.rgb())?,
                Sample::Bar(colour) => {
                    canvas.rectangle((x, y - 5.0), (x + 20.0, y + 5.0), colour.rgb(), BAR_ALPHA)?;
                }
                Sample::Dashes(colour) => canvas.dashed(left, right, Stroke::new(colour.rgb(), 1.5))?,
                Sample::Dot => canvas.dot(middle, 2.5, Colour::Grey.rgb(), 0.6)?,
            }
            canvas.text((x + SAMPLE, y + LABEL * 0.36), text, LABEL, INK, Align::Left)?;
        }
        Ok(())
    }
}
