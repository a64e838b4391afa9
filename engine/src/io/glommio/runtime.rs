//! The tasks of one executor and what they share.

use super::port::{SharedStream, Streams, duplicate};
use super::{HEARTBEAT, deadline, failed};
use crate::base::Nanos;
use crate::io::clock::{self, Clock};
use crate::io::datagrams::{BATCH, Inlet, TURN_MAX};
use crate::io::host::{Host, Port, Wait};
use crate::io::link::{LinkKey, Receiving, Stage};
use crate::io::{DriverError, Finished, Station, WakeFd};
use crate::mailbox::Wake;
use futures_io::{AsyncRead, AsyncWrite};
use glommio::io::BufferedFile;
use glommio::net::UdpSocket;
use glommio::timer::Timer;
use glommio::{Task, spawn_local};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What one receive takes at most, and so what a connection gets of a turn.
const RECEIVE_BYTES: usize = 256 << 10;
/// Connections one listener gets of a turn.
const ACCEPTS_MAX: usize = 64;

/// Shared by the tasks of one executor.
pub(super) struct Runtime {
    core: RefCell<Core>,
    /// What is being received; the shard copies what it keeps.
    buffer: RefCell<Box<[u8]>>,
    turn: TurnSignal,
    clock: Clock,
    /// When the shard wants a turn though nothing comes.
    deadline: Cell<Nanos>,
    over: Cell<bool>,
}

struct Core {
    host: Host,
    port: Streams,
    /// A turn has begun and not ended.
    in_turn: bool,
    /// The mailbox takes this shard for asleep.
    asleep: bool,
}

impl Core {
    fn begin(&mut self) {
        if self.in_turn {
            return;
        }
        self.in_turn = true;
        if self.asleep {
            self.asleep = false;
            self.host.awake();
        }
        self.host.begin(&mut self.port);
    }

    /// Ends the turn; `None` if it was the last one.
    fn finish(&mut self) -> Option<Wait> {
        self.begin();
        self.in_turn = false;
        let goes_on = self.host.finish(&mut self.port);
        goes_on.then(|| self.host.wait(&mut self.port))
    }
}

/// What a reading task does next.
enum Read {
    /// Nothing: the end, or the link is not read any more.
    Done,
    /// There may be more: read again when the others had their turn.
    More,
}

impl Runtime {
    /// The whole life of a shard on this executor.
    pub(super) async fn serve(station: Station) -> Result<Finished, DriverError> {
        let doorbell = Arc::clone(&station.doorbell);
        let rings = open(&doorbell)?;
        let runtime = Runtime::new(station).map_err(|error| failed("accept", error))?;
        let bell = spawn_local(Rc::clone(&runtime).listen(rings));
        let heart = spawn_local(Rc::clone(&runtime).beat());
        runtime.core.borrow_mut().port.accept(true);
        runtime.core.borrow_mut().port.receive_datagrams(true);
        runtime.turns().await;
        // A read that the kernel still holds ends with a ring, not with a cancellation.
        runtime.over.set(true);
        doorbell.wake();
        let heard = bell.await;
        heart.cancel().await;
        heard.map_err(|error| failed("read the doorbell", error))?;
        Ok(runtime.end())
    }

    fn new(station: Station) -> io::Result<Rc<Runtime>> {
        let clock = station.clock;
        let acceptors = Arc::clone(&station.acceptors);
        let datagram_sockets = station.datagram_sockets();
        let host = Host::new(station);
        for acceptor in acceptors.iter() {
            acceptor.set_nonblocking()?;
        }
        Ok(Rc::new_cyclic(|runtime| Runtime {
            core: RefCell::new(Core {
                host,
                port: Streams::new(runtime.clone(), acceptors, datagram_sockets),
                in_turn: false,
                asleep: false,
            }),
            buffer: RefCell::new(vec![0; RECEIVE_BYTES].into_boxed_slice()),
            turn: TurnSignal::default(),
            clock,
            deadline: Cell::new(Nanos::ZERO),
            over: Cell::new(false),
        }))
    }

    /// One turn after the other, until the shard is done.
    async fn turns(&self) {
        while !self.over.get() {
            // Whatever asked for a turn until now is part of this one.
            self.turn.forget();
            let Some(wait) = self.core.borrow_mut().finish() else {
                return;
            };
            match wait {
                Wait::Not => visit_reactor().await,
                Wait::Paced(span) => {
                    clock::pace(span);
                    visit_reactor().await;
                }
                Wait::Block(timeout) => {
                    self.core.borrow_mut().asleep = true;
                    self.deadline.set(deadline(self.clock.now(), timeout));
                    self.turn.wanted().await;
                }
            }
        }
    }

