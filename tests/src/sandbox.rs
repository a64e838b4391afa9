//! Takes things away from a program before it starts: io_uring, memory to lock, files.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `io_uring_setup` fails with `EPERM` in this program and its children, as
/// under the default seccomp profile of container runtimes.
pub fn deny_io_uring(command: &mut Command) -> &mut Command {
    fail_rings(command, 1, libc::EPERM)
}

/// Rings of so many entries and more fail with `errno`, as where smaller ones
/// just fit.
pub fn fail_rings(command: &mut Command, entries_min: u32, errno: i32) -> &mut Command {
    let filter = filter(entries_min, errno);
    // SAFETY: runs between fork and exec; it only makes system calls and reads
    // what the closure owns, and allocates nothing.
    unsafe { command.pre_exec(move || install(&filter)) }
}

/// Lowers a limit of this program, soft and hard. `resource` is one of `libc::RLIMIT_*`.
pub fn limit(
    command: &mut Command,
    resource: libc::__rlimit_resource_t,
    value: u64,
) -> &mut Command {
    let limits = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    let lower = move || {
        // SAFETY: the kernel reads one struct that the closure owns.
        check(unsafe { libc::setrlimit(resource, &raw const limits) })
    };
    // SAFETY: runs between fork and exec; it only makes one system call.
    unsafe { command.pre_exec(lower) }
}

/// The program starts with the lowest `count` descriptors after the usual three
/// taken, which it knows nothing about: fewer are free than its limit says.
pub fn hoard(command: &mut Command, count: i32) -> &mut Command {
    let take = move || {
        // Those of this process that are replaced would be closed by the program's start.
        for number in 3..3 + count {
            // SAFETY: takes integers only.
            check(unsafe { libc::dup2(0, number) }.min(0))?;
        }
        Ok(())
    };
    // SAFETY: runs between fork and exec; it only makes system calls.
    unsafe { command.pre_exec(take) }
}

/// Classic BPF over `struct seccomp_data`: the number of the call, and its arguments
/// from byte 16 on.
const fn filter(entries_min: u32, errno: i32) -> Filter {
    [
        statement(LOAD_WORD, 0),
        // How many statements to skip: if it holds, and if not.
        jump(JUMP_IF_EQUAL, SETUP, 0, 3),
        statement(
            LOAD_WORD,
            if cfg!(target_endian = "little") {
                16
            } else {
                20
            },
        ),
        jump(JUMP_IF_AT_LEAST, entries_min, 0, 1),
        statement(RETURN, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
    ]
}

type Filter = [libc::sock_filter; 6];

#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers of calls are below 2^32"
)]
const SETUP: u32 = libc::SYS_io_uring_setup.cast_unsigned() as u32;
const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

#[expect(clippy::cast_possible_truncation, reason = "BPF codes are below 256")]
const fn statement(code: u32, k: u32) -> libc::sock_filter {
    let (jt, jf) = (0, 0);
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

const fn jump(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        jt,
        jf,
        ..statement(code, k)
    }
}

fn install(filter: &Filter) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: 6,
        filter: filter.as_ptr().cast_mut(),
    };
    // Without privileges a filter is taken only from those who can gain none.
    // SAFETY: takes integers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the kernel copies a program that outlives the call.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, 0, 0) })
}

fn check(status: libc::c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
