//! Listening sockets: one descriptor each, shared by all shards.
//!
//! `SO_REUSEPORT` would give each shard its own queue, but two brokers could
//! then sit on one port without either noticing.

use crate::base::Scheme;
use crate::config::{ListenAddress, Listener};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Connections the kernel completes ahead of us; it caps this at `somaxconn`.
const BACKLOG: i32 = 4096;

/// Who may connect through a Unix socket: its owner and group.
const UNIX_MODE: u32 = 0o660;

/// A bound, listening socket.
#[derive(Debug)]
pub struct Acceptor {
    socket: Socket,
    listener: Listener,
    /// Removed with the listener.
    file: Option<PathBuf>,
}

/// Why an address cannot be listened on, and what to do about it.
#[derive(Debug)]
pub struct ListenError {
    listener: Listener,
    error: io::Error,
}

impl Acceptor {
    /// Binds and listens.
    ///
    /// # Errors
    /// The address is taken, not of this machine, or not permitted.
    ///
    /// # Panics
    /// The address is one of UDP.
    pub fn bind(listener: &Listener) -> Result<Self, ListenError> {
        let bound = match &listener.address {
            ListenAddress::Tcp(tcp) => bind_tcp(*tcp, listener.scheme),
            ListenAddress::Udp(_) => panic!("{listener} accepts no connections"),
            ListenAddress::Unix(path) => bind_unix(path, listener.scheme),
        };
        bound.map_err(|error| ListenError::new(listener, error))
    }

    /// Where it listens: with the port the kernel chose if port 0 was asked for.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// What is spoken there.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.listener.scheme
    }

    /// Accepts fail with `EAGAIN` where they would wait. For drivers that ask
    /// after an event; io_uring waits by itself.
    ///
    /// # Errors
    /// Those of `fcntl`.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    /// Refuses connections from here on, for every shard.
    pub fn stop(&self) {
        if let Err(error) = self.socket.shutdown(std::net::Shutdown::Both) {
            tracing::debug!("{} was not listening any more: {error}", self.listener);
        }
    }
}

impl AsRawFd for Acceptor {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let Some(path) = &self.file
            && let Err(error) = fs::remove_file(path)
        {
            tracing::debug!("cannot remove {}: {error}", path.display());
        }
    }
}

fn bind_tcp(address: SocketAddr, scheme: Scheme) -> io::Result<Acceptor> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart must not wait for the connections of the last run to expire.
    // Another listener on the port is an error all the same.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners: asking for both must work.
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let actual = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok(Acceptor {
        socket,
        listener: Listener {
            scheme,
            address: ListenAddress::Tcp(actual),
        },
        file: None,
    })
}

fn bind_unix(path: &Path, scheme: Scheme) -> io::Result<Acceptor> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    // Nobody can connect before `listen`, so the mode is never too wide.
    fs::set_permissions(path, fs::Permissions::from_mode(UNIX_MODE))?;
    socket.listen(BACKLOG)?;
    Ok(Acceptor {
        socket,
        listener: Listener {
            scheme,
            address: ListenAddress::Unix(path.to_owned()),
        },
        file: Some(path.to_owned()),
    })
}

/// Removes a socket that a dead process left behind, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = || io::Error::from_raw_os_error(libc::EADDRINUSE);
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::from_raw_os_error(libc::EEXIST));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A full backlog answers EAGAIN: somebody listens.
        _ => Err(in_use()),
    }
}

/// The other end of an accepted socket.
pub(crate) fn peer_of(fd: &impl std::os::fd::AsFd) -> Option<SocketAddr> {
    SockRef::from(fd).peer_addr().ok()?.as_socket()
}