    /// Hands an event to the shard, in a turn that ends soon.
    fn input<R>(&self, event: impl FnOnce(&mut Host, &mut Streams) -> R) -> R {
        let mut core = self.core.borrow_mut();
        core.begin();
        let Core { host, port, .. } = &mut *core;
        let result = event(host, port);
        self.turn.want();
        result
    }

    /// Mail, or an order from the main thread.
    async fn listen(self: Rc<Self>, doorbell: BufferedFile) -> io::Result<()> {
        while !self.over.get() {
            // The counter of an eventfd: 8 bytes, reset by reading.
            if let Err(error) = doorbell.read_at(0, 8).await {
                self.over.set(true);
                self.turn.want();
                return Err(io::Error::other(error.to_string()));
            }
            self.turn.want();
        }
        doorbell
            .close()
            .await
            .map_err(|error| io::Error::other(error.to_string()))
    }

    async fn beat(self: Rc<Self>) {
        loop {
            Timer::new(HEARTBEAT).await;
            if self.clock.now() >= self.deadline.get() {
                self.turn.want();
            }
        }
    }

    fn end(&self) -> Finished {
        let mut core = self.core.borrow_mut();
        let Core { host, port, .. } = &mut *core;
        port.accept(false);
        port.receive_datagrams(false);
        host.close_all(port);
        host.finished()
    }
}

/// Connections: one task for each listener.
impl Runtime {
    pub(super) async fn accept(self: Rc<Self>, at: usize) {
        loop {
            let listener = self.core.borrow().port.listener(at);
            match listener {
                Ok(listener) => readable(listener).await,
                Err(error) => {
                    return self.input(|host, port| host.accept_failed(port, code(&error)));
                }
            }
            self.input(|host, port| accept_some(host, port, at));
        }
    }
}

/// Datagrams: one task for each UDP listener.
impl Runtime {
    pub(super) async fn receive_datagrams(self: Rc<Self>, at: usize) {
        let fd = self.core.borrow().port.datagram_socket(at);
        let socket = match duplicate(fd) {
            // SAFETY: the socket is the only owner of the copy.
            Ok(copy) => unsafe { UdpSocket::from_raw_fd(copy.into_raw_fd()) },
            Err(error) => return tracing::warn!("cannot watch a UDP socket: {error}"),
        };
        let mut inlet = Inlet::new();
        loop {
            // Waits for a datagram and leaves it there.
            if let Err(error) = socket.peek_from(&mut [0]).await {
                tracing::debug!("a UDP socket reported: {error}");
                Timer::new(HEARTBEAT).await;
            }
            while self.input(|host, _| receive_some(host, &mut inlet, at, fd)) {
                visit_reactor().await;
            }
            visit_reactor().await;
        }
    }
}

/// Gives the shard what came, as much as is for one turn. True if there may be more.
fn receive_some(host: &mut Host, inlet: &mut Inlet, at: usize, fd: RawFd) -> bool {
    for _ in 0..TURN_MAX / BATCH {
        let Ok(count) = inlet.receive(fd) else {
            return false;
        };
        for (from, bytes) in (0..count).filter_map(|number| inlet.get(number)) {
            host.datagram(at, from, bytes);
        }
        if count < BATCH {
            return false;
        }
    }
    true
}

