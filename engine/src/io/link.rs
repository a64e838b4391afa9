//! What a driver keeps for one socket, and the table of them.

use crate::base::{ConnId, Slab, Socket};
use crate::shard::Output;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Names a [`Link`]; a stale one finds nothing.
///
/// It differs from [`ConnId`], which is the shard's: a link outlives its
/// connection while the last bytes leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkKey(ConnId);

impl LinkKey {
    /// The key in one word that leaves the four highest bits free.
    #[inline]
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.0.index) << 32 | u64::from(self.0.generation)
    }

    /// The reverse of [`LinkKey::pack`]; the four highest bits do not count.
    #[inline]
    pub(crate) fn unpack(word: u64) -> Self {
        let key = ConnId::from_u64(word.rotate_left(32));
        Self(ConnId {
            index: key.index & INDEX_MASK,
            generation: key.generation,
        })
    }
}

/// Links of one shard fit in 28 bits.
const INDEX_MASK: u32 = (1 << 28) - 1;

/// What a link's socket is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No CONNECT yet: receives one at a time, since the socket may move to another shard.
    Fresh,
    /// The connection lives here.
    Open,
    /// The shard has let go of the connection this turn; its effects say what becomes of the socket.
    Parting,
    /// The shard closed it; the last bytes are on their way.
    Flushing,
    /// Everything is sent and the sending side shut; input is discarded.
    Lingering,
    /// Over, but the kernel may still hold a buffer of ours.
    Dead,
}

/// A receive that the kernel has been asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// None.
    Off,
    /// It will report.
    On,
    /// It was told to stop and has not confirmed.
    Stopping,
}

/// A send that the kernel has been asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// None.
    Not,
    /// It will be reported.
    On,
    /// So many bytes that leave at once, and are reported only if they do not.
    AtOnce(usize),
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    fd: RawFd,
    /// None once it has another owner, see [`Link::give_socket`].
    socket: Option<OwnedFd>,
    pub(crate) stage: Stage,
    pub(crate) receiving: Receiving,
    /// A send is under way.
    pub(crate) sending: Sending,
    /// The socket's buffer was full: the next send waits for room.
    pub(crate) blocked: bool,
    /// The kernel knows the socket by this link (epoll's interest list).
    pub(crate) registered: bool,
    /// The shard took less than was offered; `rest` waits for it to resume.
    pub(crate) paused: bool,
    /// The peer's last byte has been received.
    pub(crate) ended: bool,
    /// Received, not yet taken by the shard.
    pub(crate) rest: Vec<u8>,
    /// What is being sent.
    pub(crate) output: Option<Output>,
    /// What is to be sent after that, before the close.
    pub(crate) last: Option<Box<Output>>,
    /// Addresses of the parts of `output`, for a driver that hands them to the kernel.
    pub(crate) gather: Option<Box<Gather>>,
}

impl Link {
    pub(crate) fn new(conn: ConnId, socket: OwnedFd, stage: Stage) -> Self {
        Self {
            conn,
            fd: socket.as_raw_fd(),
            socket: Some(socket),
            stage,
            receiving: Receiving::Off,
            sending: Sending::Not,
            blocked: false,
            registered: false,
            paused: false,
            ended: false,
            rest: Vec::new(),
            output: None,
            last: None,
            gather: None,
        }
    }

    #[inline]
    pub(crate) fn fd(&self) -> RawFd {
        self.fd
    }

    /// Hands the socket to an owner that closes it after the link is gone; once.
    pub(crate) fn give_socket(&mut self) -> Option<OwnedFd> {
        self.socket.take()
    }

