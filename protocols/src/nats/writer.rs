//! What servers send.

use super::json;

/// What a server says of itself when a client connects, and when that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info<'a> {
    /// Names this server among all.
    pub server_id: &'a str,
    /// For people.
    pub server_name: &'a str,
    /// Of the server. Some clients do not connect without it.
    pub version: &'a str,
    /// The address that the server listens on.
    pub host: &'a str,
    /// The port that the server listens on.
    pub port: u16,
    /// Bytes of headers and payload together. Some clients publish nothing without it.
    pub max_payload: usize,
    /// Names this connection.
    pub client_id: u64,
    /// The address of the client, as the server sees it.
    pub client_ip: Option<&'a str>,
    /// CONNECT needs a user, a token or the like.
    pub auth_required: bool,
    /// The server is about to close: clients go elsewhere.
    pub lame_duck: bool,
}

/// Appends an INFO.
pub fn put_info(out: &mut Vec<u8>, info: &Info<'_>) {
    out.extend_from_slice(b"INFO {\"server_id\":");
    json::put_string(out, info.server_id);
    for (key, value) in [
        ("server_name", info.server_name),
        ("version", info.version),
        ("go", ""),
        ("host", info.host),
    ] {
        put_key(out, key);
        json::put_string(out, value);
    }
    put_key(out, "port");
    put_decimal(out, u64::from(info.port));
    out.extend_from_slice(b",\"headers\":true,\"proto\":1");
    put_key(out, "max_payload");
    put_length(out, info.max_payload);
    put_key(out, "client_id");
    put_decimal(out, info.client_id);
    if let Some(client_ip) = info.client_ip {
        put_key(out, "client_ip");
        json::put_string(out, client_ip);
    }
    for (key, is_set) in [
        ("auth_required", info.auth_required),
        ("ldm", info.lame_duck),
    ] {
        if is_set {
            put_key(out, key);
            out.extend_from_slice(b"true");
        }
    }
    out.extend_from_slice(b"}\r\n");
}

/// Appends a +OK.
pub fn put_ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// Appends a PING.
pub fn put_ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// Appends a PONG.
pub fn put_pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

/// Appends an -ERR. What would end the line or the quotes in `words` becomes a blank.
pub fn put_error(out: &mut Vec<u8>, words: &str) {
    out.extend_from_slice(b"-ERR '");
    out.extend(words.bytes().map(|byte| match byte {
        b'\r' | b'\n' | b'\'' => b' ',
        other => other,
    }));
    out.extend_from_slice(b"'\r\n");
}

/// Appends the line of a MSG, or of an HMSG if the message has headers of `headers_length` bytes.
/// The caller appends headers, payload and CR LF.
#[inline]
pub fn put_msg_head(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    headers_length: Option<usize>,
    payload_length: usize,
) {
    let reply_length = reply.map_or(0, |reply| reply.len() + 1);
    out.reserve(subject.len() + sid.len() + reply_length + 2 * DIGITS_MAX + 10);
    out.extend_from_slice(if headers_length.is_some() {
        b"HMSG "
    } else {
        b"MSG "
    });
    out.extend_from_slice(subject);
    out.push(b' ');
    out.extend_from_slice(sid);
    out.push(b' ');
    if let Some(reply) = reply {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if let Some(headers_length) = headers_length {
        put_length(out, headers_length);
        out.push(b' ');
    }
    put_length(out, headers_length.unwrap_or(0) + payload_length);
    out.extend_from_slice(b"\r\n");
}

fn put_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

const DIGITS_MAX: usize = 20;

#[inline]
fn put_length(out: &mut Vec<u8>, length: usize) {
    // No machine has longer lengths than 64 bits.
    put_decimal(out, u64::try_from(length).unwrap_or(u64::MAX));
}

/// Without the machinery of formatting, which costs more than the rest of a MSG.
#[inline]
fn put_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        digits[start] += u8::try_from(value % 10).expect("a digit fits in a byte");
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(reply: Option<&[u8]>, headers: Option<usize>, payload: usize) -> String {
        let mut out = Vec::new();
        put_msg_head(&mut out, b"a.b", b"9", reply, headers, payload);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn heads_of_messages_have_the_lengths_of_their_parts() {
        assert_eq!(head(None, None, 0), "MSG a.b 9 0\r\n");
        assert_eq!(
            head(Some(b"_INBOX.1"), None, 12),
            "MSG a.b 9 _INBOX.1 12\r\n"
        );
        assert_eq!(head(None, Some(16), 0), "HMSG a.b 9 16 16\r\n");
        assert_eq!(
            head(Some(b"r"), Some(30), 1_048_546),
            "HMSG a.b 9 r 30 1048576\r\n"
        );
    }

    #[test]
    fn decimals_are_those_of_the_standard_library() {
        for value in [0, 1, 9, 10, 99, 100, 65_535, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_decimal(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }

    #[test]
    fn info_is_one_line_of_json() {
        let info = Info {
            server_id: "S\"1",
            server_name: "n\r\n",
            version: "2.10.0",
            host: "127.0.0.1",
            port: 4222,
            max_payload: 1_048_576,
            client_id: 7,
            client_ip: None,
            auth_required: false,
            lame_duck: false,
        };
        let mut out = Vec::new();
        put_info(&mut out, &info);
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            concat!(
                r#"INFO {"server_id":"S\"1","server_name":"n\u000d\u000a","version":"2.10.0","go":"","#,
                r#""host":"127.0.0.1","port":4222,"headers":true,"proto":1,"max_payload":1048576,"#,
                r#""client_id":7}"#,
                "\r\n"
            )
        );
        let mut out = Vec::new();
        let info = Info {
            client_ip: Some("::1"),
            auth_required: true,
            lame_duck: true,
            ..info
        };
        put_info(&mut out, &info);
        assert!(out.ends_with(b",\"client_ip\":\"::1\",\"auth_required\":true,\"ldm\":true}\r\n"));
    }

    #[test]
    fn errors_stay_on_their_line() {
        let mut out = Vec::new();
        put_error(&mut out, "no 'x'\r\n+OK");
        assert_eq!(out, b"-ERR 'no  x   +OK'\r\n");
    }
}
