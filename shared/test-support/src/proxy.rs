use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// What a [`Proxy`] does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    /// Passes everything on.
    Forward,
    /// Resets every connection, new and old: the target is away.
    Refuse,
    /// Takes connections and bytes, and passes nothing on, until the mode changes: the target hangs.
    Hang,
    /// Passes this many bytes of the answers on (counted over each connection from now), then resets
    /// the connection: the request was carried out, its answer is lost.
    CutAfter(u64),
}

/// A TCP proxy in front of an address, which can be told to fail. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<ProxyMode>,
    connections: Arc<AtomicU64>,
    _accepting: AbortOnDropHandle<()>,
    _open: tokio_util::sync::DropGuard,
}

impl Proxy {
    /// Starts one on a free loopback port; it forwards until it is told otherwise.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (mode, modes) = watch::channel(ProxyMode::Forward);
        let connections = Arc::new(AtomicU64::new(0));
        let (counter, open) = (connections.clone(), CancellationToken::new());
        let ended = open.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let (modes, ended) = (modes.clone(), ended.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection(client, target, modes) => {}
                        () = ended.cancelled() => {}
                    }
                });
            }
        });
        Ok(Self {
            address,
            mode,
            connections,
            _accepting: AbortOnDropHandle::new(accepting),
            _open: open.drop_guard(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://<address>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what it does, for connections that are open too.
    pub fn set(&self, mode: ProxyMode) {
        self.mode.send_replace(mode);
    }

    /// How many connections it has taken.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// One connection, to its end. Dropping the halves closes both sides.
async fn connection(client: TcpStream, target: SocketAddr, modes: watch::Receiver<ProxyMode>) {
    // A close with a linger of zero is a reset, which no peer takes for a proper end.
    let _ = client.set_zero_linger();
    let Some(ProxyMode::Forward | ProxyMode::CutAfter(_)) = settled(modes.clone()).await else { return };
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = server.set_zero_linger();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // A side that closes its half goes on reading the other; only both ends, or a cut, end it.
    let up = pump(from_client, to_server, modes.clone(), false);
    let down = pump(from_server, to_client, modes, true);
    tokio::pin!(up, down);
    tokio::select! {
        end = &mut up => if end == End::Closed { down.await; },
        end = &mut down => if end == End::Closed { up.await; },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The sender closed its half.
    Closed,
    /// Both halves are to go.
    Cut,
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut modes: watch::Receiver<ProxyMode>,
    counted: bool,
) -> End {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0u64;
    let mut limit = modes.borrow_and_update().to_owned();
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = modes.changed() => Ok(usize::MAX), // looked at below
        };
        let now = match settled(modes.clone()).await {
            Some(ProxyMode::Refuse) | None => return End::Cut,
            Some(mode) => mode,
        };
        if now != limit {
            (limit, passed) = (now, 0);
        }
        let count = match read {
            Ok(usize::MAX) => continue,
            Ok(0) => {
                let _ = to.shutdown().await;
                return End::Closed;
            }
            Ok(count) => count,
            Err(_) => return End::Cut,
        };
        let allowed = match limit {
            ProxyMode::CutAfter(limit) if counted => {
                count.min(usize::try_from(limit - passed).unwrap_or(usize::MAX))
            }
            _ => count,
        };
        if to.write_all(&buffer[..allowed]).await.is_err() {
            return End::Cut;
        }
        passed += allowed as u64;
        if allowed < count {
            let _ = to.flush().await;
            return End::Cut;
        }
    }
}

/// The mode once it is not [`ProxyMode::Hang`]; `None` when the proxy is gone.
async fn settled(mut modes: watch::Receiver<ProxyMode>) -> Option<ProxyMode> {
    modes.wait_for(|mode| *mode != ProxyMode::Hang).await.ok().map(|mode| *mode)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Answers each byte with ten.
    async fn target() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        if stream.write_all(&[byte; 10]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        stream.write_all(b"x").await?;
        let mut answer = vec![0; 10];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn it_forwards_until_it_refuses_and_forwards_again() {
        let proxy = Proxy::start(target().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), b"xxxxxxxxxx");
        proxy.set(ProxyMode::Refuse);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(ask(&mut stream).await.is_err());
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut refused).await.is_err());
        proxy.set(ProxyMode::Forward);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), b"xxxxxxxxxx");
        assert_eq!(proxy.connections(), 3);
    }

    #[tokio::test]
    async fn what_hangs_goes_on_when_it_is_let() {
        let proxy = Proxy::start(target().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.set(ProxyMode::Hang);
        let waiting = tokio::time::timeout(Duration::from_millis(200), ask(&mut stream)).await;
        assert!(waiting.is_err(), "an answer came through");
        proxy.set(ProxyMode::Forward);
        let mut answer = vec![0; 10];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"xxxxxxxxxx");
    }

    #[tokio::test]
    async fn an_answer_is_cut_after_so_many_bytes() {
        let proxy = Proxy::start(target().await).await.unwrap();
        proxy.set(ProxyMode::CutAfter(14));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), b"xxxxxxxxxx");
        stream.write_all(b"y").await.unwrap();
        let mut rest = Vec::new();
        let mut buffer = [0; 16];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            rest.extend_from_slice(&buffer[..count]);
        }
        assert!(rest.len() <= 4, "{rest:?}"); // a reset may overtake bytes that were on their way
    }
}
