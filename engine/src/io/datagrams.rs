//! Datagrams by the batch: one system call for many, received and sent.
//!
//! No segmentation offload (`UDP_GRO`, `UDP_SEGMENT`): it joins datagrams of one size to or from
//! one address, and here each sensor has an address of its own.

use crate::shard::Datagrams;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::RawFd;

/// Datagrams that one system call receives or sends at most.
pub(super) const BATCH: usize = 64;

/// Datagrams that one socket gets of a turn.
pub(super) const TURN_MAX: usize = 512;

/// The largest that UDP has is 65,507 bytes: no datagram is ever cut off.
pub(super) const DATAGRAM_BYTES_MAX: usize = 65_536;

/// From one buffer to the next. The lines beyond 64 KiB keep the heads of all buffers from
/// falling into the same set of the CPU's caches.
const STRIDE: usize = DATAGRAM_BYTES_MAX + 17 * 64;

/// Bytes of the largest socket address in use.
pub(super) const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();

/// A socket address as the kernel reads and writes it.
type Name = [u8; NAME_BYTES];

/// Receives datagrams, a batch at a time.
pub(super) struct Inlet {
    /// What pages of it no datagram has reached take no memory.
    buffer: Box<[u8]>,
    names: Box<[Name]>,
    parts: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Inlet {
    pub(super) fn new() -> Self {
        // SAFETY: C structs of integers and pointers, for which all zeros is valid.
        let (part, header) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Self {
            buffer: vec![0; STRIDE * BATCH].into_boxed_slice(),
            names: vec![[0; NAME_BYTES]; BATCH].into_boxed_slice(),
            parts: vec![part; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
        }
    }

    /// Receives what is there, [`BATCH`] at most; returns how many it was. Fewer than that means
    /// that the socket was emptied.
    ///
    /// # Errors
    /// `EAGAIN` if nothing is there, and what the kernel says otherwise.
    pub(super) fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        for at in 0..BATCH {
            let part = &mut self.parts[at];
            part.iov_base = self.buffer[at * STRIDE..].as_mut_ptr().cast();
            part.iov_len = DATAGRAM_BYTES_MAX;
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = self.names[at].as_mut_ptr().cast();
            header.msg_namelen = name_len(NAME_BYTES);
            header.msg_iov = part;
            header.msg_iovlen = 1;
        }
        let headers = self.headers.as_mut_ptr();
        let (count, flags) = (u32::try_from(BATCH).expect("small"), libc::MSG_DONTWAIT);
        // SAFETY: `BATCH` headers, each pointing at a name and a part of its own, and that at
        // bytes of its own; all of it is ours and stays where it is.
        let count = unsafe { libc::recvmmsg(fd, headers, count, flags, std::ptr::null_mut()) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// One of the datagrams that the last receive brought: who sent it, and what.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<(SocketAddr, &[u8])> {
        let from = address_of(&self.names[at])?;
        let start = at * STRIDE;
        let length = self.headers[at].msg_len as usize;
        Some((from, &self.buffer[start..][..length]))
    }
}

/// Datagrams that the kernel did not take.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    pub(super) count: usize,
    /// The last of those that it would not have taken at another moment either, and why.
    pub(super) refusal: Option<(SocketAddr, io::Error)>,
}

/// Sends datagrams, a batch at a time.
pub(super) struct Outlet {
    names: Box<[Name]>,
    parts: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Outlet {
    pub(super) fn new() -> Self {
        // SAFETY: C structs of integers and pointers, for which all zeros is valid.
        let (part, header) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Self {
            names: vec![[0; NAME_BYTES]; BATCH].into_boxed_slice(),
            parts: vec![part; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
        }
    }

    /// Sends all of them, each by the socket of its listener. What the kernel does not take is
    /// lost: UDP may lose, so nothing waits for room.
    pub(super) fn send(&mut self, sockets: &[RawFd], datagrams: &Datagrams) -> Unsent {
        let (mut at, mut dropped, mut refusal) = (0, 0, None);
        while at < datagrams.len() {
            let listener = datagrams.listener(at);
            let count = self.fill(datagrams, at);
            let Some(&fd) = sockets.get(usize::from(listener)) else {
                dropped += count;
                at += count;
                continue;
            };
            match self.send_filled(fd, count) {
                Ok(sent) => at += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // This one cannot be sent, or there is no room for it.
                Err(error) => {
                    if !is_lack_of_room(&error) {
                        refusal = Some((datagrams.get(at).0, error));
                    }
                    dropped += 1;
                    at += 1;
                }
            }
        }
        let count = dropped;
        Unsent { count, refusal }
    }

    /// Points the headers at a batch that leaves by one socket; returns how many it is.
    fn fill(&mut self, datagrams: &Datagrams, start: usize) -> usize {
        let listener = datagrams.listener(start);
        let mut count = 0;
        while count < BATCH
            && start + count < datagrams.len()
            && datagrams.listener(start + count) == listener
        {
            let (to, bytes) = datagrams.get(start + count);
            let part = &mut self.parts[count];
            part.iov_base = bytes.as_ptr().cast_mut().cast();
            part.iov_len = bytes.len();
            let name_bytes = put_address(to, &mut self.names[count]);
            let header = &mut self.headers[count].msg_hdr;
            header.msg_name = self.names[count].as_mut_ptr().cast();
            header.msg_namelen = name_len(name_bytes);
            header.msg_iov = part;
            header.msg_iovlen = 1;
            count += 1;
        }
        count
    }

    fn send_filled(&mut self, fd: RawFd, count: usize) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let count = u32::try_from(count).expect("a batch is small");
        // SAFETY: so many headers were filled, each with a name and a part of its own; the bytes
        // are the caller's, who lends them until the return, and are only read.
        let sent = unsafe { libc::sendmmsg(fd, self.headers.as_mut_ptr(), count, flags) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

fn is_lack_of_room(error: &io::Error) -> bool {
    let is_full = |code| code == libc::EAGAIN || code == libc::ENOBUFS;
    error.raw_os_error().is_some_and(is_full)
}

/// Datagrams that the kernel dropped so far because the socket's buffer was full.
pub(super) fn lost(fd: RawFd) -> u32 {
    const DROPS: usize = 8;
    let mut info = [0_u32; DROPS + 1];
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).expect("a few words");
    // SAFETY: the kernel writes at most `length` bytes into words that we own.
    let status = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status == 0 { info[DROPS] } else { 0 }
}

fn name_len(bytes: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes).expect("a socket address is small")
}

/// The address in a `sockaddr_in` or `sockaddr_in6`.
#[inline]
pub(super) fn address_of(name: &[u8]) -> Option<SocketAddr> {
    let (&family, rest) = name.split_first_chunk()?;
    let (&port, rest) = rest.split_first_chunk()?;
    let (&four, rest) = rest.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes(port);
    match libc::c_int::from(u16::from_ne_bytes(family)) {
        libc::AF_INET => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(four)), port)),
        libc::AF_INET6 => {
            let (&ip, rest) = rest.split_first_chunk::<16>()?;
            let (&scope, _) = rest.split_first_chunk()?;
            let (ip, scope) = (Ipv6Addr::from(ip), u32::from_ne_bytes(scope));
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

/// The reverse of [`address_of`]; returns how many bytes the kernel is to read.
#[inline]
fn put_address(address: SocketAddr, name: &mut Name) -> usize {
    *name = [0; NAME_BYTES];
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let family = u16::try_from(family).expect("a small constant");
    name[..2].copy_from_slice(&family.to_ne_bytes());
    name[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            name[4..8].copy_from_slice(&v4.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            name[8..24].copy_from_slice(&v6.ip().octets());
            name[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            NAME_BYTES
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    #[test]
    fn an_address_survives_its_name() {
        for text in ["127.0.0.1:1884", "[2001:db8::7]:65535", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            let mut name = [0xff; NAME_BYTES];
            let length = put_address(address, &mut name);
            assert_eq!(address_of(&name), Some(address));
            assert!(length == 16 || length == 28);
        }
        assert_eq!(address_of(&[0; NAME_BYTES]), None);
        assert_eq!(address_of(&[2, 0]), None);
    }

    #[test]
    fn batches_leave_and_arrive_whole() {
        let any = ("127.0.0.1", 0);
        let sockets = [any, any].map(|any| UdpSocket::bind(any).expect("a free port"));
        let receiver = UdpSocket::bind(any).expect("a free port");
        let to = receiver.local_addr().expect("bound");
        let count = 2 * BATCH + 3;
        let mut datagrams = Datagrams::default();
        for number in 0..count {
            let text = vec![b'x'; number];
            datagrams.push(u16::from(number % 100 == 99), to, &text);
        }
        let descriptors = [sockets[0].as_raw_fd(), sockets[1].as_raw_fd()];
        let mut outlet = Outlet::new();
        assert_eq!(outlet.send(&descriptors, &datagrams).count, 0);
        let mut inlet = Inlet::new();
        let mut lengths = Vec::new();
        while let Ok(received) = inlet.receive(receiver.as_raw_fd()) {
            for at in 0..received {
                let (from, bytes) = inlet.get(at).expect("an address of the Internet");
                let sender = usize::from(bytes.len() % 100 == 99);
                assert_eq!(Some(from), sockets[sender].local_addr().ok());
                lengths.push(bytes.len());
            }
        }
        lengths.sort_unstable();
        assert_eq!(lengths, (0..count).collect::<Vec<_>>());
        assert_eq!(lost(receiver.as_raw_fd()), 0);
    }

    #[test]
    fn one_that_cannot_be_sent_does_not_stop_the_others() {
        let receiver = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
        let to = receiver.local_addr().expect("bound");
        let mut datagrams = Datagrams::default();
        datagrams.push(0, to, b"one");
        datagrams.push(
            0,
            "[::1]:9".parse().expect("an address"),
            b"of another family",
        );
        datagrams.push(7, to, b"by no socket");
        datagrams.push(0, to, b"two");
        let descriptors = [receiver.as_raw_fd()];
        let unsent = Outlet::new().send(&descriptors, &datagrams);
        assert_eq!(unsent.count, 2);
        let (refused, error) = unsent.refusal.expect("one had no socket, one another kind");
        assert!(refused.is_ipv6(), "{refused}: {error}");
        let mut inlet = Inlet::new();
        assert_eq!(inlet.receive(receiver.as_raw_fd()).ok(), Some(2));
        let texts = [0, 1].map(|at| inlet.get(at).expect("an address").1);
        assert_eq!(texts, [b"one", b"two"]);
    }
}
