//! What io_uring can do with a socket: submissions, and the words that name their completions.

use super::buffers::{DATAGRAM_GROUP, GROUP};
use crate::base::Nanos;
use crate::io::WakeFd;
use crate::io::clock;
use crate::io::datagrams::NAME_BYTES;
use crate::io::host::{Port, Sent};
use crate::io::link::{Gather, Link, LinkKey, Receiving, Sending, Stage};
use crate::io::listener::Acceptor;
use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

/// Submissions between two system calls at most; more are submitted early.
const SUBMISSIONS: u32 = 4096;
/// Completions the kernel queues; beyond that it keeps them in a list, which is slower.
const COMPLETIONS: u32 = 16384;

/// The operations that the driver uses.
pub(super) const OPERATIONS: [u8; 7] = [
    opcode::AcceptMulti::CODE,
    opcode::RecvMulti::CODE,
    opcode::Send::CODE,
    opcode::SendMsg::CODE,
    opcode::RecvMsgMulti::CODE,
    opcode::PollAdd::CODE,
    opcode::AsyncCancel2::CODE,
];

const GETEVENTS: u32 = 1;
const EXT_ARG: u32 = 8;

/// A ring as the driver needs it. Must be called on the thread that uses it.
pub(super) fn make_ring(entries: u32) -> io::Result<IoUring> {
    IoUring::builder()
        .dontfork()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(COMPLETIONS.min(entries * 4))
        .build(entries)
}

/// What a completion is about: four bits of kind above 60 bits of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Receive(LinkKey),
    Send(LinkKey),
    Accept(usize),
    Doorbell,
    Cancel,
    /// A datagram at the UDP listener of that number.
    Datagram(usize),
}

const KIND_SHIFT: u32 = 60;

impl Event {
    fn word(self) -> u64 {
        match self {
            Self::Receive(key) => key.pack(),
            Self::Send(key) => key.pack() | 1 << KIND_SHIFT,
            Self::Accept(at) => at as u64 | 2 << KIND_SHIFT,
            Self::Doorbell => 3 << KIND_SHIFT,
            Self::Cancel => 4 << KIND_SHIFT,
            Self::Datagram(at) => at as u64 | 5 << KIND_SHIFT,
        }
    }

    #[inline]
    pub(super) fn of(word: u64) -> Self {
        match word >> KIND_SHIFT {
            0 => Self::Receive(LinkKey::unpack(word)),
            1 => Self::Send(LinkKey::unpack(word)),
            2 => Self::Accept(usize::try_from(word & 0xffff).expect("16 bits")),
            3 => Self::Doorbell,
            5 => Self::Datagram(usize::try_from(word & 0xffff).expect("16 bits")),
            _ => Self::Cancel,
        }
    }
}

pub(super) struct RingPort {
    ring: IoUring,
    /// Completions taken out early, because the kernel would not take more submissions.
    early: Vec<cqueue::Entry>,
    /// Sends that leave with the next submit.
    at_once: Vec<LinkKey>,
    /// Sends that left with the last, unless a completion says that they did not.
    left: Vec<LinkKey>,
    doorbell: Fd,
    acceptors: Arc<[Acceptor]>,
    /// Which of them an accept is under way for.
    accepting: Vec<bool>,
    /// Whether new connections are wanted.
    accept: bool,
    /// By the number of their listener.
    datagram_sockets: Box<[RawFd]>,
    /// Which of them a receive is under way for.
    datagram_receives: Box<[bool]>,
    /// Whether datagrams are wanted.
    takes_datagrams: bool,
    /// How they are received; the kernel may look at it as long as it receives.
    datagram_header: Box<libc::msghdr>,
}

impl RingPort {
    pub(super) fn new(
        acceptors: Arc<[Acceptor]>,
        datagram_sockets: Box<[RawFd]>,
        doorbell: &WakeFd,
    ) -> io::Result<Self> {
        let ring = make_ring(SUBMISSIONS)?;
        Ok(Self {
            ring,
            early: Vec::new(),
            at_once: Vec::new(),
            left: Vec::new(),
            doorbell: Fd(doorbell.as_raw_fd()),
            accepting: vec![false; acceptors.len()],
            acceptors,
            accept: false,
            datagram_receives: vec![false; datagram_sockets.len()].into(),
            datagram_sockets,
            takes_datagrams: false,
            datagram_header: Box::new(header_with_name()),
        })
    }