/// What the links of the shard receive and send.
impl Runtime {
    pub(super) async fn read(self: Rc<Self>, key: LinkKey, stream: SharedStream) {
        while let Read::More = poll_fn(|cx| self.poll_read(cx, key, &stream)).await {
            visit_reactor().await;
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, key: LinkKey, stream: &SharedStream) -> Poll<Read> {
        let mut buffer = self.buffer.borrow_mut();
        loop {
            let mut stream = stream.borrow_mut();
            let Poll::Ready(result) = Pin::new(&mut *stream).poll_read(cx, &mut buffer) else {
                return Poll::Pending;
            };
            drop(stream);
            match result {
                Ok(0) => {}
                Ok(count) => {
                    if !self.input(|host, port| received(host, port, key, &buffer[..count])) {
                        return Poll::Ready(Read::Done);
                    }
                    if count == buffer.len() {
                        return Poll::Ready(Read::More);
                    }
                    // A short read emptied the socket: the next one waits.
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {}
            }
            self.input(|host, port| host.ended(port, key));
            return Poll::Ready(Read::Done);
        }
    }

    /// The link's peer takes nothing now: waits until it does, and sends on.
    pub(super) async fn write(self: Rc<Self>, key: LinkKey, stream: SharedStream) {
        let Some(written) = poll_fn(|cx| self.poll_write(cx, key, &stream)).await else {
            return;
        };
        self.input(|host, port| {
            if let Some(link) = host.links.get_mut(key) {
                link.blocked = false;
            }
            match written {
                Ok(count) => {
                    if host.sent(port, key, count) {
                        host.send(port, key);
                    }
                }
                Err(_) => host.send_failed(port, key),
            }
        });
    }

    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        key: LinkKey,
        stream: &SharedStream,
    ) -> Poll<Option<io::Result<usize>>> {
        let mut core = self.core.borrow_mut();
        let link = core.host.links.get_mut(key);
        let Some(output) = link.and_then(|link| link.output.as_ref()) else {
            return Poll::Ready(None);
        };
        let mut part = [IoSlice::new(&[])];
        output.fill_slices(&mut part);
        let mut stream = stream.borrow_mut();
        Pin::new(&mut *stream).poll_write(cx, &part[0]).map(Some)
    }

    /// A link that cannot be read at all.
    pub(super) async fn unreadable(self: Rc<Self>, key: LinkKey) {
        self.input(|host, port| host.ended(port, key));
    }
}

/// Gives the shard what arrived. False if this link is not to be read on for now.
fn received(host: &mut Host, port: &mut Streams, key: LinkKey, bytes: &[u8]) -> bool {
    host.received(port, key, bytes);
    let Some(link) = host.links.get_mut(key) else {
        return false;
    };
    if link.receiving != Receiving::On {
        return false;
    }
    if !link.wants_bytes() {
        link.receiving = Receiving::Off;
        return false;
    }
    // Before CONNECT one receive at a time: the socket may move to another shard.
    if link.stage == Stage::Fresh {
        link.receiving = Receiving::Off;
        host.rest_receive(key);
        return false;
    }
    true
}

fn accept_some(host: &mut Host, port: &mut Streams, at: usize) {
    for _ in 0..ACCEPTS_MAX {
        match port.accept_one(at) {
            Ok(socket) => {
                host.accepted(port, at, socket);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return host.accept_failed(port, code(&error)),
        }
    }
}

fn code(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Waits for a connection. glommio's own accept would take `O_NONBLOCK` off the
/// listener, which all shards share, and stall the one that loses the race. So
/// it is asked to read from the listener: it polls, and the read that follows
/// fails, which is of no interest.
async fn readable(mut listener: glommio::net::TcpStream) {
    let read = poll_fn(|cx| Pin::new(&mut listener).poll_read(cx, &mut [0])).await;
    debug_assert!(read.is_err(), "a listener has no bytes");
}

/// Lets the reactor look at the sockets, and the tasks that it wakes run first.
async fn visit_reactor() {
    Timer::new(Duration::ZERO).await;
    glommio::executor().yield_now().await;
}

fn open(doorbell: &WakeFd) -> Result<BufferedFile, DriverError> {
    let copy =
        duplicate(doorbell.as_raw_fd()).map_err(|error| failed("open the doorbell", error))?;
    // SAFETY: the file is the only owner of the copy.
    Ok(unsafe { BufferedFile::from_raw_fd(copy.into_raw_fd()) })
}

/// Wakes the turn's task.
#[derive(Default)]
struct TurnSignal {
    wanted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl TurnSignal {
    fn want(&self) {
        if !self.wanted.replace(true)
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    fn forget(&self) {
        self.wanted.set(false);
    }

    async fn wanted(&self) {
        poll_fn(|cx| {
            if self.wanted.replace(false) {
                return Poll::Ready(());
            }
            self.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// A task of a link or listener; dropping it ends it.
pub(super) type Job = Task<()>;

/// Spawns a task from within a turn. glommio polls a new task at once, and it
/// would find the shard in use.
pub(super) fn spawn_later(task: impl Future<Output = ()> + 'static) -> Job {
    spawn_local(async {
        glommio::executor().yield_now().await;
        task.await;
    })
}
