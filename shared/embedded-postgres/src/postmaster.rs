//! The server process: starting, watching, restarting, stopping.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Error,
    account::{Account, give, run_as},
    folder::last_lines,
};

/// Everything that a server process is started with.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) account: Option<Account>,
    pub(crate) options: Vec<String>,
    /// Whether a stop may throw away what is not yet on disk.
    pub(crate) throwaway: bool,
    pub(crate) start_limit: Duration,
}

/// A thread that keeps one server running. It also is the server's parent: the server is told to end
/// when this thread does, which is when the process does.
#[derive(Debug)]
pub(crate) struct Supervisor {
    commands: Sender<Order>,
    thread: Option<JoinHandle<()>>,
    pid: Arc<AtomicU32>,
}

enum Order {
    /// Stop the server and leave it stopped.
    Halt(SyncSender<Result<(), Error>>),
    /// Start it again.
    Resume(SyncSender<Result<(), Error>>),
}

impl Supervisor {
    /// Starts the server and waits until it is ready.
    pub(crate) fn start(launch: Launch) -> Result<Self, Error> {
        let (commands, orders) = channel();
        let pid = Arc::new(AtomicU32::new(0));
        let shown = pid.clone();
        let (started, result) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("postgres-supervisor".into())
            .spawn(move || match launch.start_ready() {
                Ok(child) => {
                    shown.store(child.id(), Ordering::Relaxed);
                    let _ = started.send(Ok(()));
                    Watch { launch, orders, pid: shown, child: Some(child) }.run();
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            })
            .map_err(|_| Error::NoSupervisor)?;
        result.recv().map_err(|_| Error::NoSupervisor)??;
        Ok(Self { commands, thread: Some(thread), pid })
    }

    /// The server's process id; `None` while there is none.
    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|&pid| pid != 0)
    }

    pub(crate) fn halt(&self) -> Result<(), Error> {
        self.order(Order::Halt)
    }

    pub(crate) fn resume(&self) -> Result<(), Error> {
        self.order(Order::Resume)
    }

    fn order(&self, order: impl FnOnce(SyncSender<Result<(), Error>>) -> Order) -> Result<(), Error> {
        let (answer, result) = sync_channel(1);
        self.commands.send(order(answer)).map_err(|_| Error::NoSupervisor)?;
        result.recv().map_err(|_| Error::NoSupervisor)?
    }
}

