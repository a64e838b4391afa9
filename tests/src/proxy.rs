//! A bad network between a client and the broker: a TCP proxy that delays, splits, stalls, cuts
//! and half-opens connections, each by the seed of the test.

use crate::broker::spawn;
use crate::random::Random;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What becomes of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Everything passes, in the pieces it came in.
    Clean,
    /// Everything passes, what the client sends one byte per segment.
    Dribble,
    /// Everything passes, in random pieces with a random delay of up to this before each.
    Slow(Duration),
    /// Both sides are closed when this many bytes have passed in one direction.
    Cut(usize),
    /// Nothing moves for a while when this many bytes have passed in one direction.
    Stall(usize, Duration),
    /// Nothing moves ever again after this many bytes, and nobody is told: a pulled cable.
    HalfOpen(usize),
}

/// How a proxy chooses fates.
pub type Policy = fn(&mut Random) -> Fate;

/// A running proxy; everything is cut when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    policy: Policy,
    healed: AtomicBool,
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    random: Random,
    over: bool,
    streams: Vec<TcpStream>,
    fates: Vec<Fate>,
}

impl Proxy {
    /// Listens on a free port of the loopback and connects each client to `target`.
    pub fn start(target: SocketAddr, seed: u64, policy: Policy) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            target,
            policy,
            healed: AtomicBool::new(false),
            state: Mutex::new(State {
                random: Random::new(seed),
                over: false,
                streams: Vec::new(),
                fates: Vec::new(),
            }),
            ended: Condvar::new(),
        });
        let acceptor = Arc::clone(&shared);
        spawn("proxy", move || acceptor.accept(&listener));
        Proxy { address, shared }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the network is good: new connections are clean, the old ones are cut.
    pub fn heal(&self) {
        self.shared.healed.store(true, Ordering::SeqCst);
        self.shared.cut_all();
    }

    /// The fates so far, one a connection.
    pub fn fates(&self) -> Vec<Fate> {
        self.shared.lock().fates.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.ended.notify_all();
        self.shared.cut_all();
        // The acceptor sees `over` when this arrives.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.lock().over {
                return;
            }
            let (Ok(client), Ok(broker)) = (client, TcpStream::connect(self.target)) else {
                continue;
            };
            let _ = (client.set_nodelay(true), broker.set_nodelay(true));
            let (fate, seed) = self.adopt(&client, &broker);
            let back = if fate == Fate::Dribble {
                Fate::Clean
            } else {
                fate
            };
            self.pump(&client, &broker, fate, seed);
            self.pump(&broker, &client, back, seed ^ 1);
        }
    }

    fn adopt(&self, client: &TcpStream, broker: &TcpStream) -> (Fate, u64) {
        let mut state = self.lock();
        let healed = self.healed.load(Ordering::SeqCst);
        let fate = if healed {
            Fate::Clean
        } else {
            (self.policy)(&mut state.random)
        };
        let seed = state.random.next_u64();
        state.fates.push(fate);
        state.streams.extend([clone(client), clone(broker)]);
        (fate, seed)
    }

    fn pump(self: &Arc<Self>, from: &TcpStream, to: &TcpStream, fate: Fate, seed: u64) {
        let mut pump = Pump {
            shared: Arc::clone(self),
            from: clone(from),
            to: clone(to),
            fate,
            random: Random::new(seed),
            passed: 0,
        };
        spawn("proxy pump", move || pump.run());
    }

    fn cut_all(&self) {
        for stream in self.lock().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits; true if the proxy ended meanwhile.
    fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.over || left.is_zero() {
                return state.over;
            }
            state = self
                .ended
                .wait_timeout(state, left)
                .expect("no panic while locked")
                .0;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One direction of a connection.
struct Pump {
    shared: Arc<Shared>,
    from: TcpStream,
    to: TcpStream,
    fate: Fate,
    random: Random,
    passed: usize,
}

impl Pump {
    fn run(&mut self) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let length = match self.from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if !self.pass(&buffer[..length]) {
                break;
            }
        }
        // An end on one side is an end on the other; half-open connections never come here.
        let _ = self.from.shutdown(Shutdown::Both);
        let _ = self.to.shutdown(Shutdown::Both);
    }

    /// Sends the bytes on as the fate has it; false ends the connection.
    fn pass(&mut self, bytes: &[u8]) -> bool {
        match self.fate {
            Fate::Clean => self.to.write_all(bytes).is_ok(),
            Fate::Dribble => bytes.chunks(1).all(|byte| self.to.write_all(byte).is_ok()),
            Fate::Slow(delay) => self.pass_slowly(bytes, delay),
            Fate::Cut(limit) => {
                let last = self.passed + bytes.len() >= limit;
                let passing = bytes.len().min(limit - self.passed.min(limit));
                self.passed += passing;
                self.to.write_all(&bytes[..passing]).is_ok() && !last
            }
            Fate::Stall(limit, time) => {
                if self.passed < limit && self.passed + bytes.len() >= limit {
                    self.shared.pause(time);
                }
                self.passed += bytes.len();
                self.to.write_all(bytes).is_ok()
            }
            Fate::HalfOpen(limit) => {
                if self.passed + bytes.len() >= limit {
                    // Until the proxy is dropped: the sockets stay open and silent.
                    while !self.shared.pause(Duration::from_secs(60)) {}
                    return false;
                }
                self.passed += bytes.len();
                self.to.write_all(bytes).is_ok()
            }
        }
    }

    fn pass_slowly(&mut self, bytes: &[u8], delay: Duration) -> bool {
        let micros = usize::try_from(delay.as_micros()).expect("a short delay") + 1;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(1 + self.random.below(rest.len()));
            let wait = u64::try_from(self.random.below(micros)).expect("a short delay");
            let over = self.shared.pause(Duration::from_micros(wait));
            if over || self.to.write_all(piece).is_err() {
                return false;
            }
            rest = later;
        }
        true
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a file descriptor")
}
