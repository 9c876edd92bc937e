use std::path::PathBuf;

use api::psi_field::{Window, WindowAnswer};
use clap::Args;
use client::{Endpoint, PsiField};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::{
    detection::{
        nab::{self, Benchmark},
        report,
        series::{self, Series},
    },
    exit::{Answer, usage},
    files::write,
    output::{note, say, say_json, table},
    remote::service_error,
    runtime,
};

/// Find anomalies in any series of figures, or score the detector on the Numenta Anomaly Benchmark
///
/// --csv reads a file whose first column is `timestamp` and whose others are channels, one or more. Each row is a window of
/// a swarm of its own, sent to a psi-field: the one of --psi-field, or one in this process. Every row gets its prediction
/// error, the anomaly that it completes, and the channel that caused it. With --out the table is written there as CSV, and
/// beside it a chart (.svg).
///
/// --nab scores the detector with its default settings, the same for all files: an alarm is a row that completes an anomaly.
/// The folder has `data` and `labels/combined_windows.json`, as the benchmark has them; files that are not there do not count.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh detect --csv temperatures.csv
  mesh detect --csv temperatures.csv --out found.csv
  mesh detect --csv temperatures.csv --psi-field http://127.0.0.1:8000
  mesh detect --nab NAB
  mesh detect --nab NAB --json")]
pub(crate) struct Detect {
    /// A CSV of `timestamp` and one or more channels
    #[arg(long, value_name = "FILE", required_unless_present = "nab", conflicts_with = "nab")]
    csv: Option<PathBuf>,
    /// Write the rows to this CSV, and a chart beside it
    #[arg(long, value_name = "FILE", requires = "csv")]
    out: Option<PathBuf>,
    /// A running psi-field, instead of one in this process
    #[arg(long, value_name = "URL", env = "MESH_PSI_FIELD_URL", requires = "csv")]
    psi_field: Option<String>,
    /// The API key
    #[arg(long, value_name = "KEY", env = "MESH_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// The benchmark's folder
    #[arg(long, value_name = "FOLDER")]
    nab: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long, requires = "nab")]
    json: bool,
}

impl Detect {
    /// Detects, and tells what was found.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        match (&self.csv, &self.nab) {
            (Some(csv), _) => {
                let series = series::read(csv).map_err(|why| usage(format!("{}: {why}", csv.display())))?;
                let answers = runtime::block_on("error", self.ask(&series))?;
                self.tell(&series, &answers)
            }
            (None, Some(folder)) => self.score(&Benchmark::read(folder)?),
            (None, None) => Err(usage("name a file with --csv, or the benchmark's folder with --nab")),
        }
    }

    /// A psi-field's answers to the rows, one after the other.
    async fn ask(&self, series: &Series) -> anyhow::Result<Vec<WindowAnswer>> {
        let (field, _service) = self.psi_field().await?;
        let swarm = format!("detect-{}", Uuid::now_v7());
        let mut answers = Vec::with_capacity(series.rows.len());
        for (number, row) in (0..).zip(&series.rows) {
            let window = Window {
                number,
                time: row.time,
                agents: Vec::new(),
                swarm: api::psi_field::SwarmWindow::default(),
                channels: row.values(&series.channels),
                repeated: false,
                acknowledged: Vec::new(),
                trials: Vec::new(),
            };
            let answer = field.post_window(&swarm, &window).await;
            answers.push(answer.map_err(|error| service_error("psi-field", field.endpoint(), error))?);
        }
        Ok(answers)
    }

    /// The psi-field that was named, or one in this process for as long as its handle lives.
    async fn psi_field(&self) -> anyhow::Result<(PsiField, Option<AbortOnDropHandle<()>>)> {
        if let Some(url) = &self.psi_field {
            let endpoint = Endpoint::new(url).with_api_key(self.api_key.clone());
            let field = PsiField::new(endpoint).map_err(|error| usage(format!("--psi-field: {error}")))?;
            return Ok((field, None));
        }
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let app = psi_field::build(psi_field::Config::default(), stop.clone()).await?;
        let service = tokio::spawn(async move {
            let deadlines = service_kit::Deadlines::default();
            if let Err(error) = service_kit::serve(listener, app, deadlines, stop).await {
                note(&format!("psi-field has ended: {error}"));
            }
        });
        Ok((PsiField::new(Endpoint::new(url))?, Some(AbortOnDropHandle::new(service))))
    }

    fn tell(&self, series: &Series, answers: &[WindowAnswer]) -> anyhow::Result<Answer> {
        let rows = report::rows(series, answers)?;
        let found = answers.iter().filter(|answer| answer.anomaly.is_some()).count();
        match &self.out {
            None => say(rows.trim_end())?,
            Some(out) => {
                write(out, rows.as_bytes())?;
                let chart = out.with_extension("svg");
                write(&chart, report::chart(series, answers).svg()?.as_bytes())?;
                say(&format!("{}\n{}", out.display(), chart.display()))?;
            }
        }
        note(&format!("{found} anomalies in {} rows", answers.len()));
        Ok(Answer::Yes)
    }

    fn score(&self, benchmark: &Benchmark) -> anyhow::Result<Answer> {
        let scored = nab::score(benchmark)?;
        if self.json {
            say_json(&scored)?;
            return Ok(Answer::Yes);
        }
        let rows = scored.files.iter().map(|file| {
            let hits = format!("{} of {}", file.hits, file.windows);
            vec![file.file.clone(), hits, file.false_rows.to_string(), format!("{:.2}", file.score)]
        });
        say(&table(&["file", "hits", "false alarms", "score, standard"], rows))?;
        say(&format!(
            "standard {:.1}, low FP {:.1}, low FN {:.1}",
            scored.standard, scored.low_fp, scored.low_fn
        ))?;
        Ok(Answer::Yes)
    }
}
