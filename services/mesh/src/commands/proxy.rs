use std::{
    io,
    net::SocketAddr,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    task::JoinSet,
};

use crate::{exit::Answer, output::note, runtime};

/// How long one of the processes behind a name has to accept a connection, before the next one is tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The pause after a connection that could not be accepted: there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Give several processes of one service one address
///
/// Takes connections and hands each on to one of the processes whose addresses the name has now, in turn; one that does
/// not accept it is passed over. Serves until SIGINT (Ctrl-C) or SIGTERM. Any trainer knows the runs of all, and any
/// evaluator all evaluations, so that it does not matter who is reached.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh proxy 127.0.0.1:8001=trainer:8001
  mesh proxy 0.0.0.0:8001=trainer:8001 0.0.0.0:8003=evaluator:8003")]
pub(crate) struct Proxy {
    /// Where to listen, and the name and the port of the processes
    #[arg(value_name = "LISTEN=NAME:PORT", required = true)]
    ways: Vec<Way>,
}

/// From where to where.
#[derive(Clone, Debug)]
struct Way {
    listen: SocketAddr,
    /// A name and a port, resolved anew for each connection: processes come and go.
    to: String,
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected LISTEN=NAME:PORT, e.g. 0.0.0.0:8001=trainer:8001, got `{text}`");
        let (listen, to) = text.split_once('=').ok_or_else(expected)?;
        let listen = service_kit::parse_address(listen).map_err(|_| expected())?;
        let (name, port) = to.rsplit_once(':').ok_or_else(expected)?;
        if name.is_empty() || port.parse::<u16>().is_err() {
            return Err(expected());
        }
        Ok(Self { listen, to: to.to_owned() })
    }
}

impl Proxy {
    /// Runs until it is asked to end.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        runtime::block_on("info", async {
            let signal = service_kit::shutdown_signal();
            let mut serving = JoinSet::new();
            for way in self.ways {
                let listener = service_kit::bind(way.listen).await?;
                note(&format!("{} leads to {}.", listener.local_addr().context("no address")?, way.to));
                serving.spawn(serve(listener, way.to));
            }
            signal.await;
            Ok(Answer::Yes)
        })
    }
}

/// Hands on connections until it is dropped, which breaks those under way off.
async fn serve(listener: TcpListener, to: String) {
    let turn = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((caller, _)) => {
                let (to, turn) = (to.clone(), turn.fetch_add(1, Ordering::Relaxed));
                connections.spawn(async move {
                    if let Err(error) = hand_on(caller, &to, turn).await {
                        tracing::warn!(to, %error, "a connection could not be handed on");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn hand_on(mut caller: TcpStream, to: &str, turn: usize) -> io::Result<()> {
    let mut process = connect(to, turn).await?;
    // Answers are often shorter than a packet and must not wait for more.
    caller.set_nodelay(true)?;
    process.set_nodelay(true)?;
    // A side that breaks off ends both; that is no fault of the proxy's.
    let _ = tokio::io::copy_bidirectional(&mut caller, &mut process).await;
    Ok(())
}

/// A connection to one of the processes, begun with the one whose turn it is.
async fn connect(to: &str, turn: usize) -> io::Result<TcpStream> {
    let mut addresses: Vec<_> = lookup_host(to).await?.collect();
    addresses.sort_unstable(); // a name server shuffles them
    let count = addresses.len().max(1);
    addresses.rotate_left(turn % count);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(process)) => return Ok(process),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_way_names_both_ends() {
        let way: Way = "0.0.0.0:8001=trainer:8001".parse().unwrap();
        assert_eq!((way.listen.port(), way.to.as_str()), (8001, "trainer:8001"));
        for wrong in
            ["8001", "0.0.0.0:8001", "x=trainer:8001", "0.0.0.0:1=trainer", "0.0.0.0:1=:9", "0.0.0.0:1=t:x"]
        {
            assert!(wrong.parse::<Way>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_is_sent_comes_back_from_the_other_end_and_breaks_off_with_it() {
        let process = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let to = process.local_addr().unwrap().to_string();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, to));
        let mut caller = TcpStream::connect(proxy).await.unwrap();
        let (mut served, _) = process.accept().await.unwrap();
        caller.write_all(b"ask").await.unwrap();
        let mut asked = [0; 3];
        served.read_exact(&mut asked).await.unwrap();
        served.write_all(b"answer").await.unwrap();
        drop(served);
        let mut answer = Vec::new();
        caller.read_to_end(&mut answer).await.unwrap();
        assert_eq!((&asked, answer.as_slice()), (b"ask", b"answer".as_slice()));
    }

    #[tokio::test]
    async fn without_a_process_the_connection_ends() {
        let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let to = nobody.local_addr().unwrap().to_string();
        drop(nobody);
        assert!(connect(&to, 3).await.is_err());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, to));
        let mut caller = TcpStream::connect(proxy).await.unwrap();
        let mut answer = Vec::new();
        let _broken_or_ended = caller.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
}
