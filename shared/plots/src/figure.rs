//! What a chart shows, without how it is drawn.

use crate::palette::{Colour, Role};

/// The height of a lane, in pixels of a chart 900 wide.
const LANE_HEIGHT: u32 = 22;

/// A chart, described once and drawn as SVG or PNG.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name in files and URLs, without an ending.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// How to read it, in a sentence or two.
    pub caption: String,
    /// Its parts, from top to bottom.
    pub blocks: Vec<Block>,
}

/// Panels that share an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Lines over a shared horizontal axis, one panel above the other.
    Curves(Curves),
    /// Points with intervals, a row each, panels side by side.
    Rows(Rows),
    /// Horizontal bars in groups, from 0.
    Bars(Bars),
    /// Points in a plane, with a third figure as their colour.
    Scatter(Scatter),
}

/// Lines over a shared horizontal axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// The horizontal axis's title.
    pub x_title: String,
    /// The panels, from top to bottom.
    pub panels: Vec<CurvePanel>,
}

/// One panel of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePanel {
    /// The vertical axis's title, with its unit.
    pub y_title: String,
    /// Its range, where the data do not decide it.
    pub y_range: Option<(f64, f64)>,
    /// How high it is, in pixels of a chart 900 wide.
    pub height: u32,
    /// The lines.
    pub curves: Vec<Curve>,
    /// Horizontal lines to compare with.
    pub references: Vec<Reference>,
    /// Places on the horizontal axis that are marked, and what they are.
    pub marks: Option<Marks>,
    /// What happened, a lane for each kind. A panel with lanes has no vertical axis, and nothing else is drawn in it.
    pub lanes: Vec<Lane>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is; written at its right end.
    pub label: String,
    pub colour: Colour,
    /// How it is drawn.
    pub form: Form,
    /// From left to right.
    pub points: Vec<Point>,
}

/// How the points of a curve are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Joined by a line.
    Line,
    /// Each as a bar from 0.
    Impulses,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where on the horizontal axis.
    pub x: f64,
    /// How high; `None` is a gap in the line.
    pub y: Option<f64>,
    /// The band around it.
    pub band: Option<(f64, f64)>,
}

/// A value that others are compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What it is.
    pub label: String,
    pub colour: Colour,
    /// Where it is.
    pub value: f64,
}

/// Marked places on the horizontal axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Marks {
    /// What they are.
    pub label: String,
    /// Where they are.
    pub at: Vec<f64>,
}

/// Events of one kind, each as a mark of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// What they are; written at the right, with their number.
    pub label: String,
    pub colour: Colour,
    /// The shape of a mark, so that colours are not all that tells kinds apart.
    pub tip: Tip,
    /// Where they are, from left to right; several may be at one place.
    pub at: Vec<f64>,
}

/// Where a triangle points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tip {
    Up,
    Down,
}

/// Points with intervals, one row each.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Whether it is told what the marks are; a chart's later blocks with the same marks need not.
    pub legend: bool,
    /// The rows' labels, from top to bottom, and their parts in the comparison.
    pub labels: Vec<(String, Role)>,
    /// The panels, from left to right, that share them.
    pub panels: Vec<RowPanel>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RowPanel {
    /// The horizontal axis's title, with its unit.
    pub x_title: String,
    /// As many as there are labels.
    pub rows: Vec<Row>,
    /// Vertical lines to compare with.
    pub references: Vec<Reference>,
    /// So many decimals of mean and interval are written at the right; `None`: nothing is.
    pub written: Option<usize>,
}

/// One row of a panel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// A mean with its interval.
    pub interval: Option<Interval>,
    /// Single values, drawn as small dots.
    pub dots: Vec<f64>,
}

/// A mean with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub mean: f64,
    /// The interval's low end.
    pub low: f64,
    /// The interval's high end.
    pub high: f64,
}

/// Groups of horizontal bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// The horizontal axis's title, with its unit.
    pub x_title: String,
    /// The groups' labels, from top to bottom.
    pub groups: Vec<String>,
    /// The bars of each group.
    pub series: Vec<BarSeries>,
}

/// The bars of one colour, one in each group.
#[derive(Clone, Debug, PartialEq)]
pub struct BarSeries {
    /// What they are.
    pub label: String,
    /// Their part in the comparison.
    pub role: Role,
    /// As many as there are groups; `None` where there is no data.
    pub values: Vec<Option<Interval>>,
}

/// Points in a plane, with a third figure as their colour. All panels share the axes' ranges and the colours.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// The horizontal axis's title, with its unit.
    pub x_title: String,
    /// The vertical axis's title, with its unit.
    pub y_title: String,
    /// What the colour is, with its unit.
    pub colour_title: String,
    /// The panels, from top to bottom.
    pub panels: Vec<ScatterPanel>,
}

/// One plane.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterPanel {
    /// What is to be seen in it, in a sentence.
    pub title: String,
    /// From the lowest layer to the highest.
    pub series: Vec<ScatterSeries>,
}

/// Points of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterSeries {
    /// What they are.
    pub label: String,
    /// Whose shape they have.
    pub role: Role,
    /// Whether those are joined than which none of them is both further left and further up.
    pub is_front: bool,
    pub points: Vec<ScatterPoint>,
}

