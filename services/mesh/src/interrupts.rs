//! What asks a process to end, counted: Ctrl-C, SIGTERM, and the terminal that goes away.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask this process to end.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started the process has it ignore that, as `nohup` does.
    hangup: Option<Signal>,
}

impl Interrupts {
    /// Takes the signals over: from now on they end nothing by themselves.
    pub(crate) fn watch() -> anyhow::Result<Self> {
        let hangup = (!service_kit::ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot watch SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot watch SIGTERM")?,
            hangup: hangup.transpose().context("cannot watch SIGHUP")?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}
