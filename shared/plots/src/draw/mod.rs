//! A figure on paper, as SVG or PNG.

mod bars;
mod curves;
mod lanes;
mod legend;
mod rows;
mod scatter;

use std::fmt::{Display, Write as _};

use plotters::{
    drawing::IntoDrawingArea as _,
    prelude::{BitMapBackend, DrawingBackend, SVGBackend},
    style::WHITE,
};

use crate::{
    PlotError,
    canvas::{Align, Canvas, Drawn, INK, SCALE, Typesetting},
    figure::{Block, Figure, RowPanel, Rows},
    font::{register, wrapped},
};

/// The width of a chart.
const WIDE: u32 = 900;

/// The width of a chart for a page of 390 pixels, where a wide one's text would be too small to read.
const NARROW: u32 = 480;

/// Sizes of text, by their em: 12 is what browsers call small, and can be read.
const TITLE: f64 = 17.0;
const LABEL: f64 = 12.0;
const TICK: f64 = 11.0;

/// Bars let their interval be seen.
const BAR_ALPHA: f64 = 0.6;

const MARGIN: f64 = 14.0;
const BLOCK_GAP: f64 = 20.0;

impl Figure {
    /// The chart as a whole SVG document, 900 pixels wide, without any reference to the outside. The same
    /// figure gives the same bytes.
    ///
    /// # Errors
    /// The drawing library fails, which no figure is known to cause.
    pub fn svg(&self) -> Result<String, PlotError> {
        self.svg_of(WIDE)
    }

    /// The same chart for narrow pages: 480 pixels wide, with one panel below the other, and without the figures that
    /// stand beside rows.
    ///
    /// # Errors
    /// As [`Self::svg`].
    pub fn narrow_svg(&self) -> Result<String, PlotError> {
        let blocks = self.blocks.iter().cloned().flat_map(Block::narrow).collect();
        Self { blocks, ..self.clone() }.svg_of(NARROW)
    }

    fn svg_of(&self, width: u32) -> Result<String, PlotError> {
        let height = self.height(width);
        let mut svg = String::new();
        let backend = SVGBackend::with_string(&mut svg, (width * SCALE, height * SCALE));
        self.draw(backend, Typesetting::SVG, width)?;
        // The library draws in whole pixels: so it draws large, and is shown smaller.
        let Some((_, content)) = svg.split_once('\n') else { return Err(PlotError::new("an empty SVG")) };
        let mut whole = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {} {}\" \
             role=\"img\" aria-label=\"",
            width * SCALE,
            height * SCALE
        );
        escape(&self.title, &mut whole);
        whole.push_str("\">\n");
        whole.push_str(content);
        Ok(whole)
    }

    /// The chart as PNG, 1800 pixels wide. The same figure gives the same bytes.
    ///
    /// # Errors
    /// The drawing library fails, which no figure is known to cause.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        let (width, height) = (WIDE, self.height(WIDE));
        let (drawn_width, drawn_height) = (width * SCALE, height * SCALE);
        let mut pixels = vec![0; drawn_width as usize * drawn_height as usize * 3];
        let backend = BitMapBackend::with_buffer(&mut pixels, (drawn_width, drawn_height));
        self.draw(backend, Typesetting::BITMAP, width)?;
        // four pixels for each of the picture's: their mean has smooth edges
        let smooth = halved(&pixels, drawn_width as usize);
        let mut content = Vec::new();
        let mut encoder = png::Encoder::new(&mut content, drawn_width / 2, drawn_height / 2);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&smooth));
        written.map_err(|error| PlotError::new(&error))?;
        Ok(content)
    }

    /// How high it is at this width, in pixels of the SVG.
    fn height(&self, width: u32) -> u32 {
        register();
        let paper = f64::from(width);
        let blocks: f64 = self.blocks.iter().map(|block| block.height(paper) + BLOCK_GAP).sum();
        (MARGIN + title_height(&self.title_lines(paper)) + blocks).ceil() as u32
    }

    fn title_lines(&self, paper: f64) -> Vec<String> {
        wrapped(&self.title, TITLE, paper - 2.0 * MARGIN)
    }

    fn draw<DB: DrawingBackend>(
        &self,
        backend: DB,
        typesetting: Typesetting,
        width: u32,
    ) -> Result<(), PlotError> {
        let area = backend.into_drawing_area();
        let canvas = Canvas::new(area.clone(), typesetting, f64::from(width));
        area.fill(&WHITE)
            .and_then(|()| self.draw_on(&canvas))
            .and_then(|()| area.present())
            .map_err(|error| PlotError::new(&error))
    }

    fn draw_on<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Drawn<DB> {
        let title = self.title_lines(canvas.width);
        for (i, line) in title.iter().enumerate() {
            let baseline = MARGIN + TITLE + i as f64 * TITLE * 1.3;
            canvas.text((MARGIN, baseline), line, TITLE, INK, Align::Left)?;
        }
        let mut top = MARGIN + title_height(&title);
        for block in &self.blocks {
            match block {
                Block::Curves(curves) => curves.draw(canvas, top)?,
                Block::Rows(rows) => rows.draw(canvas, top)?,
                Block::Bars(bars) => bars.draw(canvas, top)?,
                Block::Scatter(scatter) => scatter.draw(canvas, top)?,
            }
            top += block.height(canvas.width) + BLOCK_GAP;
        }
        Ok(())
    }
}

