//! What the two sides agree on in the handshake `[RFC7692 7.1]`.

/// The extension's name.
const NAME: &str = "permessage-deflate";
/// The largest window that we ask for and that we compress with: it is what an idle connection
/// keeps, 8 KiB.
pub(super) const WINDOW_BITS_MAX: u8 = 13;
/// The window of a side that says nothing about it `[RFC7692 7.1.2]`.
const WINDOW_BITS_DEFAULT: u8 = 15;
/// The smallest window that we can compress with.
pub(super) const WINDOW_BITS_MIN: u8 = 9;

/// The parameters that both sides keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The server's window is at most 2 to this power, 9 to 15. It is said unless it is 15.
    pub server_bits: u8,
    /// The client's window is at most 2 to this power, 8 to 15. It is said unless it is 15.
    pub client_bits: u8,
    /// The server begins every message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client begins every message with an empty window.
    pub client_no_context_takeover: bool,
}

/// Chooses among what a client offers in its `Sec-WebSocket-Extensions` headers: the first offer
/// of permessage-deflate that can be kept. An offer with a parameter that is unknown, repeated or
/// ill-valued is declined `[RFC7692 7.1]`, and so is a window of 2^8 for us.
///
/// What the client's window costs us is bounded: a client that can be told its size is told at
/// most 2^13, one that cannot begins every message anew.
pub fn negotiate<'a>(offers: impl IntoIterator<Item = &'a str>) -> Option<Agreed> {
    offers
        .into_iter()
        .find_map(|value| Extensions { rest: value }.find_map(|parameters| parameters?.agree()))
}

impl Agreed {
    /// What a client agreed to when a server answers this to an offer. `None` if the answer is
    /// not one valid permessage-deflate.
    pub fn from_answer(value: &str) -> Option<Self> {
        let mut extensions = Extensions { rest: value };
        let parameters = extensions.next()??;
        if extensions.next().is_some() {
            return None;
        }
        Some(Self {
            server_bits: parameters.server_bits.unwrap_or(WINDOW_BITS_DEFAULT),
            client_bits: match parameters.client_bits {
                None => WINDOW_BITS_DEFAULT,
                Some(bits) => bits?,
            },
            server_no_context_takeover: parameters.server_no_context_takeover,
            client_no_context_takeover: parameters.client_no_context_takeover,
        })
    }

    /// The same with the sides exchanged, for a client that compresses as a server does.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        Self {
            server_bits: self.client_bits,
            client_bits: self.server_bits,
            server_no_context_takeover: self.client_no_context_takeover,
            client_no_context_takeover: self.server_no_context_takeover,
        }
    }

    /// Appends the value of the `Sec-WebSocket-Extensions` header that says so.
    pub fn put_header_value(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NAME.as_bytes());
        if self.server_no_context_takeover {
            out.extend_from_slice(b"; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            out.extend_from_slice(b"; client_no_context_takeover");
        }
        put_bits(out, "; server_max_window_bits=", self.server_bits);
        put_bits(out, "; client_max_window_bits=", self.client_bits);
    }
}

fn put_bits(out: &mut Vec<u8>, name: &str, bits: u8) {
    if bits < WINDOW_BITS_DEFAULT {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(bits.to_string().as_bytes());
    }
}

/// The parameters of one offer or answer.
#[derive(Debug, Default)]
struct Parameters {
    server_bits: Option<u8>,
    /// An offer may leave the number to the server.
    client_bits: Option<Option<u8>>,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
}

impl Parameters {
    fn agree(&self) -> Option<Agreed> {
        let server_bits = match self.server_bits {
            Some(..WINDOW_BITS_MIN) => return None,
            Some(bits) => bits.min(WINDOW_BITS_MAX),
            None => WINDOW_BITS_DEFAULT,
        };
        let client_no_context_takeover =
            self.client_no_context_takeover || self.client_bits.is_none();
        let client_bits = match self.client_bits {
            Some(bits) if !client_no_context_takeover => {
                bits.map_or(WINDOW_BITS_MAX, |bits| bits.min(WINDOW_BITS_MAX))
            }
            _ => WINDOW_BITS_DEFAULT,
        };
        Some(Agreed {
            server_bits,
            client_bits,
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover,
        })
    }

    /// Takes a parameter; `None` if it cannot be taken.
    fn take(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        let is_new = match (name, value) {
            ("server_no_context_takeover", None) => {
                !std::mem::replace(&mut self.server_no_context_takeover, true)
            }
            ("client_no_context_takeover", None) => {
                !std::mem::replace(&mut self.client_no_context_takeover, true)
            }
            ("server_max_window_bits", Some(value)) => {
                self.server_bits.replace(window_bits(value)?).is_none()
            }
            ("client_max_window_bits", value) => {
                let bits = match value {
                    Some(value) => Some(window_bits(value)?),
                    None => None,
                };
                self.client_bits.replace(bits).is_none()
            }
            _ => false,
        };
        is_new.then_some(())
    }
}

