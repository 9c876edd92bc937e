//! One self-contained HTML page: text, tables and charts, and nothing from outside.

use askama::Template;

use crate::{Figure, PlotError};

#[derive(Clone, Debug, Default)]
pub struct Page {
    pub title: String,
    /// What the page is about, in a sentence below the title.
    pub lede: String,
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

/// A part of a page under a heading.
#[derive(Clone, Debug)]
pub struct Section {
    pub heading: String,
    /// What is below it.
    pub blocks: Vec<Block>,
}

/// A part of a section. All texts are plain: the page escapes them.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A list of sentences.
    List(Vec<String>),
    Table(Table),
    /// Words, and what each means.
    Terms(Vec<(String, String)>),
    /// Lines as they are typed, or a document.
    Code(String),
    Chart(Chart),
}

/// A table whose first column is a heading and whose other columns are figures.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The columns' headings.
    pub header: Vec<String>,
    /// As many cells in each as there are headings.
    pub rows: Vec<Vec<String>>,
    /// The rows that stand out, by their place.
    pub marked: Vec<usize>,
}

/// A row as the page writes it.
struct Line<'a> {
    title: &'a str,
    /// Each with its column's heading, for a page that is too narrow for columns.
    cells: Vec<(&'a str, &'a str)>,
    is_marked: bool,
}

impl Table {
    fn lines(&self) -> Vec<Line<'_>> {
        let headings: Vec<&str> = self.header.iter().map(String::as_str).collect();
        let mut lines = Vec::with_capacity(self.rows.len());
        for (place, row) in self.rows.iter().enumerate() {
            let mut cells = headings.iter().copied().zip(row.iter().map(String::as_str));
            let title = cells.next().map_or("", |(_, title)| title);
            lines.push(Line { title, cells: cells.collect(), is_marked: self.marked.contains(&place) });
        }
        lines
    }
}

/// A chart with its caption.
#[derive(Clone, Debug)]
pub struct Chart {
    svg: String,
    narrow_svg: String,
    caption: String,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    page: &'a Page,
}

impl Section {
    /// A section without content yet.
    #[must_use]
    pub fn new(heading: &str) -> Self {
        Self { heading: heading.to_owned(), blocks: Vec::new() }
    }
}

impl Block {
    /// A chart as a part of a page.
    ///
    /// # Errors
    /// The drawing library fails.
    pub fn chart(figure: &Figure) -> Result<Self, PlotError> {
        let (svg, narrow_svg) = (figure.svg()?, figure.narrow_svg()?);
        Ok(Self::Chart(Chart { svg, narrow_svg, caption: figure.caption.clone() }))
    }
}

impl Page {
    /// The page as a whole HTML document.
    ///
    /// # Errors
    /// None that a page in memory can cause.
    pub fn html(&self) -> Result<String, PlotError> {
        Html { page: self }.render().map_err(|error| PlotError(error.to_string()))
    }
}