    pub(super) fn ring(&self) -> &IoUring {
        &self.ring
    }

    pub(super) fn take_completions(&mut self, events: &mut Vec<cqueue::Entry>) {
        events.append(&mut self.early);
        events.extend(self.ring.completion());
    }

    /// Reports every ring of the doorbell, without ever reading it.
    pub(super) fn watch_doorbell(&mut self) {
        let readable = u32::try_from(libc::POLLIN).expect("a positive constant");
        let entry = opcode::PollAdd::new(self.doorbell, readable)
            .multi(true)
            .build();
        self.push(&entry, Event::Doorbell);
    }

    pub(super) fn accept_ended(&mut self, at: usize) {
        self.accepting[at] = false;
    }

    /// Multishot accepts end when the completion queue overflows.
    pub(super) fn accept_again(&mut self) {
        if self.accept && self.accepting.contains(&false) {
            Port::accept(self, true);
        }
    }

    /// How datagrams are laid out in their buffers.
    pub(super) fn datagram_header(&self) -> &libc::msghdr {
        &self.datagram_header
    }

    /// The receive of a listener's datagrams is over.
    pub(super) fn datagrams_ended(&mut self, at: usize) {
        self.datagram_receives[at] = false;
    }

    /// Receives again where a receive is over.
    pub(super) fn receive_datagrams_again(&mut self) {
        if self.takes_datagrams && self.datagram_receives.contains(&false) {
            self.receive_datagrams(true);
        }
    }

    /// Whether the kernel may yet write to a buffer for datagrams.
    pub(super) fn is_receiving_datagrams(&self) -> bool {
        self.datagram_receives.contains(&true)
    }

    /// Submits; completions that need this thread wait for a poll.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        let count = self.ring.submission().len();
        if count == 0 {
            return Ok(());
        }
        self.enter(0, 0, None)
    }

    /// Submits and reaps what is there.
    pub(super) fn submit_and_poll(&mut self) -> io::Result<()> {
        self.enter(0, GETEVENTS, None)
    }

    /// Submits and waits for an event.
    pub(super) fn submit_and_wait(&mut self, timeout: Option<Nanos>) -> io::Result<()> {
        self.enter(1, GETEVENTS, timeout)
    }

    /// The sends that have left. None before every completion is taken: one of
    /// those may say that a send did not leave.
    pub(super) fn take_left(&mut self, sends: &mut Vec<LinkKey>) {
        if !self.has_completions() {
            sends.append(&mut self.left);
        }
    }

    /// Whether sends wait for the next submit.
    pub(super) fn is_sending(&self) -> bool {
        !self.at_once.is_empty()
    }

    pub(super) fn has_completions(&mut self) -> bool {
        !self.early.is_empty() || !self.ring.completion().is_empty()
    }

    fn enter(&mut self, want: u32, flags: u32, timeout: Option<Nanos>) -> io::Result<()> {
        let count = u32::try_from(self.ring.submission().len()).unwrap_or(u32::MAX);
        let submitter = self.ring.submitter();
        let entered = if let Some(timeout) = timeout {
            let spec = clock::timespec(timeout);
            let spec = Timespec::new()
                .sec(spec.tv_sec.unsigned_abs())
                .nsec(u32::try_from(spec.tv_nsec).unwrap_or(0));
            let args = SubmitArgs::new().timespec(&spec);
            // SAFETY: EXT_ARG announces exactly this argument.
            unsafe { submitter.enter(count, want, flags | EXT_ARG, Some(&args)) }
        } else {
            // SAFETY: no argument is passed.
            unsafe { submitter.enter::<libc::sigset_t>(count, want, flags, None) }
        };
        // What the kernel did not take for want of memory stays in the queue.
        if self.ring.submission().is_empty() {
            self.left.append(&mut self.at_once);
        }
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // Time is up, a signal, or the kernel wants completions taken first.
                Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn push(&mut self, entry: &squeue::Entry, event: Event) {
        let entry = entry.clone().user_data(event.word());
        // SAFETY: what an entry points to (a link's output and its gather, the header
        // of datagrams) stays untouched until its completion; a link is not freed before.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            let submitted = self.submit_and_poll();
            submitted.expect("the kernel takes submissions from a valid ring");
            let Self { ring, early, .. } = self;
            early.extend(ring.completion());
        }
    }

    fn cancel(&mut self, event: Event) {
        let target = CancelBuilder::user_data(event.word());
        let entry = opcode::AsyncCancel2::new(target).build();
        self.push(&entry.flags(squeue::Flags::SKIP_SUCCESS), Event::Cancel);
    }
}