    /// Whether the shard still knows the connection.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Fresh | Stage::Open)
    }

    /// Whether bytes that arrive are of use, if only to be discarded.
    #[inline]
    pub(crate) fn wants_bytes(&self) -> bool {
        !self.paused && !self.ended && !matches!(self.stage, Stage::Parting | Stage::Dead)
    }

    /// Whether it is sent something while its socket may yet move: it is not received from before
    /// that has left, or the kernel would hold the socket here when it belongs to another shard.
    #[inline]
    pub(crate) fn is_answering(&self) -> bool {
        self.stage == Stage::Fresh && self.output.is_some()
    }

    /// Ends what the kernel still does with the socket: pending receives report
    /// the end, pending sends fail. Bytes already received can still be read.
    pub(crate) fn shut(&self, how: libc::c_int) -> io::Result<()> {
        // SAFETY: takes integers only.
        match unsafe { libc::shutdown(self.fd(), how) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The most parts one SENDMSG takes; a longer output leaves in several.
pub(crate) const PARTS_MAX: usize = 64;

/// A `msghdr` and its parts at an address that stays the same.
pub(crate) struct Gather {
    header: libc::msghdr,
    parts: [libc::iovec; PARTS_MAX],
}

impl std::fmt::Debug for Gather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}

impl Gather {
    pub(crate) fn boxed() -> Box<Self> {
        // SAFETY: both are C structs of integers and pointers for which all zeros is valid.
        unsafe { Box::new(std::mem::zeroed()) }
    }

    /// Points at the unsent parts of `output`, and counts their bytes. The header
    /// is good as long as neither `self` nor `output` changes.
    pub(crate) fn point(&mut self, output: &Output) -> (*const libc::msghdr, usize) {
        let mut slices = [io::IoSlice::new(&[]); PARTS_MAX];
        let count = output.fill_slices(&mut slices);
        for (part, slice) in self.parts.iter_mut().zip(&slices[..count]) {
            part.iov_base = slice.as_ptr().cast_mut().cast();
            part.iov_len = slice.len();
        }
        self.header.msg_iov = self.parts.as_mut_ptr();
        self.header.msg_iovlen = count;
        let bytes = slices[..count].iter().map(|slice| slice.len()).sum();
        (&raw const self.header, bytes)
    }
}

/// The links of one shard, by key and by connection.
#[derive(Debug, Default)]
pub(crate) struct Links {
    slab: Slab<Link>,
    /// Connection slot → link, for connections the shard knows.
    by_conn: Vec<Option<LinkKey>>,
    /// Links whose slot the shard has given to another connection before its
    /// effects said what becomes of them. Empty between turns.
    displaced: Vec<LinkKey>,
}

impl Links {
    pub(crate) fn insert(&mut self, link: Link) -> LinkKey {
        let conn = link.conn;
        let key = LinkKey(self.slab.insert_with(|_| link));
        assert!(
            key.0.index <= INDEX_MASK,
            "fewer than 2^28 sockets fit in a process"
        );
        let slot = conn.index as usize;
        if self.by_conn.len() <= slot {
            self.by_conn.resize(slot + 1, None);
        }
        self.displaced.extend(self.by_conn[slot].replace(key));
        key
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: LinkKey) -> Option<&mut Link> {
        self.slab.get_mut(key.0)
    }

    /// The link of a connection that the shard has not closed.
    #[inline]
    pub(crate) fn find(&mut self, conn: ConnId) -> Option<(LinkKey, &mut Link)> {
        let slot = *self.by_conn.get(conn.index as usize)?;
        let is_its = |key: &LinkKey| self.slab.get(key.0).is_some_and(|link| link.conn == conn);
        let key = slot
            .filter(is_its)
            .or_else(|| self.displaced.iter().copied().find(is_its))?;
        Some((key, self.slab.get_mut(key.0)?))
    }

    /// The shard no longer knows the connection; the link stays.
    pub(crate) fn detach(&mut self, conn: ConnId) {
        let Some((key, _)) = self.find(conn) else {
            return;
        };
        let slot = &mut self.by_conn[conn.index as usize];
        if *slot == Some(key) {
            *slot = None;
        } else {
            self.displaced.retain(|&other| other != key);
        }
    }

    pub(crate) fn remove(&mut self, key: LinkKey) -> Option<Link> {
        let conn = self.slab.get(key.0)?.conn;
        self.detach(conn);
        self.slab.remove(key.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn keys(&self) -> Vec<LinkKey> {
        self.slab.keys().map(LinkKey).collect()
    }
}

/// Takes a socket back out of the number it travelled as.
///
/// # Safety
/// The caller is its only owner: an accept just made it, or the shard that
/// released it has forgotten it.
pub(crate) unsafe fn own(socket: Socket) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the caller is the only owner.
    unsafe { OwnedFd::from_raw_fd(socket) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, generation: u32) -> Link {
        let file = std::fs::File::open("/dev/null").expect("/dev/null");
        Link::new(ConnId { index, generation }, file.into(), Stage::Fresh)
    }

    #[test]
    fn a_key_survives_its_word_and_four_bits_on_top() {
        let key = LinkKey(ConnId {
            index: INDEX_MASK,
            generation: 0xdead_beef,
        });
        assert_eq!(LinkKey::unpack(key.pack()), key);
        assert_eq!(LinkKey::unpack(key.pack() | 0xf << 60), key);
    }

    #[test]
    fn a_reused_connection_slot_does_not_find_the_old_link() {
        let mut links = Links::default();
        let old = links.insert(link(3, 0));
        links.detach(ConnId {
            index: 3,
            generation: 0,
        });
        let new = links.insert(link(3, 1));
        assert!(
            links
                .find(ConnId {
                    index: 3,
                    generation: 0
                })
                .is_none()
        );
        // The old link lingers on, and its end leaves the new one alone.
        assert!(links.get_mut(old).is_some());
        links.remove(old);
        let found = links.find(ConnId {
            index: 3,
            generation: 1,
        });
        assert_eq!(found.map(|(key, _)| key), Some(new));
        assert_eq!(links.len(), 1);
    }

    /// A turn may end a connection, accept another in its slot, and only then
    /// carry out the end of the first.
    #[test]
    fn a_link_is_found_until_its_connection_is_detached() {
        let mut links = Links::default();
        let conn = |generation| ConnId {
            index: 3,
            generation,
        };
        let keys = [0, 1, 2].map(|generation| links.insert(link(3, generation)));
        for (generation, key) in (0..).zip(keys) {
            let found = links.find(conn(generation)).map(|(found, _)| found);
            assert_eq!(found, Some(key));
        }
        links.detach(conn(1));
        links.remove(keys[2]);
        assert!(links.find(conn(1)).is_none() && links.find(conn(2)).is_none());
        assert_eq!(links.find(conn(0)).map(|(found, _)| found), Some(keys[0]));
        links.detach(conn(0));
        assert!(links.find(conn(0)).is_none());
        assert!(links.displaced.is_empty());
    }

    #[test]
    fn an_idle_link_is_small() {
        assert!(size_of::<Link>() <= 160, "{}", size_of::<Link>());
    }
}
