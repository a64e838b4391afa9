//! Datagrams to many: sent, and received once although each shard has a socket on the port.
//!
//! The kernel gives a datagram to one address to one of the sockets, but one by broadcast or
//! multicast to all of them. A sender would be answered by every shard, and a message at QoS −1
//! published as often; so only the first socket takes them.

use socket2::{SockFilter, Socket};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// For the socket that speaks for all of them: it may send to those addresses, and receives what
/// is sent to the groups among them.
///
/// # Errors
/// The kernel does not let a socket broadcast.
pub(super) fn speak_to(socket: &Socket, own: SocketAddr, to: &[SocketAddr]) -> io::Result<()> {
    if to.is_empty() {
        return Ok(());
    }
    socket.set_broadcast(true)?;
    // Another is bound to one address, and gets what is sent to that alone.
    let groups = to.iter().filter(|to| to.ip().is_multicast());
    for group in groups.filter(|_| own.ip().is_unspecified()) {
        if let Err(error) = join(socket, *group) {
            // The network may not be up yet; clients can still wait for ADVERTISE.
            let ip = group.ip();
            tracing::warn!("cannot join {ip}: {error}; clients that search there get no answer");
        }
    }
    Ok(())
}

/// For the other sockets of an address: they do not receive what the first one does.
///
/// # Errors
/// The kernel does not know how.
pub(super) fn leave_to_the_first(socket: &Socket, own: SocketAddr) -> io::Result<()> {
    if !own.ip().is_unspecified() {
        return Ok(());
    }
    if own.is_ipv6() {
        return socket.set_multicast_all_v6(false);
    }
    socket.set_multicast_all_v4(false)?;
    socket.attach_filter(&not_broadcast())
}

fn join(socket: &Socket, group: SocketAddr) -> io::Result<()> {
    match group {
        SocketAddr::V4(v4) => socket.join_multicast_v4(v4.ip(), &Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(v6) => socket.join_multicast_v6(v6.ip(), v6.scope_id()),
    }
}

/// A program for the kernel: drops what came by broadcast, keeps the rest.
fn not_broadcast() -> [SockFilter; 7] {
    /// Where the destination is in a header of IPv4.
    const DESTINATION: u32 = 16;
    let load = |from: libc::c_int, at: u32| {
        // Such places are counted from below zero.
        let at = u32::from_ne_bytes(from.to_ne_bytes()).wrapping_add(at);
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, at)
    };
    let skip_if = |value: u32, skip: u8| {
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, value)
    };
    let packet_type = u32::try_from(libc::SKF_AD_PKTTYPE).expect("a small constant");
    let end = |bytes: u32| instruction(libc::BPF_RET | libc::BPF_K, 0, bytes);
    [
        load(libc::SKF_AD_OFF, packet_type),
        skip_if(u32::from(libc::PACKET_BROADCAST), 4),
        // What this machine sends itself has no such type.
        load(libc::SKF_NET_OFF, DESTINATION),
        skip_if(Ipv4Addr::BROADCAST.to_bits(), 2),
        skip_if(Ipv4Addr::new(127, 255, 255, 255).to_bits(), 1),
        end(u32::MAX),
        end(0),
    ]
}

fn instruction(code: u32, skip: u8, value: u32) -> SockFilter {
    let code = u16::try_from(code).expect("a small constant");
    SockFilter::new(code, skip, 0, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Scheme;
    use crate::config::{ListenAddress, Listener};
    use crate::io::datagrams::Inlet;
    use crate::io::udp::UdpListener;
    use std::net::{IpAddr, UdpSocket};

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 18, 84);

    /// How many of the sockets get what is sent to that address.
    fn receivers(bound: &UdpListener, shards: usize, ip: Ipv4Addr) -> usize {
        let ListenAddress::Udp(own) = bound.listener().address else {
            unreachable!("it was bound to one");
        };
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        sender.set_broadcast(true).expect("a flag");
        let to = SocketAddr::new(IpAddr::V4(ip), own.port());
        sender.send_to(b"x", to).expect("loopback");
        let mut inlet = Inlet::new();
        let got = (0..shards).map(|shard| inlet.receive(bound.socket(shard)).unwrap_or(0));
        got.sum()
    }

    #[test]
    fn one_socket_gets_what_is_sent_to_all() {
        let listener = Listener {
            scheme: Scheme::MqttSn,
            address: ListenAddress::Udp(([0, 0, 0, 0], 0).into()),
        };
        let bound = UdpListener::bind(&listener, 4, &[]).expect("a free port");
        for ip in [Ipv4Addr::BROADCAST, Ipv4Addr::new(127, 255, 255, 255)] {
            assert_eq!(receivers(&bound, 4, ip), 1, "{ip}");
        }
        // By the hash of the sender one of them gets it, whichever.
        for _ in 0..32 {
            assert_eq!(receivers(&bound, 4, Ipv4Addr::LOCALHOST), 1);
        }
        // Whoever on this machine has joined a group has done so for all that do not say no.
        let other = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let joined = other.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST);
        joined.expect("a group of the loopback interface");
        assert_eq!(receivers(&bound, 4, GROUP), 1);
    }
}
