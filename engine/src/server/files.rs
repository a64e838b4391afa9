//! Open files: what connections cost first.

use crate::base::limits::SURPLUS_CONNECTIONS_MAX;
use crate::config::Config;
use std::fmt;

/// Descriptors the process needs besides connections: listeners, rings, doorbells, stdio, and those
/// that are told that there is no place.
const RESERVE: usize = 64 + SURPLUS_CONNECTIONS_MAX;
/// Descriptors of one shard besides connections.
const SHARD_RESERVE: usize = 8;
/// Descriptors of one shard for each UDP listener: its socket, and a copy for the driver.
const UDP_RESERVE: usize = 2;

/// More connections were asked for than the process may have files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesError {
    connections: usize,
    needed: usize,
    limit: usize,
}

/// Raises the limit of open files to its maximum; returns how many connections
/// the process may have.
pub(super) fn raise(config: &Config) -> Result<usize, FilesError> {
    let udp = config.listeners.iter().filter(|listener| listener.is_udp());
    let of_shard = SHARD_RESERVE + UDP_RESERVE * udp.count();
    let of_shards = of_shard * usize::from(config.shards);
    allow(config.max_connections, of_shards, raise_limit())
}

fn allow(asked: Option<usize>, of_shards: usize, limit: usize) -> Result<usize, FilesError> {
    let reserve = RESERVE + of_shards;
    let Some(connections) = asked else {
        return Ok(limit.saturating_sub(reserve).max(1));
    };
    let needed = connections.saturating_add(reserve);
    if needed > limit {
        return Err(FilesError {
            connections,
            needed,
            limit,
        });
    }
    Ok(connections)
}

fn raise_limit() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one structure that we own.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return usize::MAX;
    }
    let wanted = libc::rlimit {
        rlim_cur: limit.rlim_max,
        ..limit
    };
    // SAFETY: the kernel reads one structure that we own.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } == 0 {
        limit = wanted;
    } else {
        tracing::warn!(
            "cannot raise the limit of open files above {}",
            limit.rlim_cur
        );
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connections,
            needed,
            limit,
        } = self;
        write!(
            f,
            "cannot serve --max-connections {connections}: it takes {needed} open files and the \
             limit is {limit} (raise it with `ulimit -Hn` or LimitNOFILE=)"
        )
    }
}

impl std::error::Error for FilesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_what_files_allow() {
        assert_eq!(allow(None, 16, 20_000), Ok(20_000 - 80 - 16));
        assert_eq!(allow(None, 16, 10), Ok(1));
        assert_eq!(allow(Some(500), 16, 20_000), Ok(500));
    }

    #[test]
    fn too_many_are_refused_with_the_limit() {
        let text = allow(Some(19_999), 16, 20_000)
            .expect_err("too many")
            .to_string();
        assert!(text.contains("--max-connections 19999"), "{text}");
        assert!(
            text.contains("20095 open files and the limit is 20000"),
            "{text}"
        );
    }

    #[test]
    fn the_limit_is_raised_to_its_maximum() {
        let raised = raise_limit();
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the kernel writes one structure that we own.
        let status = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
        assert_eq!(status, 0);
        assert_eq!(limit.rlim_cur, limit.rlim_max);
        assert_eq!(Ok(raised), usize::try_from(limit.rlim_max));
    }
}