/// A point of a plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScatterPoint {
    pub x: f64,
    pub y: f64,
    /// What decides its colour.
    pub colour: f64,
}

impl Figure {
    /// Whether there is anything to see: a chart without one figure is better left out.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.blocks.iter().any(|block| match block {
            Block::Curves(curves) => {
                curves.panels.iter().any(|p| p.curves.iter().any(|c| c.points.iter().any(|p| p.y.is_some())))
            }
            Block::Rows(rows) => rows
                .panels
                .iter()
                .any(|p| p.rows.iter().any(|row| row.interval.is_some() || !row.dots.is_empty())),
            Block::Bars(bars) => bars.series.iter().any(|s| s.values.iter().any(Option::is_some)),
            Block::Scatter(scatter) => {
                scatter.panels.iter().flat_map(|panel| &panel.series).any(|series| !series.points.is_empty())
            }
        })
    }
}

impl ScatterSeries {
    /// The points than which none is both further left and further up, from left to right.
    pub(crate) fn front(&self) -> Vec<ScatterPoint> {
        let mut points = self.points.clone();
        points.sort_by(|a, b| a.x.total_cmp(&b.x).then(b.y.total_cmp(&a.y)));
        let mut front: Vec<ScatterPoint> = Vec::new();
        for point in points {
            if front.last().is_none_or(|last| point.y > last.y) {
                front.push(point);
            }
        }
        front
    }
}

impl CurvePanel {
    /// A panel of lines.
    #[must_use]
    pub fn new(y_title: &str, curves: Vec<Curve>) -> Self {
        let (y_title, y_range, references, marks) = (y_title.to_owned(), None, Vec::new(), None);
        Self { y_title, y_range, height: 100, curves, references, marks, lanes: Vec::new() }
    }
}

impl CurvePanel {
    /// A panel of what happened.
    #[must_use]
    pub fn of_lanes(title: &str, lanes: Vec<Lane>) -> Self {
        let height = LANE_HEIGHT * lanes.len() as u32;
        Self { height, lanes, ..Self::new(title, Vec::new()) }
    }
}

impl Curve {
    /// A line through the points that have a value.
    #[must_use]
    pub fn line(label: &str, colour: Colour, points: impl IntoIterator<Item = (f64, Option<f64>)>) -> Self {
        let points = points.into_iter().map(|(x, y)| Point { x, y: y.filter(|y| y.is_finite()), band: None });
        Self { label: label.to_owned(), colour, form: Form::Line, points: points.collect() }
    }

    /// The curve with at most `most` points or a few more: means over stretches of as many points each,
    /// with the band from the lowest to the highest.
    #[must_use]
    pub fn thinned(mut self, most: usize) -> Self {
        let stretch = stretch(self.points.len(), most);
        if stretch > 1 {
            self.points = self.points.chunks(stretch).map(summary).collect();
        }
        self
    }
}

/// How many points [`Curve::thinned`] takes together.
pub(crate) fn stretch(points: usize, most: usize) -> usize {
    points.div_ceil(most.max(1)).max(1)
}

fn summary(points: &[Point]) -> Point {
    let values: Vec<f64> = points.iter().filter_map(|p| p.y).collect();
    let x = points.iter().map(|p| p.x).sum::<f64>() / points.len() as f64;
    if values.is_empty() {
        return Point { x, y: None, band: None };
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Point { x, y: Some(values.iter().sum::<f64>() / values.len() as f64), band: Some((low, high)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_curve_keeps_the_mean_and_the_extremes_of_each_stretch_and_its_gaps() {
        let values = [Some(1.0), Some(3.0), None, Some(5.0), None, None, Some(7.0)];
        let points = values.into_iter().enumerate().map(|(i, y)| (i as f64, y));
        let curve = Curve::line("reward", Colour::Blue, points).thinned(4);
        let point = |x, y, band| Point { x, y, band };
        assert_eq!(
            curve.points,
            [
                point(0.5, Some(2.0), Some((1.0, 3.0))),
                point(2.5, Some(5.0), Some((5.0, 5.0))),
                point(4.5, None, None),
                point(6.0, Some(7.0), Some((7.0, 7.0)))
            ]
        );
    }

    #[test]
    fn a_front_has_the_points_that_no_other_one_is_better_than_in_both() {
        let point = |x, y| ScatterPoint { x, y, colour: 0.0 };
        let points =
            vec![point(3.0, 5.0), point(1.0, 1.0), point(2.0, 4.0), point(2.0, 3.0), point(4.0, 5.0)];
        let series = ScatterSeries { label: String::new(), role: Role::Limit, is_front: true, points };
        assert_eq!(series.front(), [point(1.0, 1.0), point(2.0, 4.0), point(3.0, 5.0)]);
    }

    #[test]
    fn a_curve_with_few_points_is_left_as_it_is() {
        let curve = Curve::line("reward", Colour::Blue, [(0.0, Some(1.0)), (1.0, Some(f64::NAN))]);
        assert_eq!(curve.points[1].y, None, "what is no number is a gap");
        assert_eq!(curve.clone().thinned(2), curve);
    }
}
