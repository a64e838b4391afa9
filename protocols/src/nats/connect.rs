//! The options of a connection.

use super::Violation;
use super::json::{self, Malformed, Value};
use crate::wire::utf8;

/// What a client asks for in its CONNECT. Options that change nothing here are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The server answers every op with +OK.
    pub verbose: bool,
    /// The server checks subjects that it need not check.
    pub pedantic: bool,
    /// The client receives its own messages.
    pub echo: bool,
    /// The client understands HMSG.
    pub headers: bool,
    /// The client wants to be told when nobody listens to a request.
    pub no_responders: bool,
    /// For people.
    pub name: Option<String>,
    /// Who the client is.
    pub user: Option<String>,
    /// Proves it.
    pub pass: Option<String>,
    /// Says and proves it at once.
    pub auth_token: Option<String>,
    /// Says who the client is, signed by someone else.
    pub jwt: Option<String>,
}

/// The options of a client that sends no CONNECT, and of an empty one.
impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            name: None,
            user: None,
            pass: None,
            auth_token: None,
            jwt: None,
        }
    }
}

/// Reads the options of an [`Op::Connect`](super::Op::Connect). Keys have no case, as with
/// nats-server. An option that is missing or null has its default, the last of several counts, and
/// unknown ones are skipped.
///
/// # Errors
/// [`Violation::ParserError`] if it is not a JSON object in UTF-8, or if an option has the wrong
/// type; the violation of an option that cannot be had.
pub fn parse_connect(json: &[u8]) -> Result<ConnectOptions, Violation> {
    let mut options = ConnectOptions::default();
    let mut knows_protocol = true;
    let text = utf8(json).map_err(|_| Violation::ParserError)?;
    json::read_object(text, |mut key, value| {
        key.make_ascii_lowercase();
        match (options.field(&key), value) {
            (Some(Field::Flag(flag)), Value::Bool(value)) => *flag = value,
            (Some(Field::Text(text)), Value::String(value)) => *text = Some(value),
            (Some(Field::Protocol), Value::Number(value)) => {
                knows_protocol = matches!(value.as_str(), "0" | "1");
            }
            (None, _) | (_, Value::Null) => {}
            (Some(_), _) => return Err(Malformed),
        }
        Ok(())
    })
    .map_err(|Malformed| Violation::ParserError)?;
    if !knows_protocol {
        return Err(Violation::InvalidClientProtocol);
    }
    if options.no_responders && !options.headers {
        return Err(Violation::NoRespondersRequiresHeaders);
    }
    Ok(options)
}

/// Where the value of a key goes.
enum Field<'a> {
    Flag(&'a mut bool),
    Text(&'a mut Option<String>),
    Protocol,
}

impl ConnectOptions {
    fn field(&mut self, key: &str) -> Option<Field<'_>> {
        Some(match key {
            "verbose" => Field::Flag(&mut self.verbose),
            "pedantic" => Field::Flag(&mut self.pedantic),
            "echo" => Field::Flag(&mut self.echo),
            "headers" => Field::Flag(&mut self.headers),
            "no_responders" => Field::Flag(&mut self.no_responders),
            "name" => Field::Text(&mut self.name),
            "user" => Field::Text(&mut self.user),
            "pass" => Field::Text(&mut self.pass),
            "auth_token" => Field::Text(&mut self.auth_token),
            "jwt" => Field::Text(&mut self.jwt),
            "protocol" => Field::Protocol,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_has_its_default() {
        for json in [
            "{}",
            r#"{"echo":null,"name":null,"lang":"x","tls":{"a":[]}}"#,
        ] {
            assert_eq!(
                parse_connect(json.as_bytes()),
                Ok(ConnectOptions::default())
            );
        }
    }

    #[test]
    fn options_of_a_real_client_are_read() {
        let json = br#"{"echo": false, "lang": "python3", "protocol": 1, "version": "2.9.0",
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "name": "n", "user": "u", "pass": "p\u0021", "auth_token": "t", "jwt": "j"}"#;
        let text = |text: &str| Some(text.to_owned());
        let expected = ConnectOptions {
            verbose: false,
            pedantic: false,
            echo: false,
            headers: true,
            no_responders: true,
            name: text("n"),
            user: text("u"),
            pass: text("p!"),
            auth_token: text("t"),
            jwt: text("j"),
        };
        assert_eq!(parse_connect(json), Ok(expected));
    }

    #[test]
    fn what_is_not_connect_is_refused() {
        for json in [
            b"".as_slice(),
            b"[]",
            b"{\"verbose\":1}",
            b"{\"verbose\":\"true\"}",
            b"{\"user\":7}",
            b"{\"user\":true}",
            b"{\"echo\":[]}",
            b"{\"protocol\":\"1\"}",
            b"{\"name\":\"\xFF\"}",
        ] {
            assert_eq!(parse_connect(json), Err(Violation::ParserError));
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused_in_words() {
        for (json, violation) in [
            (r#"{"protocol":2}"#, Violation::InvalidClientProtocol),
            (r#"{"protocol":-1}"#, Violation::InvalidClientProtocol),
            (
                r#"{"no_responders":true,"headers":false}"#,
                Violation::NoRespondersRequiresHeaders,
            ),
        ] {
            assert_eq!(parse_connect(json.as_bytes()), Err(violation));
        }
        let quiet = parse_connect(br#"{"Protocol":0,"VERBOSE":false}"#);
        assert!(quiet.is_ok_and(|options| !options.verbose));
    }
}
