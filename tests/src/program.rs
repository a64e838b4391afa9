//! The `ringbus` program run to its end: what it printed and how it exited.

use crate::broker::{DEADLINE, program};
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Checks that it failed as a program should: this code, nothing on
    /// standard output, and one line, which is returned without its prefix.
    #[track_caller]
    pub fn one_line(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let line = self.stderr.strip_suffix('\n').expect("a line");
        assert_eq!(line.lines().count(), 1, "{self:?}");
        line.strip_prefix("ringbus: ").expect("the program's name")
    }
}

/// The program with these arguments, and none of its variables set.
pub fn ringbus(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RINGBUS_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command that is expected to end by itself; one that does not is killed
/// and fails the test.
#[track_caller]
pub fn finish(command: &mut Command) -> Finished {
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = spawned.expect("the program starts");
    let pid = libc::pid_t::try_from(child.id()).expect("a pid fits");
    let (done, result) = mpsc::channel();
    crate::broker::spawn("wait", move || {
        // The receiver is gone only if the test has failed already.
        let _ = done.send(child.wait_with_output());
    });
    let output = result.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        // SAFETY: the pid is our child's: the thread that reaps it has not reported.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        panic!("still running after {DEADLINE:?}: {command:?}");
    });
    let output = output.expect("its output is readable");
    Finished {
        code: output.status.code().expect("it was not killed"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
