//! The process: listening sockets, shard threads, signals and the end of it all.

mod files;
mod panics;
mod settings;
mod signals;

pub use files::FilesError;
pub use signals::Signals;

use crate::base::ShardId;
use crate::base::limits::MAILBOX_BATCHES_MAX;
use crate::config::{Config, Listener};
use crate::io::clock::Clock;
use crate::io::listener::{Acceptor, ListenError};
use crate::io::probe::{self, Choice, Driver, Refused};
use crate::io::udp::UdpListener;
use crate::io::{
    Control, DriverError, Finished, Phase, Station, WakeFd, epoll, glommio, pinning, ring,
};
use crate::mailbox::{Mailbox, Wake, mesh};
use crate::shard::{Batch, Shard, ShardConfig};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How often the main thread tidies up while the shards serve.
const TIDY_EVERY: Duration = Duration::from_millis(500);

/// A running broker.
pub struct Server {
    choice: Choice,
    acceptors: Arc<[Acceptor]>,
    udp: Arc<[UdpListener]>,
    control: Arc<Control>,
    threads: Vec<JoinHandle<()>>,
    notes: Receiver<Note>,
    /// Kept for the signal thread.
    sender: Sender<Note>,
}

/// What a thread tells the one that waits.
#[derive(Debug)]
enum Note {
    Started,
    Ended(ShardId, Result<(), DriverError>),
    Signal,
}

/// Why a broker did not start, or did not go on. For the operator: one line.
#[derive(Debug)]
pub enum ServerError {
    /// An address cannot be listened on.
    Listen(ListenError),
    /// The driver that was demanded cannot run here.
    Driver(Refused),
    /// More connections were demanded than the process may have files.
    Files(FilesError),
    /// A shard could not start, or failed.
    Shard(ShardId, DriverError),
    /// The system refused a thread or a descriptor.
    System(&'static str, io::Error),
    /// A second signal cut the drain short.
    Interrupted,
}

impl Server {
    /// Binds, starts one thread per shard and returns once all of them serve.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing runs then.
    pub fn start(config: &Config) -> Result<Self, ServerError> {
        panics::stop_process_on_shard_panic();
        let connections_max = files::raise(config).map_err(ServerError::Files)?;
        let choice = probe::choose(config.io).map_err(ServerError::Driver)?;
        let listening = bind(config).map_err(ServerError::Listen)?;
        let (wanted, driver) = (config.io, choice.driver);
        match Self::start_on(choice, listening.clone(), config, connections_max) {
            // The probe's ring was a small one, and one.
            Err(ServerError::Shard(_, error)) if driver == Driver::Ring => {
                let instead = probe::without_ring(wanted, &error).map_err(ServerError::Driver)?;
                Self::start_on(instead, listening, config, connections_max)
            }
            started => started,
        }
    }

    /// Starts the shards on a driver that may yet fail. None serves then: what connects
    /// waits in the backlog.
    fn start_on(
        choice: Choice,
        (acceptors, udp): Listening,
        config: &Config,
        connections_max: usize,
    ) -> Result<Self, ServerError> {
        let doorbells = doorbells(config.shards)?;
        let (sender, notes) = channel();
        let mut server = Self {
            choice,
            acceptors,
            udp,
            control: Arc::new(Control::new(doorbells.clone())),
            threads: Vec::new(),
            notes,
            sender,
        };
        let started = server.spawn(config, connections_max, doorbells);
        match started.and_then(|()| server.await_start()) {
            Ok(()) => {
                server.order(Phase::Run);
                Ok(server)
            }
            Err(error) => {
                server.end(Phase::Quit);
                Err(error)
            }
        }
    }

    /// The driver in use and why.
    #[must_use]
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Where it listens, as URLs with their real ports.
    pub fn addresses(&self) -> impl Iterator<Item = String> + '_ {
        let streams = self.acceptors.iter().map(Acceptor::listener);
        let datagrams = self.udp.iter().map(UdpListener::listener);
        streams.chain(datagrams).map(ToString::to_string)
    }

