//! Which pages may talk to us: the `Origin` header `[RFC6454 7]` `[RFC6455 10.2]`.
//!
//! A browser lets any page open a WebSocket to any host and says only whose page it is. So a
//! server that anybody's page must not use has to look.

use std::fmt;
use std::net::Ipv6Addr;

use super::Request;

/// Where a page comes from: scheme, host and port, of which all must be the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Lower case.
    scheme: Box<str>,
    host: Host,
    /// The port that was given or is the scheme's; `None` for a scheme that has none.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    /// A name or an IPv4 address, lower case.
    Name(Box<str>),
    V6(Ipv6Addr),
}

impl Origin {
    /// Reads a serialized origin, `scheme://host` or `scheme://host:port` `[RFC6454 6.2]`. Nothing
    /// else is one: no path, no user, no list, no spaces, not `null`.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        if !is_scheme(scheme) {
            return None;
        }
        let (host, port) = host_and_port(authority)?;
        let scheme = scheme.to_ascii_lowercase().into_boxed_str();
        let port = port.or_else(|| default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Whether `host_header`, the value of a Host header, names the host and the port of this
    /// origin. A Host without a port means the default port of the origin's scheme: a proxy in
    /// front of us may take TLS off, and only the origin tells.
    pub fn is_same(&self, host_header: &str) -> bool {
        let Some((host, port)) = host_and_port(host_header) else {
            return false;
        };
        let default = default_port(&self.scheme);
        default.is_some() && host == self.host && port.or(default) == self.port
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{}://{name}", self.scheme)?,
            Host::V6(address) => write!(f, "{}://[{address}]", self.scheme)?,
        }
        match self.port {
            Some(port) if self.port != default_port(&self.scheme) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

/// `[RFC3986 3.1]`
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Reads `host` or `host:port`.
fn host_and_port(authority: &str) -> Option<(Host, Option<u16>)> {
    let end_of_host = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(end_of_host);
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => Host::V6(address.parse().ok()?),
        None if is_host_name(host) => Host::Name(host.to_ascii_lowercase().into_boxed_str()),
        None => return None,
    };
    if port.is_empty() {
        return Some((host, None));
    }
    let digits = port.strip_prefix(':')?;
    // `parse` alone would take a sign.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|_| is_number)?;
    Some((host, Some(port)))
}

/// What browsers write as the host of an origin: names are in Punycode.
fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// The origins besides our own whose pages may talk to us: none, some, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginList {
    any: bool,
    list: Vec<Origin>,
}

impl OriginList {
    /// Adds an origin, or with `*` all of them.
    ///
    /// # Errors
    /// In words, if `text` is none.
    pub fn add(&mut self, text: &str) -> Result<(), &'static str> {
        if text == "*" {
            self.any = true;
            return Ok(());
        }
        let origin =
            Origin::parse(text).ok_or("an origin is scheme://host or scheme://host:port, or *")?;
        if matches!(&*origin.scheme, "ws" | "wss") {
            return Err("an origin is that of a page: http:// or https://, not ws:// or wss://");
        }
        if !self.list.contains(&origin) {
            self.list.push(origin);
        }
        Ok(())
    }

    /// Whether `origin` is in the list.
    pub fn contains(&self, origin: &Origin) -> bool {
        self.any || self.list.contains(origin)
    }

    /// Whether `*` was added.
    pub fn allows_any(&self) -> bool {
        self.any
    }

    /// Whether a request may open a WebSocket, or read across sites. A request without an Origin
    /// does not come from a page of another site. One with a single valid Origin may if that is
    /// the request's own host or in the list; `*` lets in everything, `null` too.
    pub fn admits(&self, request: &Request<'_>) -> bool {
        if self.any || request.count("origin") == 0 {
            return true;
        }
        origin_of(request).is_some_and(|origin| {
            self.contains(&origin) || request.host().is_some_and(|host| origin.is_same(host))
        })
    }

    /// The value that `Access-Control-Allow-Origin` has in the answer to `request`, if any: only
    /// pages of the list may read across sites.
    pub fn allow_origin(&self, request: &Request<'_>) -> Option<String> {
        if self.any {
            return Some("*".to_owned());
        }
        let origin = origin_of(request)?;
        self.contains(&origin).then(|| origin.to_string())
    }
}

