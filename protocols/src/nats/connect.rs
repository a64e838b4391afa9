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

/// Reads the options of an [`Op::Connect`](super::Op::Connect). An option that is missing or null
/// has its default, the last of several counts, and unknown ones are skipped.
///
/// # Errors
/// [`Violation::ParserError`] if it is not a JSON object in UTF-8, or if an option has the wrong
/// type.
pub fn parse_connect(json: &[u8]) -> Result<ConnectOptions, Violation> {
    let mut options = ConnectOptions::default();
    let text = utf8(json).map_err(|_| Violation::ParserError)?;
    json::read_object(text, |key, value| set(&mut options, &key, value))
        .map_err(|Malformed| Violation::ParserError)?;
    Ok(options)
}

fn set(options: &mut ConnectOptions, key: &str, value: Value) -> Result<(), Malformed> {
    let flag = match key {
        "verbose" => &mut options.verbose,
        "pedantic" => &mut options.pedantic,
        "echo" => &mut options.echo,
        "headers" => &mut options.headers,
        "no_responders" => &mut options.no_responders,
        _ => return set_text(options, key, value),
    };
    match value {
        Value::Bool(value) => *flag = value,
        Value::Null => {}
        _ => return Err(Malformed),
    }
    Ok(())
}

fn set_text(options: &mut ConnectOptions, key: &str, value: Value) -> Result<(), Malformed> {
    let text = match key {
        "name" => &mut options.name,
        "user" => &mut options.user,
        "pass" => &mut options.pass,
        "auth_token" => &mut options.auth_token,
        "jwt" => &mut options.jwt,
        _ => return Ok(()),
    };
    match value {
        Value::String(value) => *text = Some(value),
        Value::Null => {}
        _ => return Err(Malformed),
    }
    Ok(())
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
            b"{\"name\":\"\xFF\"}",
        ] {
            assert_eq!(parse_connect(json), Err(Violation::ParserError));
        }
    }
}