impl Block {
    fn height(&self, paper: f64) -> f64 {
        match self {
            Self::Curves(curves) => curves.height(),
            Self::Rows(rows) => rows.height(paper),
            Self::Bars(bars) => bars.height(paper),
            Self::Scatter(scatter) => scatter.height(paper),
        }
    }

    /// The block as narrow paper has room for it: rows with a panel each.
    fn narrow(self) -> Vec<Self> {
        let Self::Rows(Rows { legend, labels, panels }) = self else { return vec![self] };
        let panels = panels.into_iter().enumerate();
        let alone = |(i, panel)| {
            let panels = vec![RowPanel { written: None, ..panel }];
            Self::Rows(Rows { legend: legend && i == 0, labels: labels.clone(), panels })
        };
        panels.map(alone).collect()
    }
}

fn title_height(lines: &[String]) -> f64 {
    lines.len() as f64 * TITLE * 1.3 + 8.0
}

impl PlotError {
    fn new(cause: &(impl Display + ?Sized)) -> Self {
        Self(cause.to_string())
    }
}

/// A picture of half the width and height; each pixel the mean of four.
fn halved(pixels: &[u8], width: usize) -> Vec<u8> {
    let row = width * 3;
    let mut smooth = Vec::with_capacity(pixels.len() / 4);
    for rows in pixels.chunks_exact(2 * row) {
        let (upper, lower) = rows.split_at(row);
        for (upper, lower) in upper.chunks_exact(6).zip(lower.chunks_exact(6)) {
            for channel in 0..3 {
                let sum = u16::from(upper[channel])
                    + u16::from(upper[channel + 3])
                    + u16::from(lower[channel])
                    + u16::from(lower[channel + 3]);
                smooth.push(((sum + 2) / 4) as u8);
            }
        }
    }
    smooth
}

/// Text as an XML attribute's value.
fn escape(text: &str, xml: &mut String) {
    for c in text.chars() {
        match c {
            '<' => xml.push_str("&lt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            c if c.is_control() => xml.push('\u{FFFD}'),
            // writing to a String cannot fail
            c => drop(xml.write_char(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halved_picture_has_the_means_of_four() {
        let pixels = [[0, 10, 20], [4, 10, 20], [0, 10, 20], [4, 12, 20]].concat();
        assert_eq!(halved(&pixels, 2), [2, 11, 20]);
    }
}
