//! The `ringbus` program as a black box: started on a free port, stopped by a signal, and asked
//! for its counters. What holds here holds for a user.
//!
//! `RINGBUS_IO` and `RINGBUS_SHARDS` choose the driver and the shards of every broker a test
//! starts: they are the program's own variables. `RINGBUS_BIN` names the program; without it the
//! tests build the one of their own profile.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before the test fails. Long, because a loaded machine is slow;
/// nothing waits for it to pass.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Shards when `RINGBUS_SHARDS` is not set.
const SHARDS_DEFAULT: u16 = 2;

/// A running broker; killed when dropped, stopped politely by [`Broker::stop`].
pub struct Broker {
    child: Child,
    address: SocketAddr,
    web_socket: Option<SocketAddr>,
    nats: Option<SocketAddr>,
    shards: u16,
    output: Arc<Output>,
}

/// What one shard counted, as printed at exit.
pub type ShardCounters = HashMap<String, u64>;

/// How a broker ended.
pub struct Stopped {
    /// Its exit status.
    pub status: ExitStatus,
    /// Everything it printed, standard output and standard error in order of arrival.
    pub lines: Vec<String>,
    /// One entry a shard, in order.
    pub shards: Vec<ShardCounters>,
}

impl Broker {
    /// Starts a broker on a free port, with the driver and shards of the environment.
    pub fn start() -> Broker {
        Broker::start_with(&[])
    }

    /// As [`Broker::start`], with more flags.
    pub fn start_with(flags: &[&str]) -> Broker {
        Broker::start_prepared(flags, |_| {})
    }

    /// As [`Broker::start_with`], with a last word on the command.
    pub fn start_prepared(flags: &[&str], prepare: impl FnOnce(&mut Command)) -> Broker {
        Broker::launch(&["mqtt://127.0.0.1:0"], flags, prepare)
    }

    /// As [`Broker::start_with`], with a WebSocket listener on a free port, too.
    pub fn start_web_socket(flags: &[&str]) -> Broker {
        Broker::launch(&["mqtt://127.0.0.1:0", "ws://127.0.0.1:0"], flags, |_| {})
    }

    /// As [`Broker::start_web_socket`], with a NATS listener on a free port, too.
    pub fn start_nats(flags: &[&str]) -> Broker {
        let listeners = ["mqtt", "ws", "nats"].map(|scheme| format!("{scheme}://127.0.0.1:0"));
        Broker::launch(&listeners.each_ref().map(String::as_str), flags, |_| {})
    }

    /// As [`Broker::start_web_socket`], with a UDP listener for MQTT-SN on a free port, too.
    pub fn start_mqttsn(flags: &[&str]) -> Broker {
        let listeners = [
            "mqtt://127.0.0.1:0",
            "ws://127.0.0.1:0",
            "mqttsn://127.0.0.1:0",
        ];
        Broker::launch(&listeners, flags, |_| {})
    }

    /// With a listener of every protocol on a free port.
    pub fn start_everything(flags: &[&str]) -> Broker {
        let listeners =
            ["mqtt", "ws", "nats", "mqttsn"].map(|scheme| format!("{scheme}://127.0.0.1:0"));
        Broker::launch(&listeners.each_ref().map(String::as_str), flags, |_| {})
    }

    /// As [`Broker::start_web_socket`], on the ports that another had.
    pub fn start_again(mqtt: SocketAddr, web_socket: SocketAddr, flags: &[&str]) -> Broker {
        let listeners = [format!("mqtt://{mqtt}"), format!("ws://{web_socket}")];
        Broker::launch(&listeners.each_ref().map(String::as_str), flags, |_| {})
    }

