//! As much JSON as CONNECT and INFO need: the members of one object, strict about the syntax
//! `[RFC8259]`. Arrays and objects inside it are checked and skipped.

/// Arrays and objects in one another, the outermost included.
const DEPTH_MAX: u8 = 16;

/// What a member of an object may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    String(String),
    /// A number, as it is written.
    Number(String),
    /// An array or an object: no option is one.
    Other,
}

/// The text is not JSON, or not an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads an object and hands over its members in order.
pub(super) fn read_object(
    text: &str,
    member: impl FnMut(String, Value) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut scanner = Scanner { rest: text };
    scanner.skip_blanks();
    scanner.expect('{')?;
    scanner.members(DEPTH_MAX, member)?;
    if scanner.rest.is_empty() {
        Ok(())
    } else {
        Err(Malformed)
    }
}

/// Appends a string with its quotes.
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(b'0' + (byte >> 4));
                out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn next(&mut self) -> Result<char, Malformed> {
        let mut characters = self.rest.chars();
        let next = characters.next().ok_or(Malformed)?;
        self.rest = characters.as_str();
        Ok(next)
    }

    fn expect(&mut self, expected: char) -> Result<(), Malformed> {
        if self.next()? == expected {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// What follows `{`, and the blanks after the `}`.
    fn members(
        &mut self,
        depth: u8,
        mut member: impl FnMut(String, Value) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.elements('}', |scanner| {
            scanner.expect('"')?;
            let key = scanner.string()?;
            scanner.skip_blanks();
            scanner.expect(':')?;
            let value = scanner.value(depth)?;
            member(key, value)
        })
    }

    /// What is between commas up to `end`, and the blanks after it.
    fn elements(
        &mut self,
        end: char,
        mut element: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.skip_blanks();
        if !self.rest.starts_with(end) {
            loop {
                self.skip_blanks();
                element(self)?;
                self.skip_blanks();
                if !self.take(",") {
                    break;
                }
            }
        }
        self.expect(end)?;
        self.skip_blanks();
        Ok(())
    }

    fn value(&mut self, depth: u8) -> Result<Value, Malformed> {
        self.skip_blanks();
        for (word, value) in [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
        ] {
            if self.take(word) {
                return Ok(value);
            }
        }
        if self.take("\"") {
            return self.string().map(Value::String);
        }
        if self.rest.starts_with(['{', '[']) {
            let depth = depth.checked_sub(1).filter(|&depth| depth > 0);
            self.nested(depth.ok_or(Malformed)?)?;
            return Ok(Value::Other);
        }
        let before = self.rest;
        self.number()?;
        let length = before.len() - self.rest.len();
        Ok(Value::Number(before[..length].to_owned()))
    }

    fn nested(&mut self, depth: u8) -> Result<(), Malformed> {
        if self.next()? == '{' {
            // A closure here would be a type that contains itself.
            let ignore: fn(String, Value) -> Result<(), Malformed> = |_, _| Ok(());
            self.members(depth, ignore)
        } else {
            self.elements(']', |scanner| scanner.value(depth).map(drop))
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.take("-");
        let starts_with_zero = self.rest.starts_with('0');
        let digits = self.digits()?;
        if starts_with_zero && digits > 1 {
            return Err(Malformed);
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            self.digits()?;
        }
        Ok(())
    }

    /// Skips digits; how many there were, at least one.
    fn digits(&mut self) -> Result<usize, Malformed> {
        let after = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = self.rest.len() - after.len();
        self.rest = after;
        if count > 0 { Ok(count) } else { Err(Malformed) }
    }

    /// What follows the first quote of a string.
    fn string(&mut self) -> Result<String, Malformed> {
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                '\0'..' ' => return Err(Malformed),
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        Ok(match self.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.code_point()?,
            same @ ('"' | '\\' | '/') => same,
            _ => return Err(Malformed),
        })
    }

    fn code_point(&mut self) -> Result<char, Malformed> {
        let first = self.code_unit()?;
        let code = match first {
            0xD800..0xDC00 => {
                self.expect('\\')?;
                self.expect('u')?;
                let second = self.code_unit()?;
                if !(0xDC00..0xE000).contains(&second) {
                    return Err(Malformed);
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            code => code,
        };
        char::from_u32(code).ok_or(Malformed)
    }

    fn code_unit(&mut self) -> Result<u32, Malformed> {
        let mut code = 0;
        for _ in 0..4 {
            code = code * 16 + self.next()?.to_digit(16).ok_or(Malformed)?;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Value)>, Malformed> {
        let mut members = Vec::new();
        read_object(text, |key, value| {
            members.push((key, value));
            Ok(())
        })?;
        Ok(members)
    }

    #[test]
    fn members_come_in_order() {
        let text = r#" { "a" : true,"b":false , "c":null,"d":"x","e":-1.5e+3,"f":[{},[1,"]"]],
            "g":{"h":{"i":0}}, "a":"twice" } "#;
        let string = |text: &str| Value::String(text.to_owned());
        let expected = [
            ("a", Value::Bool(true)),
            ("b", Value::Bool(false)),
            ("c", Value::Null),
            ("d", string("x")),
            ("e", Value::Number("-1.5e+3".to_owned())),
            ("f", Value::Other),
            ("g", Value::Other),
            ("a", string("twice")),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value));
        assert_eq!(read(text), Ok(expected.to_vec()));
        assert_eq!(read("{}"), Ok(Vec::new()));
        assert_eq!(read("{ }"), Ok(Vec::new()));
    }

    #[test]
    fn escapes_are_those_of_rfc_8259() {
        let text = r#"{"k":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00é"}"#;
        let value = Value::String("\"\\/\u{8}\u{c}\n\r\té😀é".to_owned());
        assert_eq!(read(text), Ok(vec![("k".to_owned(), value)]));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[]",
            "1",
            "\"a\"",
            "null",
            "{}{}",
            "{} x",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":1e}",
            "{\"a\":-}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":tru}",
            "{\"a\":truex}",
            "{\"a\":[1,]}",
            "{\"a\":[}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":\"",
        ] {
            assert_eq!(read(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nest = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nest(usize::from(DEPTH_MAX) - 1)).is_ok());
        assert_eq!(read(&nest(usize::from(DEPTH_MAX))), Err(Malformed));
        assert_eq!(read(&"{\"a\":".repeat(100_000)), Err(Malformed));
    }

    #[test]
    fn strings_survive_the_round_trip() {
        let text: String = ('\0'..='\u{ff}').chain("😀\u{2028}".chars()).collect();
        let mut out = b"{\"k\":".to_vec();
        put_string(&mut out, &text);
        out.push(b'}');
        let out = String::from_utf8(out).expect("UTF-8");
        assert_eq!(read(&out), Ok(vec![("k".to_owned(), Value::String(text))]));
    }
}
