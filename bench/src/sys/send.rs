//! Several writes to one socket, or several datagrams, in one system call.

use std::io;
use std::os::fd::AsRawFd;

/// Writes handed over in one call.
const WRITES_MAX: usize = 32;

/// Sends `bytes` as separate writes of `write_bytes` each (the last one may be shorter), as if
/// `send` was called for each, and returns how many bytes the socket took.
///
/// With `more` the kernel holds the writes back until one comes without (MSG_MORE), and may put
/// several into a segment. What a write costs is the same else; what it costs to enter the kernel
/// is shared.
///
/// # Errors
/// That of the first write, if not even that was taken.
pub fn send_many(
    socket: &impl AsRawFd,
    bytes: &[u8],
    write_bytes: usize,
    more: bool,
) -> io::Result<usize> {
    // SAFETY: all-zero iovecs and message headers are valid and empty.
    let (mut parts, mut headers): ([libc::iovec; WRITES_MAX], [libc::mmsghdr; WRITES_MAX]) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let mut count = 0;
    for write in bytes.chunks(write_bytes).take(WRITES_MAX) {
        parts[count].iov_base = write.as_ptr().cast_mut().cast();
        parts[count].iov_len = write.len();
        headers[count].msg_hdr.msg_iov = &raw mut parts[count];
        headers[count].msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    let more = if more { libc::MSG_MORE } else { 0 };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | more;
    let length = u32::try_from(count).expect("at most WRITES_MAX");
    // SAFETY: `length` headers point to as many iovecs, which point into `bytes`; the kernel only
    // reads them and writes the headers' msg_len.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), length, flags) };
    let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
    Ok(headers[..sent]
        .iter()
        .map(|header| header.msg_len as usize)
        .sum())
}

/// Datagrams that the kernel cuts one send into at most (UDP_MAX_SEGMENTS of older kernels).
const SEGMENTS_MAX: usize = 64;

/// Larger datagrams may not fit into a packet of the network, and are then not cut.
const SEGMENT_BYTES_MAX: usize = 1400;

/// From now on each send of a UDP socket is cut into datagrams of so many bytes (UDP_SEGMENT);
/// returns how many of them one send may have, 1 if there is no such cut.
pub fn cut_sends(socket: &impl AsRawFd, datagram_bytes: usize) -> usize {
    let Ok(bytes @ 1..) = libc::c_int::try_from(datagram_bytes) else {
        return 1;
    };
    if datagram_bytes > SEGMENT_BYTES_MAX {
        return 1;
    }
    let length = libc::socklen_t::try_from(size_of_val(&bytes)).expect("a word");
    let value = (&raw const bytes).cast();
    let (fd, level) = (socket.as_raw_fd(), libc::SOL_UDP);
    // SAFETY: the kernel reads one integer that we own.
    let status = unsafe { libc::setsockopt(fd, level, libc::UDP_SEGMENT, value, length) };
    match status {
        0 => SEGMENTS_MAX.min(usize::from(u16::MAX - 64) / datagram_bytes),
        _ => 1,
    }
}

/// Room for datagrams that wait to be received, in bytes of the kernel's memory: as much as the
/// broker asks for.
const RECEIVE_BYTES: libc::c_int = 4 << 20;

/// Asks for room beyond the system's maximum, or else up to it. If there is less, more is lost,
/// and that is counted.
pub fn enlarge_receives(socket: &impl AsRawFd) {
    let bytes = RECEIVE_BYTES;
    let length = libc::socklen_t::try_from(size_of_val(&bytes)).expect("a word");
    let set = |option| {
        let value = (&raw const bytes).cast();
        let fd = socket.as_raw_fd();
        // SAFETY: the kernel reads one integer that we own.
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, value, length) }
    };
    if set(libc::SO_RCVBUFFORCE) != 0 {
        set(libc::SO_RCVBUF);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn every_write_arrives_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let bytes: Vec<u8> = (0..100).collect();
        assert_eq!(send_many(&ours, &bytes, 7, false).unwrap(), 100);
        let mut received = [0; 100];
        theirs.read_exact(&mut received).unwrap();
        assert_eq!(received, bytes[..]);
    }

    #[test]
    fn a_full_socket_takes_a_prefix_then_nothing() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let bytes = vec![0; 8 << 20];
        let taken = send_many(&ours, &bytes, 1 << 18, false).unwrap();
        assert!(taken > 0 && taken < bytes.len());
        let error = loop {
            match send_many(&ours, &bytes, 1 << 18, false) {
                Ok(more) => assert!(more > 0),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
