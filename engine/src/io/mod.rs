//! Drivers: what runs a shard on a kernel interface.
//!
//! `host` is the turn every driver shares: it feeds a shard, carries out its
//! effects and decides how to wait. `ring` (io_uring) and `epoll` say what their
//! kernel interface can do with a socket ([`host::Port`]) and reap its events.
//! `probe` chooses between them before anything else is started.

mod broadcast;
pub mod clock;
mod control;
mod datagrams;
pub mod epoll;
pub mod glommio;
mod host;
mod linger;
mod link;
pub mod listener;
pub mod pinning;
pub mod probe;
pub mod ring;
pub mod sim;
mod sockets;
pub mod udp;
mod wake;

pub use control::{Control, Phase};
pub use wake::WakeFd;

use crate::mailbox::{MailCounters, Mailbox};
use crate::metrics::Counters;
use crate::shard::{Batch, Shard};
use clock::Clock;
use listener::Acceptor;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use udp::UdpListener;

/// What a driver gets to run one shard. It is made on the shard's own thread,
/// which is pinned by then.
pub struct Station {
    /// The shard, new.
    pub shard: Shard,
    /// Its place in the mesh.
    pub mailbox: Mailbox<Batch>,
    /// The listening sockets, shared by all shards.
    pub acceptors: Arc<[Acceptor]>,
    /// The UDP listeners; each has a socket for this shard.
    pub udp: Arc<[UdpListener]>,
    /// Read once a turn.
    pub control: Arc<Control>,
    /// Rung by peers with mail and by [`Control::order`].
    pub doorbell: Arc<WakeFd>,
    /// The clock of the process.
    pub clock: Clock,
    /// Where the thread is pinned.
    pub cpu: usize,
    /// Called once the driver is set up; returns when the shard is to go on.
    pub started: Box<dyn FnOnce()>,
}

/// What is left of a shard when its driver ends.
pub struct Finished {
    /// What the shard did.
    pub counters: Counters,
    /// What its mailbox did.
    pub mail: MailCounters,
}

/// One line for the log; tests and benchmarks read it.
impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wakes={}", self.counters, self.mail.wakes)
    }
}

/// Why a driver could not start or go on.
#[derive(Debug)]
pub struct DriverError {
    /// What was tried.
    pub tried: &'static str,
    /// What the kernel said.
    pub error: io::Error,
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.tried, self.error)
    }
}

impl std::error::Error for DriverError {}

impl Station {
    /// This shard's sockets for datagrams, by the number of their listener.
    pub(crate) fn datagram_sockets(&self) -> Box<[RawFd]> {
        let shard = self.mailbox.shard().index();
        self.udp.iter().map(|udp| udp.socket(shard)).collect()
    }
}

/// Names what was tried when it fails.
pub(crate) trait Tried<T> {
    fn tried(self, what: &'static str) -> Result<T, DriverError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, tried: &'static str) -> Result<T, DriverError> {
        self.map_err(|error| DriverError { tried, error })
    }
}
