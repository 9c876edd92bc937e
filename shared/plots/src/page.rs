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
}

/// A chart with its caption.
#[derive(Clone, Debug)]
pub struct Chart {
    svg: String,
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
        Ok(Self::Chart(Chart { svg: figure.svg()?, caption: figure.caption.clone() }))
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