impl Drop for Supervisor {
    /// Stops the server and waits for its end.
    fn drop(&mut self) {
        // A supervisor whose orders can no longer come stops its server and ends.
        self.commands = channel().0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The supervising thread's state.
struct Watch {
    launch: Launch,
    orders: Receiver<Order>,
    pid: Arc<AtomicU32>,
    /// `None` while halted.
    child: Option<Child>,
}

impl Watch {
    fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut started = Instant::now();
        loop {
            match self.orders.recv_timeout(CHECK_EVERY) {
                Ok(Order::Halt(answer)) => {
                    self.stop();
                    let _ = answer.send(Ok(()));
                }
                Ok(Order::Resume(answer)) => {
                    let result = if self.child.is_some() { Ok(()) } else { self.start() };
                    let _ = answer.send(result);
                }
                Err(RecvTimeoutError::Disconnected) => return self.stop(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let Some(child) = &mut self.child else { continue };
            let Ok(Some(status)) = child.try_wait() else { continue };
            tracing::warn!(%status, "PostgreSQL ended on its own and is started again");
            self.pid.store(0, Ordering::Relaxed);
            if started.elapsed() > LONG_ENOUGH {
                pause = FIRST_PAUSE;
            }
            // The dead server's children hold its shared memory for some milliseconds more, and a
            // server that cannot start must not be started a thousand times a second.
            while let Err(error) = self.start() {
                tracing::error!(%error, "PostgreSQL could not be started again; trying once more");
                match self.orders.recv_timeout(pause) {
                    Ok(Order::Halt(answer)) => {
                        self.child = None;
                        let _ = answer.send(Ok(()));
                        break;
                    }
                    Ok(Order::Resume(answer)) => {
                        let _ = answer.send(Ok(())); // it is what this loop does
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            started = Instant::now();
        }
    }

    fn start(&mut self) -> Result<(), Error> {
        let child = self.launch.start_ready()?;
        self.pid.store(child.id(), Ordering::Relaxed);
        self.child = Some(child);
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(child) = self.child.take() {
            stop_child(child, self.launch.throwaway);
            self.pid.store(0, Ordering::Relaxed);
        }
    }
}

/// How soon a death is noticed.
const CHECK_EVERY: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that ran this long is not one that cannot start.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

impl Launch {
    /// Starts the server and waits until `postmaster.pid` says that it is ready.
    fn start_ready(&self) -> Result<Child, Error> {
        remove_stale_pid_file(&self.data)?;
        let log_size = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let mut child = self.spawn()?;
        let deadline = Instant::now() + self.start_limit;
        loop {
            if ready(&self.data, child.id()) {
                return Ok(child);
            }
            if let Ok(Some(_)) = child.try_wait() {
                let log = fs::read(&self.log).unwrap_or_default();
                let fresh = log.get(usize::try_from(log_size).unwrap_or(0)..).unwrap_or_default();
                let output = last_lines(&String::from_utf8_lossy(fresh), 5);
                return Err(Error::DidNotStart { log: self.log.clone(), output });
            }
            if Instant::now() > deadline {
                stop_child(child, true);
                return Err(Error::NotReady { seconds: self.start_limit.as_secs(), log: self.log.clone() });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn spawn(&self) -> Result<Child, Error> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|error| Error::file("cannot open the server's log", &self.log, error))?;
        give(&self.log, self.account.as_ref())?;
        let also_log = log.try_clone().map_err(|error| Error::file("cannot open", &self.log, error))?;
        let mut command = Command::new(&self.program);
        command
            .arg("-D")
            .arg(&self.data)
            .args(self.options.iter().flat_map(|option| ["-c", option]))
            .current_dir(&self.data) // the process's own folder may be closed to the server's user
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also_log)
            .process_group(0); // Ctrl-C at the terminal is for the parent, which then stops the server
        run_as(&mut command, self.account.as_ref());
        die_with_parent(&mut command, if self.throwaway { Signal::QUIT } else { Signal::INT });
        command.spawn().map_err(|source| Error::Run { program: self.program.clone(), source })
    }
}

/// Has the kernel send `signal` to the command's process when the thread that spawned it ends. std
/// switches the user before it runs this, which would clear the setting.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command, signal: Signal) {
    let parent = rustix::process::getpid();
    let before_exec = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        if rustix::process::getppid() != Some(parent) {
            // The parent died before the setting held.
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two
    // system calls (prctl, getppid), takes no lock and allocates nothing: an `io::Error` from an
    // errno or from a kind is stored without the heap.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(before_exec);
    }
}

/// Other systems have no such signal: there the server outlives a parent that is killed, and the next
/// start ends it.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command, _: Signal) {}

/// Ends a server that an earlier process left, and removes a `postmaster.pid` whose server is gone:
/// after a crash its number may belong to some other process by now, and PostgreSQL would not start.
/// Only for whoever holds the folder's lock.
pub(crate) fn remove_stale_pid_file(data: &Path) -> Result<(), Error> {
    let file = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It was told to end when its parent did: give it the time of a checkpoint, then insist.
        let insist = [(Signal::INT, 30), (Signal::QUIT, 10), (Signal::KILL, 5)];
        for (signal, seconds) in insist {
            if !serves(pid, data) {
                break;
            }
            tracing::info!(
                pid = pid.as_raw_nonzero().get(),
                ?signal,
                "ending the PostgreSQL of an earlier process"
            );
            let _ = kill_process(pid, signal); // it may just have ended
            wait_until(Duration::from_secs(seconds), || !serves(pid, data));
        }
    }
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("cannot remove", file, error))
        }
        _ => Ok(()),
    }
}

/// Whether the process is the server of this folder: a postmaster's working directory is its PGDATA.
fn serves(pid: Pid, data: &Path) -> bool {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == data)
}

/// `postmaster.pid`: line 1 is the process, line 8 its state (PostgreSQL's `pidfile.h`).
fn ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return false };
    let mut lines = text.lines();
    let same = lines.next().is_some_and(|line| line.trim() == pid.to_string());
    same && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

/// Fast shutdown (SIGINT: sessions end, a checkpoint is written), then immediate (SIGQUIT), then
/// SIGKILL. A throwaway server starts with the second.
fn stop_child(mut child: Child, throwaway: bool) {
    let steps = [(Signal::INT, 60), (Signal::QUIT, 10), (Signal::KILL, 10)];
    for (signal, seconds) in steps.into_iter().skip(usize::from(throwaway)) {
        // Not reaped yet, so the number is still the server's.
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
        if wait_until(Duration::from_secs(seconds), || !matches!(child.try_wait(), Ok(None))) {
            return;
        }
    }
    tracing::error!(pid = child.id(), "PostgreSQL did not end even with SIGKILL");
}

fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
