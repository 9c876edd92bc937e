//! What happened, each event a mark in the lane of its kind.

use plotters::prelude::DrawingBackend;

use super::{LABEL, curves::LABEL_OFFSET};
use crate::{
    canvas::{Align, Canvas, Drawn, GRID, Stroke},
    figure::{Lane, Tip},
    scale::Scale,
};

/// Half of a mark's width and height.
const HALF: f64 = 4.5;

/// Events of one place stand side by side, this far apart where there is room for it.
const APART: f64 = 8.0;

/// Marks nearer than this to the one before hide it, and are left out: a long run has thousands.
const NEAREST: f64 = 1.5;

/// Draws the lanes from top to bottom.
pub(super) fn draw<DB: DrawingBackend>(
    lanes: &[Lane],
    canvas: &Canvas<DB>,
    x: Scale,
    (left, right): (f64, f64),
    (top, bottom): (f64, f64),
) -> Drawn<DB> {
    let height = (bottom - top) / lanes.len() as f64;
    for (i, lane) in lanes.iter().enumerate() {
        let y = top + (i as f64 + 0.5) * height;
        canvas.line((left, y), (right, y), Stroke::new(GRID, 1.0))?;
        for at in places(&lane.at, x) {
            let tip = match lane.tip {
                Tip::Up => -HALF,
                Tip::Down => HALF,
            };
            let corners = [(at, y + tip), (at + HALF, y - tip), (at - HALF, y - tip)];
            canvas.polygon(corners, lane.colour.rgb(), 0.85)?;
        }
        let place = (right + LABEL_OFFSET, y + LABEL * 0.36);
        canvas.text(place, &label(lane), LABEL, lane.colour.ink(), Align::Left)?;
    }
    Ok(())
}

/// What stands at the right of a lane.
pub(super) fn label(lane: &Lane) -> String {
    format!("{}: {}", lane.label, lane.at.len())
}

/// Where the marks are on paper.
fn places(events: &[f64], x: Scale) -> Vec<f64> {
    let room = (x.at(1.0) - x.at(0.0)).abs();
    let mut places: Vec<f64> = Vec::new();
    for together in events.chunk_by(|a, b| a.total_cmp(b).is_eq()) {
        let count = together.len() as f64;
        let apart = APART.min(room * 0.9 / count);
        let first = x.at(together[0]) - apart * (count - 1.0) / 2.0;
        for at in (0..together.len()).map(|i| first + i as f64 * apart) {
            if places.last().is_none_or(|last| at - last >= NEAREST) {
                places.push(at);
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_place_stand_side_by_side_and_no_mark_hides_another() {
        let wide = Scale::new((0.0, 10.0), (0.0, 1000.0));
        assert_eq!(places(&[1.0, 3.0, 3.0, 3.0], wide), [100.0, 292.0, 300.0, 308.0]);
        let narrow = Scale::new((0.0, 1000.0), (0.0, 1000.0));
        assert_eq!(places(&[1.0, 2.0, 3.0, 4.0, 4.0], narrow), [1.0, 3.0]);
    }
}