/// The only Origin of a request, if it is valid.
fn origin_of(request: &Request<'_>) -> Option<Origin> {
    if request.count("origin") != 1 {
        return None;
    }
    Origin::parse(request.header("origin")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Head, parse_head};

    fn list(origins: &[&str]) -> OriginList {
        let mut list = OriginList::default();
        for origin in origins {
            list.add(origin).expect("a valid origin");
        }
        list
    }

    /// Whether a request with these header lines is admitted.
    fn admits(list: &OriginList, lines: &str) -> bool {
        let text = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        match parse_head(text.as_bytes()) {
            Ok(Head::Complete { request, .. }) => list.admits(&request),
            other => panic!("{other:?}"),
        }
    }

    /// The forms of an Origin header that are an origin, and how they are written in full.
    #[test]
    fn origins_are_read_without_regard_to_case_or_default_port() {
        for (text, whole) in [
            ("http://example.com", "http://example.com"),
            ("HTTPS://Example.COM", "https://example.com"),
            ("http://example.com:80", "http://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("https://example.com:80", "https://example.com:80"),
            ("http://localhost:8000", "http://localhost:8000"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("http://[0:0::1]", "http://[::1]"),
            ("http://example.com.", "http://example.com."),
            (
                "http://xn--bcher-kva.example",
                "http://xn--bcher-kva.example",
            ),
            ("http://a_b", "http://a_b"),
            ("ws://a:80", "ws://a"),
            ("wss://a:443", "wss://a"),
            ("chrome-extension://abc", "chrome-extension://abc"),
            ("app://a:5", "app://a:5"),
        ] {
            let origin = Origin::parse(text).expect(text);
            assert_eq!(origin.to_string(), whole);
            assert_eq!(Origin::parse(whole), Some(origin));
        }
    }

    #[test]
    fn nothing_else_is_an_origin() {
        for text in [
            "",
            "null",
            "*",
            "example.com",
            "http:example.com",
            "http:/example.com",
            "http://",
            "http://:80",
            "http://a/",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "http://user@a",
            "http://user:1@a",
            "http://a:",
            "http://a:+80",
            "http://a:65536",
            "http://a:8o",
            "http://a:80:80",
            "http://a b",
            " http://a",
            "http://a http://b",
            "http://a,http://b",
            "http://a\\b",
            "http://ä",
            "http://%61",
            "http://*.a",
            "http://::1",
            "http://[::1",
            "http://[::1]x",
            "http://[::1]80",
            "http://[127.0.0.1]",
            "http://[::1%25lo]",
            "://a",
            "1http://a",
            "ht tp://a",
            "file://",
            "http://http://a",
        ] {
            assert_eq!(Origin::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_page_of_the_same_host_and_port_is_our_own() {
        for (origin, host, is_same) in [
            ("http://a:8000", "a:8000", true),
            ("http://a:8000", "A:8000", true),
            ("http://a", "a", true),
            ("http://a", "a:80", true),
            ("https://a", "a", true),
            ("https://a", "a:443", true),
            ("https://a", "a:80", false),
            ("http://a", "a:8000", false),
            ("http://a:8000", "a", false),
            ("http://a", "a.", false),
            ("http://a", "b.a", false),
            ("http://b.a", "a", false),
            ("http://[::1]:8000", "[::1]:8000", true),
            ("http://[::1]:8000", "[0::1]:8000", true),
            ("http://localhost:8000", "127.0.0.1:8000", false),
            ("app://a", "a", false),
            ("http://a", "", false),
            ("http://a", "a/", false),
            ("http://a", "x@a", false),
        ] {
            let origin_parsed = Origin::parse(origin).expect(origin);
            assert_eq!(origin_parsed.is_same(host), is_same, "{origin} at {host}");
        }
    }

    #[test]
    fn by_default_only_our_own_pages_and_programs_are_admitted() {
        let none = OriginList::default();
        for (lines, is_admitted) in [
            ("Host: a:8000\r\n", true),
            ("", true),
            ("Host: a:8000\r\nOrigin: http://a:8000\r\n", true),
            ("Host: a:8000\r\nOrigin:   http://a:8000 \r\n", true),
            ("Host: a\r\norigin: https://A\r\n", true),
            ("Host: a:8000\r\nOrigin: http://a\r\n", false),
            ("Host: a:8000\r\nOrigin: http://b:8000\r\n", false),
            ("Host: a:8000\r\nOrigin: http://a:8000/\r\n", false),
            ("Host: a:8000\r\nOrigin: http://a:8000.evil\r\n", false),
            ("Host: a:8000\r\nOrigin: http://a:8000@evil\r\n", false),
            ("Host: a:8000\r\nOrigin: null\r\n", false),
            ("Host: a:8000\r\nOrigin:\r\n", false),
            ("Host: a:8000\r\nOrigin: *\r\n", false),
            ("Host: a:8000\r\nOrigin: file://\r\n", false),
            ("Host: a\r\nOrigin: http://a http://a\r\n", false),
            ("Host: a\r\nOrigin: http://a, http://a\r\n", false),
            ("Host: a\r\nOrigin: http://a\r\nOrigin: http://a\r\n", false),
            ("Host: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n", false),
            ("Host: a\r\nHost: b\r\nOrigin: http://b\r\n", false),
            ("Origin: http://a\r\n", false),
        ] {
            assert_eq!(admits(&none, lines), is_admitted, "{lines:?}");
        }
    }

    #[test]
    fn listed_origins_are_admitted_and_nothing_like_them() {
        let some = list(&["https://app.example", "http://localhost:3000"]);
        for (origin, is_admitted) in [
            ("https://app.example", true),
            ("https://APP.example:443", true),
            ("http://localhost:3000", true),
            ("http://app.example", false),
            ("https://app.example.evil", false),
            ("https://evil.app.example", false),
            ("http://localhost:3001", false),
            ("null", false),
        ] {
            let lines = format!("Host: broker\r\nOrigin: {origin}\r\n");
            assert_eq!(admits(&some, &lines), is_admitted, "{origin}");
        }
        let twice = "Origin: https://app.example\r\nOrigin: https://app.example\r\n";
        assert!(!admits(&some, twice));
    }

    #[test]
    fn a_star_admits_everything() {
        let all = list(&["*"]);
        assert!(all.allows_any());
        for lines in [
            "Origin: null\r\n",
            "Origin: http://b\r\n",
            "Origin: a\r\nOrigin: b\r\n",
        ] {
            assert!(admits(&all, lines), "{lines:?}");
        }
    }

    #[test]
    fn only_origins_of_the_list_may_read_across_sites() {
        let allowed = |list: &OriginList, lines: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            match parse_head(text.as_bytes()) {
                Ok(Head::Complete { request, .. }) => list.allow_origin(&request),
                other => panic!("{other:?}"),
            }
        };
        let some = list(&["https://b"]);
        let text = Some("https://b".to_owned());
        assert_eq!(allowed(&some, "Origin: https://B:443\r\n"), text);
        assert_eq!(allowed(&some, "Origin: http://a\r\n"), None);
        assert_eq!(allowed(&some, ""), None);
        assert_eq!(allowed(&list(&["*"]), ""), Some("*".to_owned()));
    }

    #[test]
    fn what_is_no_origin_of_a_page_cannot_be_listed() {
        let mut list = OriginList::default();
        for text in ["", "a", "https://a/", "null", "ws://a", "wss://a:1"] {
            assert!(list.add(text).is_err(), "{text}");
        }
        assert_eq!(list, OriginList::default());
    }
}
