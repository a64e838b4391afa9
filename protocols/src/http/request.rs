//! The head of a request: request line and headers `[RFC9112 2]`.

use super::{HttpError, Status};

/// A stranger may make us keep this many bytes of a request's head.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// A request has at most this many headers.
pub const HEADERS_MAX: usize = 100;

/// What [`parse_head`] found at the front of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head<'a> {
    /// The empty line that ends a head has not come yet.
    Incomplete,
    /// A whole head.
    Complete {
        /// The request.
        request: Request<'a>,
        /// How many bytes the head took, the empty line included.
        length: usize,
    },
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method; it is case-sensitive.
    pub method: &'a str,
    /// The target as it was sent, printable ASCII.
    pub target: &'a str,
    /// The request line says HTTP/1.0, not HTTP/1.1.
    pub is_http_1_0: bool,
    headers: Vec<(&'a str, &'a [u8])>,
}

/// Finds and reads the head at the front of `bytes`. It looks at no more than [`HEAD_BYTES_MAX`]
/// bytes, and refuses as soon as the bytes there show that no valid head will come of them.
///
/// # Errors
/// 400 for what is malformed, 414 for a target and 431 for headers that do not fit, 505 for a
/// version other than 1.0 and 1.1. A Host header is not asked for here.
pub fn parse_head(bytes: &[u8]) -> Result<Head<'_>, HttpError> {
    let mut room = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut room);
    let seen = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let length = match parsed.parse(seen).map_err(in_words)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if seen.len() < HEAD_BYTES_MAX => return Ok(Head::Incomplete),
        httparse::Status::Partial => return Err(too_large(parsed.version.is_some())),
    };
    let request = Request {
        method: parsed.method.unwrap_or_default(),
        target: parsed.path.unwrap_or_default(),
        is_http_1_0: parsed.version == Some(0),
        headers: parsed.headers.iter().map(|h| (h.name, h.value)).collect(),
    };
    request.check_target()?;
    Ok(Head::Complete { request, length })
}

fn in_words(error: httparse::Error) -> HttpError {
    use httparse::Error;
    let (status, words) = match error {
        Error::HeaderName => (Status::BadRequest, "the name of a header is malformed"),
        Error::HeaderValue => (Status::BadRequest, "the value of a header is malformed"),
        Error::NewLine => (Status::BadRequest, "a line does not end in CRLF"),
        Error::Token => (Status::BadRequest, "the request line is malformed"),
        Error::TooManyHeaders => (Status::HeadersTooLarge, "there are more than 100 headers"),
        Error::Version => (Status::VersionNotSupported, "only HTTP/1.1 is spoken here"),
        Error::Status => (Status::BadRequest, "the request is malformed"),
    };
    HttpError { status, words }
}

fn too_large(has_request_line: bool) -> HttpError {
    if has_request_line {
        HttpError {
            status: Status::HeadersTooLarge,
            words: "the headers are over 16 KiB",
        }
    } else {
        HttpError {
            status: Status::UriTooLong,
            words: "the request line is over 16 KiB",
        }
    }
}

