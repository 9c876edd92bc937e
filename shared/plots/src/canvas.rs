//! What the drawing code draws on: lengths are pixels of the chart, the backend has [`SCALE`] times as many, for
//! `plotters` knows whole pixels only.

use plotters::{
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind},
    element::{Circle, PathElement, Polygon, Rectangle},
    prelude::DrawingBackend,
    style::{
        Color as _, FontFamily, IntoTextStyle as _, RGBColor, ShapeStyle, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{
    font::{FAMILY, HEIGHT_BY_EM},
    palette::Role,
};

/// Pixels of the backend for one of ours.
pub(crate) const SCALE: u32 = 4;

/// Dark enough to read, lighter than the data.
pub(crate) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Axes.
pub(crate) const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);
/// Lines that only guide the eye.
pub(crate) const GRID: RGBColor = RGBColor(0xE6, 0xE6, 0xE6);

/// What drawing on a backend gives.
pub(crate) type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Where a backend puts texts.
#[derive(Clone, Copy)]
pub(crate) struct Typesetting {
    /// What it takes for a font's size, by the em.
    pub(crate) size_by_em: f64,
    /// How far below a text's place its baseline is, by the em.
    pub(crate) baseline_by_em: f64,
}

impl Typesetting {
    /// `plotters-svg` divides sizes by 1.24 and sets `dy="0.76em"`.
    pub(crate) const SVG: Self = Self { size_by_em: 1.24, baseline_by_em: 0.76 };
    /// `plotters` with `ab_glyph` takes ascent and descent for the size, and half of it for the ascent.
    pub(crate) const BITMAP: Self = Self { size_by_em: HEIGHT_BY_EM, baseline_by_em: HEIGHT_BY_EM / 2.0 };
}

/// A backend to draw on.
pub(crate) struct Canvas<DB: DrawingBackend> {
    area: DrawingArea<DB, Shift>,
    typesetting: Typesetting,
    /// How wide it is.
    pub(crate) width: f64,
}

/// Where something is on the canvas, in pixels from its upper left corner.
pub(crate) type Pixel = (f64, f64);

/// On which side of its place a text is.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Middle,
    Right,
}

/// A line.
#[derive(Clone, Copy)]
pub(crate) struct Stroke {
    colour: RGBColor,
    width: f64,
    alpha: f64,
}

impl Stroke {
    pub(crate) fn new(colour: RGBColor, width: f64) -> Self {
        Self { colour, width, alpha: 1.0 }
    }

    pub(crate) fn alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    fn style(self) -> ShapeStyle {
        let stroke_width = (self.width * f64::from(SCALE)).round().max(1.0) as u32;
        ShapeStyle { color: self.colour.mix(self.alpha), filled: false, stroke_width }
    }
}

fn pixels(length: f64) -> i32 {
    (length * f64::from(SCALE)).round() as i32
}

fn whole_pixel((x, y): Pixel) -> (i32, i32) {
    (pixels(x), pixels(y))
}

impl<DB: DrawingBackend> Canvas<DB> {
    pub(crate) fn new(area: DrawingArea<DB, Shift>, typesetting: Typesetting, width: f64) -> Self {
        Self { area, typesetting, width }
    }

    pub(crate) fn line(&self, from: Pixel, to: Pixel, stroke: Stroke) -> Drawn<DB> {
        self.path([from, to], stroke)
    }

    pub(crate) fn dashed(&self, from: Pixel, to: Pixel, stroke: Stroke) -> Drawn<DB> {
        const DASH: f64 = 6.0;
        const PERIOD: f64 = 10.0;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let along = |d: f64| {
            let share = (d / length).min(1.0);
            (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
        };
        let mut at = 0.0;
        while at < length {
            self.line(along(at), along(at + DASH), stroke)?;
            at += PERIOD;
        }
        Ok(())
    }

    pub(crate) fn path(&self, points: impl IntoIterator<Item = Pixel>, stroke: Stroke) -> Drawn<DB> {
        let points: Vec<_> = points.into_iter().map(whole_pixel).collect();
        self.area.draw(&PathElement::new(points, stroke.style()))
    }

    pub(crate) fn polygon(
        &self,
        points: impl IntoIterator<Item = Pixel>,
        colour: RGBColor,
        alpha: f64,
    ) -> Drawn<DB> {
        let points: Vec<_> = points.into_iter().map(whole_pixel).collect();
        self.area.draw(&Polygon::new(points, colour.mix(alpha).filled()))
    }

    pub(crate) fn rectangle(&self, from: Pixel, to: Pixel, colour: RGBColor, alpha: f64) -> Drawn<DB> {
        self.area.draw(&Rectangle::new([whole_pixel(from), whole_pixel(to)], colour.mix(alpha).filled()))
    }

    pub(crate) fn dot(&self, centre: Pixel, radius: f64, colour: RGBColor, alpha: f64) -> Drawn<DB> {
        self.area.draw(&Circle::new(whole_pixel(centre), pixels(radius), colour.mix(alpha).filled()))
    }

    /// The point of a policy: a shape of its own for each role, beside the colour.
    pub(crate) fn marker(&self, place: Pixel, role: Role) -> Drawn<DB> {
        self.shape(place, role, role.colour().rgb())
    }

    /// The shape of a role in another colour.
    pub(crate) fn shape(&self, (x, y): Pixel, role: Role, colour: RGBColor) -> Drawn<DB> {
        match role {
            Role::Learned => self.dot((x, y), 5.5, colour, 1.0),
            Role::Untrained => {
                self.dot((x, y), 5.5, colour, 1.0)?;
                self.dot((x, y), 2.5, WHITE, 1.0)
            }
            Role::Baseline => self.rectangle((x - 4.5, y - 4.5), (x + 4.5, y + 4.5), colour, 1.0),
            Role::BestRule => {
                self.polygon([(x, y - 5.5), (x + 5.5, y + 4.5), (x - 5.5, y + 4.5)], colour, 1.0)
            }
            Role::Rule => self.dot((x, y), 3.5, colour, 1.0),
            Role::Informed => {
                self.polygon([(x, y + 5.5), (x + 5.5, y - 4.5), (x - 5.5, y - 4.5)], colour, 1.0)
            }
            Role::Limit => {
                self.polygon([(x, y - 6.0), (x + 5.0, y), (x, y + 6.0), (x - 5.0, y)], colour, 1.0)
            }
        }
    }

    /// A text whose baseline is at `y`; `size` is its em.
    pub(crate) fn text(
        &self,
        (x, y): Pixel,
        text: &str,
        size: f64,
        colour: RGBColor,
        align: Align,
    ) -> Drawn<DB> {
        // control characters are not allowed in XML, and have no shape
        let text: String = text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
        let horizontal = match align {
            Align::Left => HPos::Left,
            Align::Middle => HPos::Center,
            Align::Right => HPos::Right,
        };
        let pixels_by_em = self.typesetting.size_by_em * f64::from(SCALE);
        let font = (FontFamily::Name(FAMILY), size * pixels_by_em);
        let style: TextStyle<'_> = font.into_text_style(&self.area);
        let style = style.color(&colour).pos(Pos::new(horizontal, VPos::Top));
        self.area.draw_text(&text, &style, whole_pixel((x, y - size * self.typesetting.baseline_by_em)))
    }
}