impl ListenError {
    pub(super) fn new(listener: &Listener, error: io::Error) -> Self {
        Self {
            listener: listener.clone(),
            error,
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.listener.scheme.name();
        write!(f, "cannot listen on {}: ", self.listener)?;
        match (&self.listener.address, self.error.raw_os_error()) {
            (ListenAddress::Tcp(tcp) | ListenAddress::Udp(tcp), Some(libc::EADDRINUSE)) => {
                let mut other = *tcp;
                other.set_port(tcp.port().checked_add(1).unwrap_or(0));
                let what = match self.listener.scheme {
                    Scheme::Mqtt => "another broker? try",
                    // The port is a popular one, and a --listen replaces all defaults.
                    Scheme::Ws => "another program? try --listen mqtt://127.0.0.1:1883",
                    Scheme::Nats => "a NATS server? try --listen mqtt://127.0.0.1:1883",
                    Scheme::MqttSn => "another gateway? try --listen mqtt://127.0.0.1:1883",
                };
                write!(f, "address in use ({what} --listen {scheme}://{other})")
            }
            (ListenAddress::Tcp(tcp) | ListenAddress::Udp(tcp), Some(libc::EADDRNOTAVAIL)) => {
                let mut any = *tcp;
                any.set_ip(match tcp {
                    SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
                });
                write!(
                    f,
                    "this machine has no such address (every interface: --listen {scheme}://{any})"
                )
            }
            (
                ListenAddress::Tcp(tcp) | ListenAddress::Udp(tcp),
                Some(libc::EACCES | libc::EPERM),
            ) => {
                let mut other = *tcp;
                other.set_port(self.listener.scheme.default_port());
                write!(
                    f,
                    "permission denied (ports below 1024 need CAP_NET_BIND_SERVICE; try --listen {scheme}://{other})"
                )
            }
            (ListenAddress::Unix(_), Some(libc::EADDRINUSE)) => {
                f.write_str("another process listens there (another broker?)")
            }
            (ListenAddress::Unix(_), Some(libc::EEXIST)) => {
                f.write_str("the file exists and is not a socket (choose another path)")
            }
            (ListenAddress::Unix(_), Some(libc::ENOENT)) => {
                f.write_str("the directory does not exist (create it first)")
            }
            _ => self.error.fmt(f),
        }
    }
}

impl std::error::Error for ListenError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn listener(address: ListenAddress) -> Listener {
        Listener {
            scheme: Scheme::Mqtt,
            address,
        }
    }

    fn loopback() -> Listener {
        listener(ListenAddress::Tcp(
            "127.0.0.1:0".parse().expect("an address"),
        ))
    }

    fn scratch(name: &str) -> PathBuf {
        let name = format!("ringbus-{}-{name}.sock", std::process::id());
        std::env::temp_dir().join(name)
    }

    #[test]
    fn a_port_in_use_is_an_error_that_names_the_next_one() {
        let first = Acceptor::bind(&loopback()).expect("a free port");
        let ListenAddress::Tcp(taken) = first.listener().address else {
            panic!("TCP was asked for");
        };
        assert_ne!(taken.port(), 0);
        let error = Acceptor::bind(first.listener()).expect_err("taken");
        let next = taken.port().checked_add(1).unwrap_or(0);
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on mqtt://{taken}: address in use \
                 (another broker? try --listen mqtt://127.0.0.1:{next})"
            )
        );
    }

    #[test]
    fn a_web_socket_port_in_use_does_not_cost_the_other_listener() {
        let wanted = Listener {
            scheme: Scheme::Ws,
            ..loopback()
        };
        let first = Acceptor::bind(&wanted).expect("a free port");
        let error = Acceptor::bind(first.listener()).expect_err("taken");
        let text = error.to_string();
        assert!(
            text.starts_with("cannot listen on ws://127.0.0.1:"),
            "{text}"
        );
        let hint = "(another program? try --listen mqtt://127.0.0.1:1883 --listen ws://127.0.0.1:";
        assert!(text.contains(hint), "{text}");
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        let address = ListenAddress::Tcp("192.0.2.1:1883".parse().expect("an address"));
        let text = Acceptor::bind(&listener(address))
            .expect_err("not ours")
            .to_string();
        assert!(text.contains("--listen mqtt://0.0.0.0:1883"), "{text}");
    }

    #[test]
    fn accepted_sockets_do_not_delay() {
        let acceptor = Acceptor::bind(&loopback()).expect("a free port");
        let ListenAddress::Tcp(address) = acceptor.listener().address else {
            panic!("TCP was asked for");
        };
        let _client = TcpStream::connect(address).expect("it listens");
        let (accepted, _) = acceptor.socket.accept().expect("a connection");
        assert!(accepted.tcp_nodelay().expect("an option"));
    }

    #[test]
    fn a_stopped_listener_refuses() {
        let acceptor = Acceptor::bind(&loopback()).expect("a free port");
        let ListenAddress::Tcp(address) = acceptor.listener().address else {
            panic!("TCP was asked for");
        };
        acceptor.stop();
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let path = scratch("stale");
        // A listener that died: the file stays.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
        assert!(path.exists());
        let address = listener(ListenAddress::Unix(path.clone()));
        let live = Acceptor::bind(&address).expect("the stale one is replaced");
        let mode = fs::metadata(&path)
            .expect("the socket")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, UNIX_MODE);
        let error = Acceptor::bind(&address).expect_err("somebody listens");
        assert!(
            error.to_string().contains("another process listens there"),
            "{error}"
        );
        drop(live);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_left_alone() {
        let path = scratch("file");
        fs::write(&path, "precious").expect("a file");
        let error =
            Acceptor::bind(&listener(ListenAddress::Unix(path.clone()))).expect_err("a file");
        assert!(error.to_string().contains("not a socket"), "{error}");
        assert_eq!(fs::read(&path).expect("still there"), b"precious");
        fs::remove_file(&path).expect("ours");
    }
}
