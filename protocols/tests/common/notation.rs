//! Packets written down as the specification draws them.
//!
//! `10 [ s'MQTT' 05 02 003C [ 21 0014 ] s'id' ]`: hexadecimal bytes; `'…'` bytes of a text;
//! `s'…'` a string with its length; `[ … ]` a part with its length as a Variable Byte Integer.

use ringbus_protocols::wire::{put_str, put_varint};

/// The bytes of a packet in the notation of this module.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut open = vec![Vec::new()];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut out = open
            .pop()
            .unwrap_or_else(|| panic!("] too often in {text}"));
        let length = match first {
            '[' => {
                open.push(out);
                out = Vec::new();
                1
            }
            ']' => {
                let part = std::mem::replace(&mut out, open.pop().expect("[ before ]"));
                put_varint(&mut out, u32::try_from(part.len()).expect("short"));
                out.extend(part);
                1
            }
            '\'' => {
                let quoted = rest[1..].split('\'').next().expect("closing quote");
                out.extend(quoted.as_bytes());
                quoted.len() + 2
            }
            's' => {
                let quoted = rest[2..].split('\'').next().expect("closing quote");
                put_str(&mut out, quoted);
                quoted.len() + 3
            }
            _ => {
                let pair = rest
                    .get(..2)
                    .unwrap_or_else(|| panic!("half a byte in {text}"));
                out.push(u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{pair}: {text}")));
                2
            }
        };
        open.push(out);
        rest = rest[length..].trim_start();
    }
    assert_eq!(open.len(), 1, "[ without ] in {text}");
    open.remove(0)
}