impl<'a> Request<'a> {
    /// The value of the first header `name` without spaces around it; `None` as well if it has
    /// bytes that are no visible text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        visible_text(self.raw(name).next()?)
    }

    /// The values of all headers `name`, in order; those that are no visible text are left out.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.raw(name).filter_map(visible_text)
    }

    /// How many headers `name` there are.
    pub fn count(&self, name: &str) -> usize {
        self.raw(name).count()
    }

    /// The elements of the comma-separated list that all headers `name` make together
    /// `[RFC9110 5.6.1]`. Empty elements are left out.
    pub fn tokens(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(comma_list)
    }

    /// Whether that list has `token`, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name)
            .any(|found| found.eq_ignore_ascii_case(token))
    }

    /// The path of the target, still percent-encoded. It starts with `/`.
    pub fn path(&self) -> &'a str {
        match self.after_authority() {
            "" => "/",
            rest => match rest.split_once('?') {
                Some(("", _)) => "/",
                Some((path, _)) => path,
                None => rest,
            },
        }
    }

    /// What follows the first `?` of the target, still percent-encoded.
    pub fn query(&self) -> Option<&'a str> {
        let (_, query) = self.after_authority().split_once('?')?;
        Some(query)
    }

    /// The host, and the port if one is given, that the request is for: of the target, if that
    /// names one `[RFC9112 3.2.2]`, else of the only Host header.
    pub fn host(&self) -> Option<&'a str> {
        match self.authority() {
            Some((host, _)) => Some(host),
            None if self.count("host") == 1 => self.header("host"),
            None => None,
        }
    }

    /// Whether a body follows the head.
    pub fn has_body(&self) -> bool {
        self.count("transfer-encoding") > 0
            || self
                .raw("content-length")
                .any(|length| visible_text(length).is_none_or(|text| text != "0"))
    }

    fn raw(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|&(_, value)| value)
    }

    /// The forms of a target that an origin server gets `[RFC9112 3.2]`; `*` is for `OPTIONS`.
    fn check_target(&self) -> Result<(), HttpError> {
        let words = if !self.target.bytes().all(|byte| byte.is_ascii_graphic()) {
            "the target is not percent-encoded"
        } else if self.target.contains('#') {
            "the target has a fragment"
        } else if self.target.starts_with('/')
            || self.authority().is_some_and(|(host, _)| !host.is_empty())
            || (self.target == "*" && self.method == "OPTIONS")
        {
            return Ok(());
        } else {
            "the target is not a path"
        };
        Err(HttpError {
            status: Status::BadRequest,
            words,
        })
    }

    /// Host and rest of a target in absolute form.
    fn authority(&self) -> Option<(&'a str, &'a str)> {
        let (scheme, rest) = self.target.split_once("://")?;
        if !["http", "https", "ws", "wss"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
        {
            return None;
        }
        Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
    }

    fn after_authority(&self) -> &'a str {
        self.authority().map_or(self.target, |(_, rest)| rest)
    }
}

/// The value as text without spaces and tabs around it.
pub(crate) fn visible_text(value: &[u8]) -> Option<&str> {
    let text = str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let is_visible = text.chars().all(|c| c == '\t' || !c.is_control());
    is_visible.then_some(text)
}

/// The elements of a comma-separated list, the empty ones left out.
pub(crate) fn comma_list(value: &str) -> impl Iterator<Item = &str> {
    CommaList { rest: value }.filter(|element| !element.is_empty())
}

/// A comma in a quoted string does not separate.
struct CommaList<'a> {
    rest: &'a str,
}

