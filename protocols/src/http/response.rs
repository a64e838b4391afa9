//! Responses that end the connection `[RFC9112 4]`.

use std::error::Error;
use std::fmt;

/// A status code that is sent here `[RFC9110 15]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// The connection is a WebSocket from here on.
    SwitchingProtocols = 101,
    /// A body follows.
    Ok = 200,
    /// Done; there is no body.
    NoContent = 204,
    /// The request is malformed, or asks for what cannot be.
    BadRequest = 400,
    /// The Origin is not allowed.
    Forbidden = 403,
    /// Nothing is at this path.
    NotFound = 404,
    /// The path does not take this method.
    MethodNotAllowed = 405,
    /// The request did not come in time.
    RequestTimeout = 408,
    /// The target does not fit.
    UriTooLong = 414,
    /// Another version of the protocol is asked for.
    UpgradeRequired = 426,
    /// The client asks too often.
    TooManyRequests = 429,
    /// The headers do not fit, or are too many.
    HeadersTooLarge = 431,
    /// It is our fault.
    ServerError = 500,
    /// The broker has no room, or is about to stop.
    Unavailable = 503,
    /// The HTTP version is not 1.1.
    VersionNotSupported = 505,
}

impl Status {
    /// The code, three digits.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Code and reason phrase, as in a status line.
    pub const fn line(self) -> &'static str {
        match self {
            Self::SwitchingProtocols => "101 Switching Protocols",
            Self::Ok => "200 OK",
            Self::NoContent => "204 No Content",
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::UriTooLong => "414 URI Too Long",
            Self::UpgradeRequired => "426 Upgrade Required",
            Self::TooManyRequests => "429 Too Many Requests",
            Self::HeadersTooLarge => "431 Request Header Fields Too Large",
            Self::ServerError => "500 Internal Server Error",
            Self::Unavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line())
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpError {
    /// The status to answer.
    pub status: Status,
    /// What is wrong, in a few words.
    pub words: &'static str,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.words)
    }
}

impl Error for HttpError {}

/// Appends a whole response, the last one of its connection. `content-length` and `connection` are
/// added to `headers`.
///
/// # Panics
/// For 101, and if a header has a line break or `status` cannot have this body: bugs of the caller.
pub fn put_response(out: &mut Vec<u8>, status: Status, headers: &[(&str, &str)], body: &[u8]) {
    put_response_head(out, status, headers, body.len());
    out.extend_from_slice(body);
}

/// Appends the head of a response: all of the answer to a `HEAD` request.
///
/// # Panics
/// As [`put_response`].
pub fn put_response_head(
    out: &mut Vec<u8>,
    status: Status,
    headers: &[(&str, &str)],
    body_bytes: usize,
) {
    assert!(
        status != Status::SwitchingProtocols,
        "a 101 does not end the connection"
    );
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.line().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        put_header(out, name, value);
    }
    if status == Status::NoContent {
        // [RFC9110 8.6]: a 204 has no content-length.
        assert!(body_bytes == 0, "a 204 has no body");
    } else {
        put_header(out, "content-length", &body_bytes.to_string());
    }
    put_header(out, "connection", "close");
    out.extend_from_slice(b"\r\n");
}

/// Appends a header. Values come from us, or were checked to be one line.
pub(crate) fn put_header(out: &mut Vec<u8>, name: &str, value: &str) {
    assert!(
        !value.bytes().any(|byte| byte == b'\r' || byte == b'\n'),
        "a header is one line"
    );
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Status; 15] = [
        Status::SwitchingProtocols,
        Status::Ok,
        Status::NoContent,
        Status::BadRequest,
        Status::Forbidden,
        Status::NotFound,
        Status::MethodNotAllowed,
        Status::RequestTimeout,
        Status::UriTooLong,
        Status::UpgradeRequired,
        Status::TooManyRequests,
        Status::HeadersTooLarge,
        Status::ServerError,
        Status::Unavailable,
        Status::VersionNotSupported,
    ];

    #[test]
    fn lines_start_with_their_codes() {
        for status in ALL {
            let (code, reason) = status.line().split_once(' ').expect("code and reason");
            assert_eq!(code, status.code().to_string());
            assert!(!reason.is_empty());
        }
    }

    #[test]
    fn responses_say_their_length_and_that_they_are_the_last() {
        let mut out = Vec::new();
        put_response(&mut out, Status::Ok, &[("content-type", "a/b")], b"body");
        let whole = "HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 4\r\n\
                     connection: close\r\n\r\nbody";
        assert_eq!(String::from_utf8_lossy(&out), whole);
        out.clear();
        put_response_head(&mut out, Status::Ok, &[("content-type", "a/b")], 4);
        assert_eq!(String::from_utf8_lossy(&out), whole[..whole.len() - 4]);
    }

    #[test]
    fn no_content_has_no_length() {
        let mut out = Vec::new();
        put_response(&mut out, Status::NoContent, &[], b"");
        let text = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), text);
    }

    #[test]
    #[should_panic(expected = "one line")]
    fn headers_cannot_be_smuggled_into_a_value() {
        put_response(&mut Vec::new(), Status::Ok, &[("a", "b\r\nc: d")], b"");
    }
}