    /// The flag that all shards obey.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Serves until the first signal, then drains: no new connections, leave taken
    /// of the old ones, the end after `drain_timeout` at the latest.
    ///
    /// # Errors
    /// A shard failed, or a second signal came: the process should exit at once.
    pub fn run(self, signals: Signals, drain_timeout: Duration) -> Result<(), ServerError> {
        self.run_tidily(signals, drain_timeout, || {})
    }

    /// As [`Server::run`], with something to do twice a second while it serves.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub fn run_tidily(
        mut self,
        signals: Signals,
        drain_timeout: Duration,
        tidy: fn(),
    ) -> Result<(), ServerError> {
        signals.forward(self.sender.clone())?;
        loop {
            match self.notes.recv_timeout(TIDY_EVERY) {
                Ok(Note::Signal) => return self.drain(drain_timeout),
                Ok(Note::Ended(shard, ended)) => {
                    self.end(Phase::Quit);
                    return ended.map_err(|error| ServerError::Shard(shard, error));
                }
                Ok(Note::Started) => {}
                Err(RecvTimeoutError::Timeout) => tidy(),
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("the server holds a sender itself")
                }
            }
        }
    }

    /// Ends the broker without ceremony and waits for its threads.
    pub fn stop(mut self) {
        self.end(Phase::Quit);
    }

    /// Drains as at the first signal.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub fn drain(&mut self, timeout: Duration) -> Result<(), ServerError> {
        tracing::info!("draining for {timeout:?} at most");
        // The shards first: who still accepts is told again and again that nobody listens.
        self.control.order(Phase::Drain);
        for acceptor in self.acceptors.iter() {
            acceptor.stop();
        }
        let clock = Clock::start();
        let mut running = self.threads.len();
        while running > 0 {
            let left = timeout.saturating_sub(clock.now().to_duration());
            match self.notes.recv_timeout(left) {
                Ok(Note::Ended(_, Ok(()))) => running -= 1,
                Ok(Note::Ended(shard, Err(error))) => return Err(ServerError::Shard(shard, error)),
                Ok(Note::Signal) => return Err(ServerError::Interrupted),
                Ok(Note::Started) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    tracing::warn!("not everything was delivered within the drain timeout");
                    break;
                }
            }
        }
        self.end(Phase::Quit);
        Ok(())
    }

    fn order(&self, phase: Phase) {
        self.control.order(phase);
        // Those that still wait for the others to start.
        for thread in &self.threads {
            thread.thread().unpark();
        }
    }

    fn end(&mut self, phase: Phase) {
        self.order(phase);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a shard panicked");
            }
        }
    }

    fn spawn(
        &mut self,
        config: &Config,
        connections_max: usize,
        doorbells: Vec<Arc<WakeFd>>,
    ) -> Result<(), ServerError> {
        let (shard_config, seed) = settings::shard_config(config, connections_max, &self.acceptors);
        let wakers = doorbells
            .iter()
            .map(|bell| Arc::clone(bell) as Arc<dyn Wake>)
            .collect();
        let mailboxes = mesh(config.shards, MAILBOX_BATCHES_MAX, wakers);
        let clock = Clock::start();
        for (mailbox, doorbell) in mailboxes.into_iter().zip(doorbells) {
            let seat = Seat {
                mailbox,
                doorbell,
                config: Arc::clone(&shard_config),
                seed,
                acceptors: Arc::clone(&self.acceptors),
                udp: Arc::clone(&self.udp),
                control: Arc::clone(&self.control),
                clock,
                cpu: 0,
                driver: self.choice.driver,
                notes: self.sender.clone(),
            };
            self.threads.push(seat.pinned(config).start()?);
        }
        Ok(())
    }

    fn await_start(&mut self) -> Result<(), ServerError> {
        let mut starting = self.threads.len();
        while starting > 0 {
            match self.notes.recv() {
                Ok(Note::Started) => starting -= 1,
                Ok(Note::Ended(shard, Err(error))) => return Err(ServerError::Shard(shard, error)),
                _ => unreachable!("a shard starts before it ends, and nobody forwards signals"),
            }
        }
        Ok(())
    }
}