    fn launch(listeners: &[&str], flags: &[&str], prepare: impl FnOnce(&mut Command)) -> Broker {
        let shards = shards_of(flags);
        let mut command = Command::new(program());
        command
            .arg("serve")
            .args(listeners.iter().flat_map(|url| ["--listen", url]))
            .args(["--log-format", "text", "--log-level", "info"])
            .args(["--shards", &shards.to_string()])
            // Counters are those of what a test does, unless it asks for more.
            .env("RINGBUS_SYS_INTERVAL", "0")
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program().display()));
        let output = Arc::new(Output::default());
        output.collect(child.stdout.take().expect("stdout is piped"));
        output.collect(child.stderr.take().expect("stderr is piped"));
        output.wait_line("ready in ");
        let address = output.listener("mqtt").expect("it listens for MQTT");
        let web_socket = output.listener("ws");
        let nats = output.listener("nats");
        Broker {
            child,
            address,
            web_socket,
            nats,
            shards,
            output,
        }
    }

    /// Where it accepts MQTT.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it accepts WebSockets.
    ///
    /// # Panics
    /// If it was started without such a listener.
    pub fn web_socket_address(&self) -> SocketAddr {
        self.web_socket.expect("a ws:// listener")
    }

    /// Where it accepts NATS clients.
    ///
    /// # Panics
    /// If it was started without such a listener.
    pub fn nats_address(&self) -> SocketAddr {
        self.nats.expect("a nats:// listener")
    }

    /// Where it takes datagrams of MQTT-SN.
    ///
    /// # Panics
    /// If it was started without such a listener.
    pub fn mqttsn_address(&self) -> SocketAddr {
        self.output
            .listener("mqttsn")
            .expect("a mqttsn:// listener")
    }

    /// How many shards it runs.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new network connection to it.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the broker accepts");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }

    /// Memory it occupies now.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most it has occupied, since the start or [`Broker::forget_peak_memory`].
    pub fn peak_resident_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The peak starts anew from what it occupies now.
    pub fn forget_peak_memory(&self) {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(path, "5").expect("our own child");
    }

    fn memory(&self, what: &str) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("a size in kB") * 1024
    }

    /// Descriptors it has open now.
    pub fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        files.expect("a running process").count()
    }

    /// Waits until the broker prints a line that contains `text`, and returns it.
    pub fn wait_line(&self, text: &str) -> String {
        self.output.wait_line(text)
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop by SIGTERM, without waiting.
    pub fn terminate(&self) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a pid fits");
        // SAFETY: the pid is our child's, which is not reaped before `wait`.
        let status = unsafe { libc::kill(pid, libc::SIGTERM) };
        assert_eq!(status, 0, "kill");
    }

    /// Waits for the end of a broker that was told to stop.
    pub fn wait(mut self) -> Stopped {
        let status = self.wait_exit();
        let lines = self.output.wait_end();
        let shards = lines
            .iter()
            .filter_map(|line| shard_counters(line))
            .collect();
        Stopped {
            status,
            lines,
            shards,
        }
    }

    /// Stops it and checks that it ended well: exit code 0, no panic, a line per shard.
    pub fn stop(self) -> Stopped {
        let shards = self.shards;
        self.terminate();
        let stopped = self.wait();
        let printed = stopped.lines.join("\n");
        assert_eq!(
            stopped.status.code(),
            Some(0),
            "{:?}\n{printed}",
            stopped.status.signal()
        );
        assert!(!printed.contains("panicked"), "a panic:\n{printed}");
        assert_eq!(
            stopped.shards.len(),
            usize::from(shards),
            "lines of shards in\n{printed}"
        );
        stopped
    }

    fn wait_exit(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(
                Instant::now() < end,
                "the broker does not stop:\n{}",
                self.output.text()
            );
            // Its output ends when it does; this only spaces the checks out.
            self.output.wait_change(Duration::from_millis(20));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Already reaped after `stop`: then both fail, and that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the broker printed:\n{}", self.output.text());
        }
    }
}

impl Stopped {
    /// The sum of a counter over the shards; every shard must have it.
    pub fn total(&self, counter: &str) -> u64 {
        let of = |shard: &ShardCounters| {
            *shard
                .get(counter)
                .unwrap_or_else(|| panic!("no {counter} in {shard:?}"))
        };
        self.shards.iter().map(of).sum()
    }

