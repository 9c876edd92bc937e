//! Charts of training runs and evaluations, as SVG and PNG, and the pages that show them.
//!
//! Pure: figures in, bytes out. The same figures give the same bytes, on every machine: the font is in
//! the program, and nothing is asked of the system. A [`Figure`] says what a chart shows; how it looks is
//! decided once, here. A figure without data is a gap, never a zero.
//!
//! Made to be read: 900 pixels wide with text of 11 and 12 pixels, axes with units, colours that the
//! colour-blind can tell apart, each part of a comparison with a shape of its own too, and legends and labels
//! outside the data.

mod canvas;
mod draw;
mod evaluation;
mod figure;
mod font;
mod fronts;
mod metrics_csv;
pub mod page;
mod palette;
mod scale;
mod training;

pub use evaluation::{compared_policies, evaluation_figures};
pub use figure::{
    BarSeries, Bars, Block, Curve, CurvePanel, Curves, Figure, Form, Interval, Lane, Marks, Point, Reference,
    Row, RowPanel, Rows, Scatter, ScatterPanel, ScatterPoint, ScatterSeries,
};
pub use metrics_csv::{MetricsError, episodes};
pub use page::Page;
pub use palette::{Colour, Role};
pub use training::{swarm_consciousness, training_curves, training_figures};

/// The drawing library failed.
#[derive(Debug, thiserror::Error)]
#[error("drawing a chart: {0}")]
pub struct PlotError(String);
