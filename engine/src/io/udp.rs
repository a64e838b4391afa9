//! UDP listeners: a socket for each shard, all of them bound to one address.
//!
//! The kernel chooses the socket by a hash of both ends' addresses, so a client's datagrams come to
//! one shard. A second process could join in with `SO_REUSEPORT` as well, and take a part of the
//! clients without either noticing; therefore the first socket is bound without it.

use super::broadcast;
use super::listener::ListenError;
use crate::config::{ListenAddress, Listener};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

/// Room in each socket for what comes while its shard is busy, in bytes of the kernel's memory:
/// some 5,000 small datagrams.
const BUFFER_BYTES: usize = 4 << 20;

/// The sockets of one address.
#[derive(Debug)]
pub struct UdpListener {
    sockets: Vec<Socket>,
    listener: Listener,
}

impl UdpListener {
    /// Binds a socket for each shard; with port 0 all get the same port. The first may send to
    /// `advertise`, though they be addresses of many.
    ///
    /// # Errors
    /// The address is taken, not of this machine, or not permitted.
    ///
    /// # Panics
    /// The address is none of UDP.
    pub fn bind(
        listener: &Listener,
        shards: u16,
        advertise: &[SocketAddr],
    ) -> Result<Self, ListenError> {
        let ListenAddress::Udp(address) = listener.address else {
            panic!("{listener} does not take datagrams");
        };
        let (sockets, actual) = bind_all(address, shards, advertise)
            .map_err(|error| ListenError::new(listener, error))?;
        Ok(Self {
            sockets,
            listener: Listener {
                scheme: listener.scheme,
                address: ListenAddress::Udp(actual),
            },
        })
    }

    /// Where it listens: with the port the kernel chose if port 0 was asked for.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The socket of a shard.
    pub(super) fn socket(&self, shard: usize) -> RawFd {
        self.sockets[shard].as_raw_fd()
    }
}

fn bind_all(
    address: SocketAddr,
    shards: u16,
    advertise: &[SocketAddr],
) -> io::Result<(Vec<Socket>, SocketAddr)> {
    let first = open(address)?;
    first.bind(&address.into())?;
    // From here on it shares the address with those that follow.
    first.set_reuse_port(true)?;
    broadcast::speak_to(&first, address, advertise)?;
    let actual = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..shards {
        let socket = open(address)?;
        socket.set_reuse_port(true)?;
        broadcast::leave_to_the_first(&socket, actual)?;
        socket.bind(&SockAddr::from(actual))?;
        sockets.push(socket);
    }
    Ok((sockets, actual))
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners: asking for both must work.
        socket.set_only_v6(true)?;
    }
    // It stays a blocking one: io_uring would not wait on another, and all calls say MSG_DONTWAIT.
    enlarge(&socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF);
    enlarge(&socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF);
    Ok(socket)
}

/// Asks for room beyond the system's maximum, which takes a privilege, or else up to it.
fn enlarge(socket: &Socket, beyond: libc::c_int, within: libc::c_int) {
    let bytes = libc::c_int::try_from(BUFFER_BYTES).expect("a small constant");
    let length = libc::socklen_t::try_from(size_of_val(&bytes)).expect("a word");
    let set = |option| {
        let value = (&raw const bytes).cast();
        // SAFETY: the kernel reads one integer that we own.
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, length) }
    };
    if set(beyond) != 0 && set(within) != 0 {
        tracing::debug!("a UDP socket keeps its usual buffer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Scheme;

    fn loopback() -> Listener {
        Listener {
            scheme: Scheme::MqttSn,
            address: ListenAddress::Udp(([127, 0, 0, 1], 0).into()),
        }
    }

    #[test]
    fn all_shards_have_one_port_and_nobody_else_gets_it() {
        let bound = UdpListener::bind(&loopback(), 4, &[]).expect("a free port");
        let address = |socket: &Socket| socket.local_addr().expect("bound").as_socket();
        let first = address(&bound.sockets[0]);
        assert!(bound.sockets.iter().all(|socket| address(socket) == first));
        let error = UdpListener::bind(bound.listener(), 4, &[]).expect_err("taken");
        assert!(error.to_string().contains("address in use"), "{error}");
    }

    #[test]
    fn every_shard_gets_its_share_and_a_sender_always_the_same() {
        let bound = UdpListener::bind(&loopback(), 2, &[]).expect("a free port");
        let to = bound.sockets[0].local_addr().expect("bound");
        let to = to.as_socket().expect("an address of the Internet");
        let mut counts = [0, 0];
        for _ in 0..64 {
            let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
            for _ in 0..2 {
                sender.send_to(b"x", to).expect("loopback");
            }
            let mut inlet = crate::io::datagrams::Inlet::new();
            let got = [0, 1].map(|shard| inlet.receive(bound.socket(shard)).unwrap_or(0));
            assert!(got == [2, 0] || got == [0, 2], "{got:?}");
            counts[0] += got[0];
            counts[1] += got[1];
        }
        assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
    }
}