/// Everything that listens.
type Listening = (Arc<[Acceptor]>, Arc<[UdpListener]>);

fn bind(config: &Config) -> Result<Listening, ListenError> {
    let (datagrams, streams): (Vec<_>, Vec<_>) = config
        .listeners
        .iter()
        .partition(|listener| listener.is_udp());
    let acceptors = streams.into_iter().map(Acceptor::bind);
    let acceptors = acceptors.collect::<Result<_, _>>()?;
    let bind = |listener: &Listener| {
        let advertise: Vec<_> = config.advertised_by(listener).collect();
        UdpListener::bind(listener, config.shards, &advertise)
    };
    let udp = datagrams.into_iter().map(bind);
    Ok((acceptors, udp.collect::<Result<_, _>>()?))
}

fn doorbells(shards: u16) -> Result<Vec<Arc<WakeFd>>, ServerError> {
    let make = |_| WakeFd::new().map(Arc::new);
    let made: io::Result<_> = (0..shards).map(make).collect();
    made.map_err(|error| ServerError::System("make an eventfd", error))
}

/// All that a shard's thread takes with it.
struct Seat {
    mailbox: Mailbox<Batch>,
    doorbell: Arc<WakeFd>,
    config: Arc<ShardConfig>,
    seed: u64,
    acceptors: Arc<[Acceptor]>,
    udp: Arc<[UdpListener]>,
    control: Arc<Control>,
    clock: Clock,
    cpu: usize,
    driver: Driver,
    notes: Sender<Note>,
}

impl Seat {
    fn pinned(mut self, config: &Config) -> Self {
        self.cpu = config.cpu_of(self.mailbox.shard().index());
        self
    }

    fn start(self) -> Result<JoinHandle<()>, ServerError> {
        let name = format!("{}{}", panics::SHARD_THREAD, self.mailbox.shard());
        let thread = Builder::new().name(name).spawn(|| self.work());
        thread.map_err(|error| ServerError::System("start a thread", error))
    }

    fn work(self) {
        let id = self.mailbox.shard();
        if let Err(error) = pinning::pin(self.cpu) {
            tracing::warn!("shard {id} is not pinned: {error}");
        }
        let notes = self.notes.clone();
        let served = Rc::new(Cell::new(false));
        let ended = self.run(Rc::clone(&served)).map(|finished| {
            if served.get() {
                tracing::info!("shard {id}: {finished}");
            }
        });
        // The server may have stopped listening: it is ending then.
        notes.send(Note::Ended(id, ended)).unwrap_or_default();
    }

    fn run(self, served: Rc<Cell<bool>>) -> Result<Finished, DriverError> {
        let shard = Shard::new(
            self.mailbox.shard(),
            self.config,
            self.clock.now(),
            self.seed,
        );
        let (notes, control) = (self.notes, Arc::clone(&self.control));
        let station = Station {
            shard,
            mailbox: self.mailbox,
            acceptors: self.acceptors,
            udp: self.udp,
            control: self.control,
            doorbell: self.doorbell,
            clock: self.clock,
            cpu: self.cpu,
            started: Box::new(move || {
                notes.send(Note::Started).unwrap_or_default();
                while control.phase() == Phase::Start {
                    std::thread::park();
                }
                served.set(control.phase() != Phase::Quit);
            }),
        };
        match self.driver {
            Driver::Ring => ring::run(station),
            Driver::Epoll => epoll::run(station),
            Driver::Glommio => glommio::run(station),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => error.fmt(f),
            Self::Driver(error) => error.fmt(f),
            Self::Files(error) => error.fmt(f),
            Self::Shard(shard, error) => write!(f, "shard {shard} {error}"),
            Self::System(tried, error) => write!(f, "cannot {tried}: {error}"),
            Self::Interrupted => f.write_str("interrupted by a second signal while draining"),
        }
    }
}

impl std::error::Error for ServerError {}
