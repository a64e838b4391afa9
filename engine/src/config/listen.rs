//! `--listen` URLs: `mqtt://host:port`, `ws://host:port`, `nats://host:port`,
//! `mqttsn://host:port`, an IPv6 host in brackets, `unix:/path`.

use super::error::Problem;
use crate::base::Scheme;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// `sockaddr_un` has 108 bytes for the path and its end.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// One place to accept connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What is spoken there.
    pub scheme: Scheme,
    /// Where to bind.
    pub address: ListenAddress,
}

/// A bindable address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// UDP; port 0 lets the kernel choose.
    Udp(SocketAddr),
    /// A Unix stream socket at an absolute path.
    Unix(PathBuf),
}

impl Listener {
    /// A default listener: the scheme's port, loopback only.
    pub fn loopback(scheme: Scheme) -> Listener {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, scheme.default_port()));
        Listener {
            scheme,
            address: ListenAddress::of(scheme, address),
        }
    }

    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        match &self.address {
            ListenAddress::Tcp(address) | ListenAddress::Udp(address) => address.ip().is_loopback(),
            ListenAddress::Unix(_) => true,
        }
    }

    /// Whether it takes datagrams, not connections.
    pub fn is_udp(&self) -> bool {
        matches!(self.address, ListenAddress::Udp(_))
    }

    /// Whether the kernel picks the port, so that two alike do not collide.
    pub(crate) fn takes_any_port(&self) -> bool {
        match &self.address {
            ListenAddress::Tcp(address) | ListenAddress::Udp(address) => address.port() == 0,
            ListenAddress::Unix(_) => false,
        }
    }
}

impl ListenAddress {
    /// An address of the kind that a scheme is spoken on.
    fn of(scheme: Scheme, address: SocketAddr) -> Self {
        match scheme {
            Scheme::MqttSn => Self::Udp(address),
            _ => Self::Tcp(address),
        }
    }
}

/// The URL that [`parse`] reads back.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            ListenAddress::Tcp(address) | ListenAddress::Udp(address) => {
                write!(f, "{}://{address}", self.scheme.name())
            }
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Parses one URL. A host name may stand for several addresses: all are bound.
pub(crate) fn parse(url: &str) -> Result<Vec<Listener>, Problem> {
    let (scheme, addresses) = match url.split_once(':') {
        Some(("mqtt", rest)) => (Scheme::Mqtt, parse_ip(Scheme::Mqtt, rest)?),
        Some(("ws", rest)) => (Scheme::Ws, parse_ip(Scheme::Ws, rest)?),
        Some(("nats", rest)) => (Scheme::Nats, parse_ip(Scheme::Nats, rest)?),
        Some(("mqttsn", rest)) => (Scheme::MqttSn, parse_ip(Scheme::MqttSn, rest)?),
        Some(("unix", rest)) => (Scheme::Mqtt, vec![parse_unix(rest)?]),
        Some((scheme, rest)) if rest.starts_with("//") => return Err(unknown_scheme(scheme)),
        _ => return Err(missing_scheme(url)),
    };
    Ok(addresses
        .into_iter()
        .map(|address| Listener { scheme, address })
        .collect())
}

