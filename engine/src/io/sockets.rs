//! Socket calls that do not wait, for drivers that learn from an event when to
//! try again.

use super::host::Sent;
use super::link::{Gather, Link};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A connection that has arrived at a non-blocking listener; `EAGAIN` if none has.
pub(super) fn accept(listener: &impl AsRawFd) -> io::Result<OwnedFd> {
    let null = std::ptr::null_mut();
    // SAFETY: no address is asked for.
    let fd = unsafe { libc::accept4(listener.as_raw_fd(), null, null.cast(), libc::SOCK_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends what `link` has, as far as its socket takes it now.
pub(super) fn send(link: &mut Link) -> Sent {
    let Some(output) = &link.output else {
        return Sent::Bytes(0);
    };
    if link.blocked {
        return Sent::Later;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let fd = link.fd();
    let sent = if let Some(bytes) = output.as_plain() {
        // SAFETY: reads bytes that we own.
        unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) }
    } else {
        let (header, _) = link.gather.get_or_insert_with(Gather::boxed).point(output);
        // SAFETY: the header points at parts of the output, both unchanged until the return.
        unsafe { libc::sendmsg(fd, header, flags) }
    };
    match usize::try_from(sent) {
        Ok(count) => Sent::Bytes(count),
        Err(_) => match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => Sent::Bytes(0),
            Some(libc::EAGAIN) => {
                link.blocked = true;
                Sent::Later
            }
            _ => Sent::Failed,
        },
    }
}