/// A decimal number from 8 to 15 without leading zeros `[RFC7692 7.1.2.1]`.
fn window_bits(value: &str) -> Option<u8> {
    let is_short = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits));
    bits.filter(|_| is_short)
}

/// The extensions of a header value: the parameters of each, or `None` if it is another extension
/// or if its parameters are wrong. Ends where the syntax is wrong `[RFC6455 9.1]`.
struct Extensions<'a> {
    rest: &'a str,
}

impl Iterator for Extensions<'_> {
    type Item = Option<Parameters>;

    fn next(&mut self) -> Option<Self::Item> {
        let extension = self.extension();
        if extension.is_none() {
            self.rest = "";
        }
        extension
    }
}

impl<'a> Extensions<'a> {
    fn extension(&mut self) -> Option<Option<Parameters>> {
        let name = self.token()?;
        let mut parameters = (name == NAME).then(Parameters::default);
        while self.skip(';') {
            let name = self.token()?;
            let value = if self.skip('=') {
                Some(self.value()?)
            } else {
                None
            };
            parameters = parameters.and_then(|mut parameters| {
                parameters.take(name, value)?;
                Some(parameters)
            });
        }
        let is_ended = self.skip(',') || self.rest.is_empty();
        is_ended.then_some(parameters)
    }

    fn token(&mut self) -> Option<&'a str> {
        self.skip_spaces();
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let length = self.rest.bytes().take_while(|&byte| is_token(byte)).count();
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.skip_spaces();
        (!token.is_empty()).then_some(token)
    }

    /// A token, which may be quoted. No number needs an escape, so none is undone.
    fn value(&mut self) -> Option<&'a str> {
        if !self.skip('"') {
            return self.token();
        }
        let escaped = self.rest.bytes().scan(false, |is_escaped, byte| {
            let is_end = byte == b'"' && !*is_escaped;
            *is_escaped = byte == b'\\' && !*is_escaped;
            (!is_end).then_some(())
        });
        let (value, rest) = self.rest.split_at(escaped.count());
        self.rest = rest.strip_prefix('"')?;
        self.skip_spaces();
        Some(value)
    }

    /// Skips this character, if it comes next, and the spaces around it.
    fn skip(&mut self, character: char) -> bool {
        self.skip_spaces();
        let Some(rest) = self.rest.strip_prefix(character) else {
            return false;
        };
        self.rest = rest;
        true
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is answered to these headers.
    fn answer(offers: &[&str]) -> Option<String> {
        let agreed = negotiate(offers.iter().copied())?;
        let mut out = Vec::new();
        agreed.put_header_value(&mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(Agreed::from_answer(&text), Some(agreed));
        Some(text.strip_prefix(NAME).expect("the name").to_owned())
    }

    #[test]
    fn rfc7692_7_1_offers_that_are_taken() {
        let no_client = "; client_no_context_takeover";
        for (offer, expected) in [
            ("permessage-deflate", no_client),
            (
                "permessage-deflate; client_max_window_bits",
                "; client_max_window_bits=13",
            ),
            (
                "permessage-deflate;client_max_window_bits=15",
                "; client_max_window_bits=13",
            ),
            (
                "permessage-deflate;client_max_window_bits=10",
                "; client_max_window_bits=10",
            ),
            (
                "permessage-deflate ; client_max_window_bits = \"8\" ",
                "; client_max_window_bits=8",
            ),
            (
                "permessage-deflate; client_max_window_bits; client_no_context_takeover",
                no_client,
            ),
            (
                "permessage-deflate; server_no_context_takeover; client_max_window_bits",
                "; server_no_context_takeover; client_max_window_bits=13",
            ),
            (
                "permessage-deflate; server_max_window_bits=9",
                "; client_no_context_takeover; server_max_window_bits=9",
            ),
            (
                "permessage-deflate; server_max_window_bits=15",
                "; client_no_context_takeover; server_max_window_bits=13",
            ),
            (
                "permessage-bzip2; level=\"a,;b\\\"c\", permessage-deflate",
                no_client,
            ),
            (
                "permessage-deflate; server_max_window_bits=8, permessage-deflate",
                no_client,
            ),
        ] {
            assert_eq!(answer(&[offer]).as_deref(), Some(expected), "{offer}");
        }
        let headers = ["x-webkit-deflate-frame", "permessage-deflate"];
        assert_eq!(answer(&headers).as_deref(), Some(no_client));
    }

    #[test]
    fn rfc7692_7_1_offers_that_are_declined() {
        for offer in [
            "",
            "permessage-deflat",
            "permessage-deflate; level=9",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"\"",
            "permessage-deflate; client_max_window_bits=\"9",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=9; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate;",
            "permessage-deflate; =9",
            "permessage-deflate foo",
            "foo bar, permessage-deflate",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
    }

    #[test]
    fn answers_that_no_client_takes() {
        for answer in [
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate, permessage-deflate",
            "x",
            "",
        ] {
            assert_eq!(Agreed::from_answer(answer), None, "{answer}");
        }
    }
}