fn parse_ip(scheme: Scheme, rest: &str) -> Result<Vec<ListenAddress>, Problem> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(Problem::new(
            "lacks the // of a URL",
            example(scheme, "127.0.0.1"),
        ));
    };
    // Clients of other brokers are set to paths like /mqtt: here every path will do.
    let authority = match (scheme, rest.split_once('/')) {
        (Scheme::Ws, Some((authority, _))) => authority,
        _ => rest.strip_suffix('/').unwrap_or(rest),
    };
    if authority.contains(['/', '@', '?', '#']) {
        return Err(Problem::new(
            "a listener is a host and a port, nothing more",
            example(scheme, "127.0.0.1"),
        ));
    }
    let (host, port) = split_port(scheme, authority)?;
    let addresses = resolve(scheme, host, parse_port(scheme, port)?)?;
    let of_scheme = |address| ListenAddress::of(scheme, address);
    Ok(addresses.into_iter().map(of_scheme).collect())
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` → host without brackets, port text.
fn split_port(scheme: Scheme, authority: &str) -> Result<(&str, Option<&str>), Problem> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let Some((host, port)) = bracketed.split_once(']') else {
            return Err(Problem::new(
                "the bracket '[' is never closed",
                example(scheme, "[::1]"),
            ));
        };
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(Problem::new(
                "brackets hold an IPv6 address",
                example(scheme, "[::1]"),
            ));
        }
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if port.is_empty() => Ok((host, None)),
            None => Err(Problem::new(
                "has text after the bracket",
                example(scheme, "[::1]"),
            )),
        };
    }
    if authority.matches(':').count() > 1 {
        let fix = format!(
            "an IPv6 address goes in brackets: {}",
            example(scheme, "[::1]")
        );
        return Err(Problem::new("has more than one colon", fix));
    }
    Ok(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

fn parse_port(scheme: Scheme, port: Option<&str>) -> Result<u16, Problem> {
    let Some(text) = port else {
        return Ok(scheme.default_port());
    };
    let all_digits = text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse().ok().filter(|_| all_digits);
    port.ok_or_else(|| {
        Problem::new(
            format!("the port {text:?} is not a number from 0 to 65535"),
            format!("{}; port 0 takes a free one", example(scheme, "127.0.0.1")),
        )
    })
}

fn resolve(scheme: Scheme, host: &str, port: u16) -> Result<Vec<SocketAddr>, Problem> {
    if host.is_empty() || host == "*" {
        return Err(Problem::new(
            "names no host",
            format!(
                "every interface: {0}://0.0.0.0:{port} or {0}://[::]:{port}; this machine only: {0}://127.0.0.1:{port}",
                scheme.name()
            ),
        ));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|_| {
            Problem::new(
                format!("the host {host:?} has no address here"),
                "use an IP address of this machine, or 0.0.0.0 for every interface",
            )
        })?
        .collect();
    Ok(dedup(found))
}

fn dedup(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut unique = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    unique
}

fn parse_unix(rest: &str) -> Result<ListenAddress, Problem> {
    // unix:///run/x is the same file as unix:/run/x.
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let example = "write unix:/run/ringbus.sock";
    if !Path::new(path).is_absolute() {
        return Err(Problem::new("needs an absolute path", example));
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        let why = format!(
            "the path has {} bytes, more than {UNIX_PATH_BYTES_MAX}",
            path.len()
        );
        return Err(Problem::new(why, example));
    }
    if path.contains('\0') || path.ends_with('/') {
        return Err(Problem::new("does not name a file", example));
    }
    Ok(ListenAddress::Unix(path.into()))
}

fn unknown_scheme(scheme: &str) -> Problem {
    let why = match scheme {
        "tcp" | "mqtts" | "wss" | "ssl" | "tls" => {
            format!("this version does not speak {scheme}://")
        }
        _ => format!("the scheme {scheme:?} is unknown"),
    };
    Problem::new(
        why,
        "listeners are mqtt://host:port, ws://host:port, nats://host:port, mqttsn://host:port \
         and unix:/path",
    )
}

fn missing_scheme(url: &str) -> Problem {
    let port = url.trim_start_matches(':');
    let suggestion = if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
        format!("write mqtt://127.0.0.1:{port}, or mqtt://0.0.0.0:{port} for every interface")
    } else if url.starts_with(['/', '.']) {
        format!("write unix:{url}")
    } else if url.is_empty() {
        example(Scheme::Mqtt, "127.0.0.1")
    } else {
        format!("write mqtt://{url}")
    };
    Problem::new("is not a URL", suggestion)
}

fn example(scheme: Scheme, host: &str) -> String {
    let (name, port) = (scheme.name(), scheme.default_port());
    format!("write {name}://{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(url: &str) -> ListenAddress {
        let mut listeners = parse(url).expect(url);
        assert_eq!(listeners.len(), 1, "{url}");
        listeners.remove(0).address
    }

    fn tcp(address: &str) -> ListenAddress {
        ListenAddress::Tcp(address.parse().expect("test address"))
    }

    #[test]
    fn tcp_urls() {
        assert_eq!(one("mqtt://127.0.0.1:1884"), tcp("127.0.0.1:1884"));
        assert_eq!(one("mqtt://127.0.0.1"), tcp("127.0.0.1:1883"));
        assert_eq!(one("mqtt://127.0.0.1:0/"), tcp("127.0.0.1:0"));
        assert_eq!(one("mqtt://[::1]:1883"), tcp("[::1]:1883"));
        assert_eq!(one("mqtt://[::]"), tcp("[::]:1883"));
        assert_eq!(one("ws://127.0.0.1"), tcp("127.0.0.1:8000"));
        assert_eq!(one("ws://[::1]:8083/mqtt"), tcp("[::1]:8083"));
        assert_eq!(one("nats://127.0.0.1"), tcp("127.0.0.1:4222"));
        let udp = ListenAddress::Udp("127.0.0.1:1884".parse().expect("test address"));
        assert_eq!(one("mqttsn://127.0.0.1"), udp);
        let named = parse("mqtt://localhost:1883").expect("localhost resolves");
        assert!(named.iter().all(Listener::is_local), "{named:?}");
    }

    #[test]
    fn unix_urls() {
        let path = ListenAddress::Unix("/run/ringbus.sock".into());
        assert_eq!(one("unix:/run/ringbus.sock"), path);
        assert_eq!(one("unix:///run/ringbus.sock"), path);
    }

    #[test]
    fn urls_print_as_they_are_read() {
        for url in [
            "mqtt://127.0.0.1:1883",
            "mqtt://[::1]:1883",
            "ws://127.0.0.1:8000",
            "nats://127.0.0.1:4222",
            "mqttsn://127.0.0.1:1884",
            "unix:/run/x.sock",
        ] {
            let listeners = parse(url).expect(url);
            assert_eq!(listeners[0].to_string(), url);
        }
    }

    #[test]
    fn only_loopback_and_unix_are_local() {
        let local = |url| parse(url).expect(url)[0].is_local();
        assert!(local("mqtt://127.0.0.1:1") && local("mqtt://[::1]:1") && local("unix:/a"));
        assert!(!local("mqtt://0.0.0.0:1") && !local("mqtt://[::]:1"));
    }

    #[test]
    fn every_mistake_has_a_remedy() {
        let long = format!("unix:/{}", "x".repeat(UNIX_PATH_BYTES_MAX));
        for (url, why, fix) in [
            ("", "is not a URL", "mqtt://127.0.0.1:1883"),
            ("1884", "is not a URL", "mqtt://127.0.0.1:1884"),
            (":1884", "is not a URL", "mqtt://0.0.0.0:1884"),
            ("127.0.0.1:1884", "is not a URL", "mqtt://127.0.0.1:1884"),
            ("localhost", "is not a URL", "mqtt://localhost"),
            ("/run/x", "is not a URL", "unix:/run/x"),
            ("mqtt:127.0.0.1", "lacks the //", "mqtt://127.0.0.1:1883"),
            (
                "mqtts://127.0.0.1",
                "does not speak mqtts://",
                "mqtt://host:port",
            ),
            (
                "http://127.0.0.1",
                "\"http\" is unknown",
                "mqtt://host:port",
            ),
            ("mqtt://127.0.0.1:x", "not a number", "port 0"),
            ("mqtt://127.0.0.1:", "not a number", "port 0"),
            ("mqtt://127.0.0.1:+1", "not a number", "port 0"),
            ("mqtt://127.0.0.1:65536", "not a number", "port 0"),
            ("mqtt://:1883", "names no host", "mqtt://0.0.0.0:1883"),
            ("mqtt://*:1884", "names no host", "mqtt://[::]:1884"),
            (
                "mqtt://::1:1883",
                "more than one colon",
                "mqtt://[::1]:1883",
            ),
            ("mqtt://[::1", "never closed", "mqtt://[::1]:1883"),
            ("mqtt://[::1]1883", "after the bracket", "mqtt://[::1]:1883"),
            ("mqtt://[localhost]:1", "IPv6 address", "mqtt://[::1]:1883"),
            (
                "mqtt://a@127.0.0.1/x",
                "nothing more",
                "mqtt://127.0.0.1:1883",
            ),
            ("ws://", "names no host", "ws://0.0.0.0:8000"),
            ("ws:127.0.0.1", "lacks the //", "ws://127.0.0.1:8000"),
            ("wss://127.0.0.1", "does not speak wss://", "ws://host:port"),
            ("mqtt://no-such-host.invalid", "has no address", "0.0.0.0"),
            ("unix:run/x", "absolute path", "unix:/run/ringbus.sock"),
            ("unix:", "absolute path", "unix:/run/ringbus.sock"),
            ("unix:/run/", "name a file", "unix:/run/ringbus.sock"),
            (&long, "more than 107", "unix:/run/ringbus.sock"),
        ] {
            let problem = parse(url).expect_err(url);
            assert!(problem.why.contains(why), "{url}: {problem:?}");
            assert!(problem.fix.contains(fix), "{url}: {problem:?}");
        }
    }
}