impl Port for RingPort {
    fn receive(&mut self, key: LinkKey, link: &mut Link) {
        if link.receiving != Receiving::Off {
            return;
        }
        link.receiving = Receiving::On;
        let fd = Fd(link.fd());
        let entry = if link.stage == Stage::Fresh {
            opcode::Recv::new(fd, std::ptr::null_mut(), 0)
                .buf_group(GROUP)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT)
        } else {
            opcode::RecvMulti::new(fd, GROUP).build()
        };
        self.push(&entry, Event::Receive(key));
    }

    fn stop(&mut self, key: LinkKey, link: &mut Link) {
        if link.receiving == Receiving::On {
            link.receiving = Receiving::Stopping;
            self.cancel(Event::Receive(key));
        }
    }

    fn send(&mut self, key: LinkKey, link: &mut Link) -> Sent {
        let Some(output) = &link.output else {
            return Sent::Bytes(0);
        };
        // At first only what leaves at once. MSG_WAITALL makes less than all of it
        // a failure, and failures alone are reported: a wait for one event must
        // not end for sends that went well, nor sleep over one that did not.
        // What is left waits for room.
        let mut flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        if !link.blocked {
            flags |= libc::MSG_DONTWAIT;
        }
        let fd = Fd(link.fd());
        let (entry, bytes) = if let Some(bytes) = output.as_plain() {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let entry = opcode::Send::new(fd, bytes.as_ptr(), length).flags(flags);
            (entry.build(), length as usize)
        } else {
            let gather = link.gather.get_or_insert_with(Gather::boxed);
            let (header, bytes) = gather.point(output);
            let entry = opcode::SendMsg::new(fd, header).flags(flags.cast_unsigned());
            (entry.build(), bytes)
        };
        if link.blocked {
            link.sending = Sending::On;
            self.push(&entry, Event::Send(key));
        } else {
            link.sending = Sending::AtOnce(bytes);
            self.at_once.push(key);
            self.push(&entry.flags(squeue::Flags::SKIP_SUCCESS), Event::Send(key));
        }
        Sent::Later
    }

    fn forget(&mut self, _link: &Link) {}

    fn accept(&mut self, on: bool) {
        self.accept = on;
        for at in 0..self.accepting.len() {
            if on && !self.accepting[at] {
                let fd = Fd(self.acceptors[at].as_raw_fd());
                let entry = opcode::AcceptMulti::new(fd)
                    .flags(libc::SOCK_CLOEXEC)
                    .build();
                self.accepting[at] = true;
                self.push(&entry, Event::Accept(at));
            } else if !on && self.accepting[at] {
                self.cancel(Event::Accept(at));
            }
        }
    }

    fn receive_datagrams(&mut self, on: bool) {
        self.takes_datagrams = on;
        for at in 0..self.datagram_sockets.len() {
            let is_on = self.datagram_receives[at];
            if on && !is_on {
                let fd = Fd(self.datagram_sockets[at]);
                let header = &raw const *self.datagram_header;
                let entry = opcode::RecvMsgMulti::new(fd, header, DATAGRAM_GROUP).build();
                self.datagram_receives[at] = true;
                self.push(&entry, Event::Datagram(at));
            } else if !on && is_on {
                self.cancel(Event::Datagram(at));
            }
        }
    }

    fn holds(&self, link: &Link) -> bool {
        link.sending != Sending::Not || link.receiving != Receiving::Off
    }

    fn has_backlog(&mut self) -> bool {
        self.has_completions() || !self.at_once.is_empty() || !self.left.is_empty()
    }

    fn is_ready(&mut self) -> bool {
        self.ring.submission().taskrun() || self.has_completions()
    }
}

/// Receives with the sender's name and nothing else before the bytes.
fn header_with_name() -> libc::msghdr {
    // SAFETY: a C struct of integers and pointers, for which all zeros is valid.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_namelen = libc::socklen_t::try_from(NAME_BYTES).expect("a small constant");
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_its_word() {
        let key = LinkKey::unpack(0x0abc_def0_1234_5678);
        for event in [
            Event::Receive(key),
            Event::Send(key),
            Event::Accept(3),
            Event::Doorbell,
            Event::Cancel,
            Event::Datagram(7),
        ] {
            assert_eq!(Event::of(event.word()), event);
        }
    }
}
