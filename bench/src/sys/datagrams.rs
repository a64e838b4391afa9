//! Datagrams received, and sent back, by the batch.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Datagrams that one system call receives at most.
const BATCH: usize = 64;

/// Bytes for each datagram; what is longer is cut off.
const DATAGRAM_BYTES: usize = 2048;

/// From one buffer to the next: the heads of all buffers are not to fall into one set of the
/// CPU's caches.
const STRIDE: usize = DATAGRAM_BYTES + 64;

/// Room for a batch, with the addresses of the senders.
pub struct Inlet {
    buffer: Box<[u8]>,
    names: Box<[libc::sockaddr_storage]>,
    parts: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Inlet {
    /// An empty one.
    pub fn new() -> Self {
        // SAFETY: C structs of integers and pointers, for which all zeros is valid.
        let (name, part, header) = unsafe { std::mem::zeroed() };
        Self {
            buffer: vec![0; STRIDE * BATCH].into_boxed_slice(),
            names: vec![name; BATCH].into_boxed_slice(),
            parts: vec![part; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
        }
    }

    /// Receives what is there (recvmmsg), and returns how many that is; waits for one unless the
    /// socket does not block.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there, or nothing came within the socket's timeout.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for at in 0..BATCH {
            let part = &mut self.parts[at];
            part.iov_base = self.buffer[at * STRIDE..].as_mut_ptr().cast();
            part.iov_len = DATAGRAM_BYTES;
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = (&raw mut self.names[at]).cast();
            header.msg_namelen = u32::try_from(size_of::<libc::sockaddr_storage>()).expect("small");
            header.msg_iov = part;
            header.msg_iovlen = 1;
        }
        let (headers, count) = (self.headers.as_mut_ptr(), batch(BATCH));
        let (fd, flags) = (socket.as_raw_fd(), libc::MSG_WAITFORONE);
        // SAFETY: `count` headers, each pointing at a name and a part of its own, and that at
        // bytes of its own; all of it is ours and stays where it is.
        let count = unsafe { libc::recvmmsg(fd, headers, count, flags, std::ptr::null_mut()) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Sends the first `count` of the last batch to where they came from (sendmmsg); returns how
    /// many the socket took.
    ///
    /// # Errors
    /// That of the first one.
    pub fn send_back(&mut self, socket: &UdpSocket, count: usize) -> io::Result<usize> {
        for at in 0..count {
            self.parts[at].iov_len = self.headers[at].msg_len as usize;
        }
        let (headers, count) = (self.headers[..count].as_mut_ptr(), batch(count));
        // SAFETY: the last receive filled so many headers; the kernel only reads what they point
        // at, which is ours.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers, count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

fn batch(count: usize) -> libc::c_uint {
    libc::c_uint::try_from(count).expect("a batch is small")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_back_to_its_senders() {
        let any = ("127.0.0.1", 0);
        let [left, right, echo] = [any, any, any].map(|any| UdpSocket::bind(any).unwrap());
        left.send_to(b"left", echo.local_addr().unwrap()).unwrap();
        right
            .send_to(b"of right", echo.local_addr().unwrap())
            .unwrap();
        let mut inlet = Inlet::new();
        assert_eq!(inlet.receive(&echo).unwrap(), 2);
        assert_eq!(inlet.send_back(&echo, 2).unwrap(), 2);
        for (socket, text) in [(left, b"left".as_slice()), (right, b"of right")] {
            let mut datagram = [0; 64];
            let length = socket.recv(&mut datagram).unwrap();
            assert_eq!(&datagram[..length], text);
        }
        echo.set_nonblocking(true).unwrap();
        let error = inlet.receive(&echo).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