impl<'a> Iterator for CommaList<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = self.rest.bytes().position(|byte| {
            let was_escaped = std::mem::take(&mut is_escaped);
            match byte {
                b'\\' if is_quoted && !was_escaped => is_escaped = true,
                b'"' if !was_escaped => is_quoted = !is_quoted,
                b',' => return !is_quoted,
                _ => {}
            }
            false
        });
        let (element, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, ""),
        };
        self.rest = rest;
        Some(element.trim_matches([' ', '\t']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request<'_> {
        match parse_head(text.as_bytes()) {
            Ok(Head::Complete { request, length }) => {
                assert_eq!(length, text.len());
                request
            }
            other => panic!("{other:?}: {text:?}"),
        }
    }

    fn refusal(bytes: &[u8]) -> Option<u16> {
        parse_head(bytes).err().map(|error| error.status.code())
    }

    #[test]
    fn a_head_is_read_at_its_last_byte_and_not_before() {
        let text = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nEmpty:\r\n\r\nrest";
        let length = text.len() - 4;
        for split in 0..length {
            assert_eq!(parse_head(&text.as_bytes()[..split]), Ok(Head::Incomplete));
        }
        let Ok(Head::Complete {
            request,
            length: found,
        }) = parse_head(text.as_bytes())
        else {
            panic!("a whole head");
        };
        assert_eq!(found, length);
        assert_eq!((request.method, request.target), ("GET", "/a?b=c"));
        assert_eq!(request.header("HOST"), Some("x"));
        assert_eq!(request.header("empty"), Some(""));
        assert_eq!(request.header("none"), None);
        assert!(!request.is_http_1_0);
    }

    #[test]
    fn what_cannot_become_a_head_is_refused_at_once() {
        for (bytes, code) in [
            (&b"\x10\x0C\0\x04MQTT"[..], 400),
            (b"\x16\x03\x01\x02\0", 400),
            (b"G\0", 400),
            (b"GET / HTTP/2.0\r\n", 505),
            (b"GET / HTTP/1.1\r\nno colon\r\n", 400),
            (b"GET / HTTP/1.1\r\na: \x01\r\n", 400),
            (b"GET / HTTP/1.1\r\na : b\r\n", 400),
            (b"GET / HTTP/1.1\r\na: b\r\n folded\r\n", 400),
        ] {
            assert_eq!(refusal(bytes), Some(code), "{}", bytes.escape_ascii());
        }
        assert!(request("GET / HTTP/1.0\r\n\r\n").is_http_1_0);
    }

    #[test]
    fn header_bombs_are_refused_within_the_limits() {
        let line = "GET / HTTP/1.1\r\n";
        let headers = |count| format!("{line}{}", "a:\r\n".repeat(count));
        assert_eq!(refusal(headers(100).as_bytes()), None);
        assert_eq!(refusal(headers(101).as_bytes()), Some(431));
        assert_eq!(refusal(headers(100_000).as_bytes()), Some(431));
        let huge = format!("{line}a: {}", "x".repeat(1 << 20));
        assert_eq!(refusal(huge.as_bytes()), Some(431));
        let huge = format!("GET /{}", "x".repeat(1 << 20));
        assert_eq!(refusal(huge.as_bytes()), Some(414));
    }

    #[test]
    fn a_head_has_16_kib_whatever_follows_it() {
        let with = |length: usize| {
            let text = "GET / HTTP/1.1\r\na: \r\n\r\n";
            text.replace("a: ", &format!("a: {}", "x".repeat(length - text.len())))
        };
        request(&with(HEAD_BYTES_MAX));
        let incomplete = &with(HEAD_BYTES_MAX)[..HEAD_BYTES_MAX - 1];
        assert_eq!(parse_head(incomplete.as_bytes()), Ok(Head::Incomplete));
        let over = with(HEAD_BYTES_MAX + 1);
        assert_eq!(refusal(over.as_bytes()), Some(431));
        assert_eq!(refusal(&over.as_bytes()[..HEAD_BYTES_MAX]), Some(431));
    }

    #[test]
    fn targets_are_paths_or_whole_urls() {
        for (target, path, query) in [
            ("/", "/", None),
            ("/a/b?", "/a/b", Some("")),
            ("/a?b?c", "/a", Some("b?c")),
            ("//a", "//a", None),
            ("/a://b", "/a://b", None),
            ("http://h:1/p?q", "/p", Some("q")),
            ("WS://h", "/", None),
            ("http://h?q", "/", Some("q")),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\n\r\n");
            let request = request(&text);
            assert_eq!((request.path(), request.query()), (path, query), "{target}");
        }
        for target in [
            "*",
            "a",
            "host:80",
            "ftp://h/",
            "http:///a",
            "/a#b",
            "/ä",
            "?a",
        ] {
            let text = format!("GET {target} HTTP/1.1\r\n\r\n");
            assert_eq!(refusal(text.as_bytes()), Some(400), "{target}");
        }
        request("OPTIONS * HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn the_host_is_that_of_the_target_or_of_the_only_host_header() {
        let host = |text: &str| request(text).host().map(str::to_owned);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(host("GET / HTTP/1.1\r\nHost: a:1\r\n\r\n"), some("a:1"));
        assert_eq!(host("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), some("b"));
        assert_eq!(host("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), None);
        assert_eq!(host("GET / HTTP/1.1\r\n\r\n"), None);
    }

    #[test]
    fn lists_run_over_repeated_headers_and_respect_quotes() {
        let request = request(concat!(
            "GET / HTTP/1.1\r\nl: a, ,B\r\nL:\tc;d=\"e,\\\",f\" ,g\r\nl: ä\r\n",
            "n: x\r\n\r\n"
        ));
        let list: Vec<_> = request.tokens("l").collect();
        assert_eq!(list, ["a", "B", "c;d=\"e,\\\",f\"", "g", "ä"]);
        assert_eq!((request.count("l"), request.count("m")), (3, 0));
        assert!(request.has_token("l", "b") && !request.has_token("l", "c"));
    }

    #[test]
    fn values_that_are_no_text_are_not_seen() {
        let Ok(Head::Complete { request, .. }) =
            parse_head(b"GET / HTTP/1.1\r\na: \xFF\r\na: b\r\n\r\n")
        else {
            panic!("a whole head");
        };
        assert_eq!(request.header("a"), None);
        assert_eq!(request.all("a").collect::<Vec<_>>(), ["b"]);
        assert_eq!(request.count("a"), 2);
    }

    #[test]
    fn a_body_is_announced_by_either_header() {
        for (header, has_body) in [
            ("Content-Length: 0", false),
            ("Content-Length: 1", true),
            ("Content-Length: x", true),
            ("Transfer-Encoding: chunked", true),
            ("Accept: *", false),
        ] {
            let text = format!("GET / HTTP/1.1\r\n{header}\r\n\r\n");
            assert_eq!(request(&text).has_body(), has_body, "{header}");
        }
    }
}