    /// Asserts that shards talked, where there is more than one, and that one alone did not.
    pub fn assert_mail_crossed(&self) {
        let items = self.total("mail_items");
        if self.shards.len() > 1 {
            assert!(items > 0, "no mail crossed {} shards", self.shards.len());
            assert!(self.total("mail_batches") > 0, "items without batches");
        } else {
            assert_eq!(items, 0, "one shard sent itself mail");
        }
    }
}

/// The program under test; built once if `RINGBUS_BIN` does not name one.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os("RINGBUS_BIN").map_or_else(build, PathBuf::from))
}

/// Builds the program in the profile and target directory of this test.
fn build() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    // target/PROFILE/deps/test-hash
    let directory = test
        .ancestors()
        .nth(2)
        .expect("tests run from target/PROFILE/deps");
    let release = directory.ends_with("release");
    let status = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "-p", "ringbus", "--bin", "ringbus"])
        .args(release.then_some("--release"))
        .arg("--target-dir")
        .arg(
            directory
                .parent()
                .expect("a profile is inside a target directory"),
        )
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the broker does not build");
    directory.join("ringbus")
}

fn shards_of(flags: &[&str]) -> u16 {
    let flag = flags
        .iter()
        .position(|flag| *flag == "--shards")
        .map(|at| flags[at + 1].to_owned());
    let text = flag.or_else(|| env::var("RINGBUS_SHARDS").ok());
    text.map_or(SHARDS_DEFAULT, |text| {
        text.parse().expect("RINGBUS_SHARDS is a number")
    })
}

/// Reads `… shard 0: turns=1 received=2 …`.
fn shard_counters(line: &str) -> Option<ShardCounters> {
    let (head, tail) = line.split_once(": turns=")?;
    head.rsplit_once("shard ")?.1.parse::<u16>().ok()?;
    let pairs = format!("turns={tail}");
    let pair = |word: &str| {
        let (name, value) = word.split_once('=')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Some(pairs.split_whitespace().filter_map(pair).collect())
}

/// Lines a process prints, collected by a thread per stream.
#[derive(Default)]
struct Output {
    state: Mutex<OutputState>,
    changed: Condvar,
}

#[derive(Default)]
struct OutputState {
    lines: Vec<String>,
    open: usize,
}

impl Output {
    fn collect(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.lock().open += 1;
        let output = Arc::clone(self);
        spawn("output", move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { break };
                output.lock().lines.push(line);
                output.changed.notify_all();
            }
            output.lock().open -= 1;
            output.changed.notify_all();
        });
    }

    fn wait_line(&self, text: &str) -> String {
        let mut state = self.lock();
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(line) = state.lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            let over = state.open == 0 || left.is_zero();
            assert!(
                !over,
                "no line {text:?} in the broker's output:\n{}",
                state.lines.join("\n")
            );
            state = self
                .changed
                .wait_timeout(state, left)
                .expect("no panic while locked")
                .0;
        }
    }

    /// The address of the first listener with this scheme that the banner names.
    fn listener(&self, scheme: &str) -> Option<SocketAddr> {
        let state = self.lock();
        let urls = |line: &String| {
            line.split_once("listening on ")
                .map(|(_, urls)| urls.to_owned())
        };
        let urls = state.lines.iter().find_map(urls)?;
        let mut urls = urls.split(' ');
        let host = urls.find_map(|url| url.strip_prefix(scheme)?.strip_prefix("://"))?;
        let address = host.parse();
        Some(address.unwrap_or_else(|error| panic!("no address in {host:?}: {error}")))
    }

    fn wait_end(&self) -> Vec<String> {
        let mut state = self.lock();
        let end = Instant::now() + DEADLINE;
        while state.open > 0 {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the broker's output stays open after its end"
            );
            state = self
                .changed
                .wait_timeout(state, left)
                .expect("no panic while locked")
                .0;
        }
        state.lines.clone()
    }

    fn wait_change(&self, longest: Duration) {
        drop(self.changed.wait_timeout(self.lock(), longest));
    }

    fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, OutputState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread with a name, for its panic message.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .expect("a thread")
}
