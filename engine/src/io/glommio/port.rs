//! What glommio can do with a socket.

use super::runtime::{Job, Runtime, spawn_later};
use crate::io::host::{Port, Sent};
use crate::io::link::{Link, LinkKey, Receiving, Stage};
use crate::io::listener::Acceptor;
use crate::io::sockets;
use glommio::net::TcpStream;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// A socket as glommio sees it. It only polls, receives and sends, so that a
/// Unix socket is one as well.
///
/// It closes its descriptor when dropped, and that cannot be prevented; but a
/// socket may move to another shard. So it has a copy of the link's descriptor
/// until the connection is established, and the link's own from then on.
pub(super) type SharedStream = Rc<RefCell<TcpStream>>;

/// The streams of one shard.
pub(super) struct Streams {
    runtime: Weak<Runtime>,
    acceptors: Arc<[Acceptor]>,
    /// One for each acceptor, while accepting.
    accepting: Vec<Job>,
    /// By the number of their listener.
    datagram_sockets: Box<[RawFd]>,
    /// One for each of them, while datagrams are received.
    receiving: Vec<Job>,
    /// By the link's descriptor.
    streams: HashMap<RawFd, Stream>,
}

struct Stream {
    shared: SharedStream,
    reader: Option<Job>,
    writer: Option<Job>,
}

impl Streams {
    pub(super) fn new(
        runtime: Weak<Runtime>,
        acceptors: Arc<[Acceptor]>,
        datagram_sockets: Box<[RawFd]>,
    ) -> Streams {
        Streams {
            runtime,
            acceptors,
            accepting: Vec::new(),
            datagram_sockets,
            receiving: Vec::new(),
            streams: HashMap::new(),
        }
    }

    pub(super) fn datagram_socket(&self, at: usize) -> RawFd {
        self.datagram_sockets[at]
    }

    /// Leaves a connection in the backlog if there is no descriptor for its copy.
    pub(super) fn accept_one(&self, at: usize) -> io::Result<OwnedFd> {
        let acceptor = &self.acceptors[at];
        let _place = duplicate(acceptor.as_raw_fd())?;
        sockets::accept(acceptor)
    }

    /// A listener to wait for.
    pub(super) fn listener(&self, at: usize) -> io::Result<TcpStream> {
        duplicate(self.acceptors[at].as_raw_fd()).map(stream)
    }

    fn stream(&mut self, link: &mut Link) -> io::Result<&mut Stream> {
        use std::collections::hash_map::Entry;
        let stays = link.stage == Stage::Open;
        let own = if stays { link.give_socket() } else { None };
        match (self.streams.entry(link.fd()), own) {
            (Entry::Occupied(known), own) => {
                let known = known.into_mut();
                if let Some(own) = own {
                    known.shared = share(own);
                }
                Ok(known)
            }
            (Entry::Vacant(vacant), own) => {
                let socket = own.map_or_else(|| duplicate(link.fd()), Ok)?;
                Ok(vacant.insert(Stream {
                    shared: share(socket),
                    reader: None,
                    writer: None,
                }))
            }
        }
    }
}

impl Port for Streams {
    fn receive(&mut self, key: LinkKey, link: &mut Link) {
        if link.receiving == Receiving::On {
            return;
        }
        let Some(runtime) = self.runtime.upgrade() else {
            return;
        };
        link.receiving = Receiving::On;
        match self.stream(link) {
            Ok(stream) => {
                let shared = Rc::clone(&stream.shared);
                stream.reader = Some(spawn_later(runtime.read(key, shared)));
            }
            Err(error) => {
                tracing::warn!("cannot watch a connection: {error}");
                spawn_later(runtime.unreadable(key)).detach();
            }
        }
    }

    fn stop(&mut self, _key: LinkKey, link: &mut Link) {
        link.receiving = Receiving::Off;
        if let Some(stream) = self.streams.get_mut(&link.fd()) {
            stream.reader = None;
        }
    }

    fn send(&mut self, key: LinkKey, link: &mut Link) -> Sent {
        let sent = sockets::send(link);
        if !matches!(sent, Sent::Later) {
            return sent;
        }
        let (Some(runtime), Ok(stream)) = (self.runtime.upgrade(), self.stream(link)) else {
            return Sent::Failed;
        };
        let shared = Rc::clone(&stream.shared);
        stream.writer = Some(spawn_later(runtime.write(key, shared)));
        Sent::Later
    }

    fn forget(&mut self, link: &Link) {
        self.streams.remove(&link.fd());
    }

    fn accept(&mut self, on: bool) {
        if !on {
            self.accepting.clear();
        } else if self.accepting.is_empty()
            && let Some(runtime) = self.runtime.upgrade()
        {
            let tasks = (0..self.acceptors.len()).map(|at| Rc::clone(&runtime).accept(at));
            self.accepting = tasks.map(spawn_later).collect();
        }
    }

    fn receive_datagrams(&mut self, on: bool) {
        if !on {
            self.receiving.clear();
        } else if self.receiving.is_empty()
            && let Some(runtime) = self.runtime.upgrade()
        {
            let sockets = 0..self.datagram_sockets.len();
            let tasks = sockets.map(|at| Rc::clone(&runtime).receive_datagrams(at));
            self.receiving = tasks.map(spawn_later).collect();
        }
    }

    fn holds(&self, _link: &Link) -> bool {
        false
    }

    fn has_backlog(&mut self) -> bool {
        false
    }

    fn is_ready(&mut self) -> bool {
        false
    }
}

/// A second descriptor of a socket, for its owner to close.
pub(super) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes integers only.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn share(socket: OwnedFd) -> SharedStream {
    Rc::new(RefCell::new(stream(socket)))
}

fn stream(socket: OwnedFd) -> TcpStream {
    // SAFETY: the stream is its only owner.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}
