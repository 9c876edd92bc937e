//! Pages that stand alone.

use plots::page::{Block, Page, Section, Table};

use crate::support::episodes;

fn page() -> Page {
    let figure = plots::training_curves(&episodes(3), None);
    let table = Table {
        caption: "Figures".into(),
        header: vec!["policy".into(), "reward".into()],
        rows: vec![vec!["q<b>".into(), "41.5".into()], vec!["cheapest".into(), "40.1".into()]],
        marked: vec![0],
    };
    let blocks = vec![
        Block::Text("a < b & c".into()),
        Block::List(vec!["one".into(), "two".into()]),
        Block::Table(table),
        Block::Terms(vec![("fill".into(), "What was served.".into())]),
        Block::Code("curl -d '{\"a\": 1}'".into()),
        Block::chart(&figure).unwrap(),
    ];
    Page {
        title: "Report </title><script>".into(),
        lede: "About".into(),
        sections: vec![Section { heading: "What was found".into(), blocks }],
    }
}

#[test]
fn every_block_is_on_the_page_and_texts_are_escaped() {
    let html = page().html().unwrap();
    for part in [
        "<h2>What was found</h2>",
        "<p>a &#60; b &#38; c</p>",
        "<li>two</li>",
        "<th scope=\"col\">reward</th>",
        "<tr class=\"marked\"><th scope=\"row\">q&#60;b&#62;</th><td data-of=\"reward\">41.5</td>",
        "<tr><th scope=\"row\">cheapest</th>",
        "<dt>fill</dt><dd>What was served.</dd>",
        "<pre>curl -d &#39;{&#34;a&#34;: 1}&#39;</pre>",
        "<figcaption>What the swarm achieved",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(!html.contains("<script"));
}

#[test]
fn a_page_needs_nothing_from_outside_and_may_not_ask_for_it() {
    let html = page().html().unwrap();
    for outside in ["src=", "href=", "url(", "@import", "<link", "<script", "<iframe"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(
        html.matches("http").count(),
        html.matches("http-equiv").count() + html.matches("xmlns").count()
    );
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn the_same_page_has_the_same_bytes() {
    assert_eq!(page().html().unwrap(), page().html().unwrap());
}
