//! How the values of properties are read, written and measured: one module per kind, each with
//! the same three functions.

use super::{DecodeError, PropertyId, QoS};
use crate::topic::TopicName;
use crate::wire::{self, Reader};

type Read<T> = Result<T, DecodeError>;

/// A byte that is 0 or 1; anything else is a Protocol Error.
pub(super) mod boolean {
    use super::*;

    pub(in super::super) fn read(reader: &mut Reader<'_>, id: PropertyId) -> Read<bool> {
        match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::PropertyValueInvalid(id)),
        }
    }

    pub(in super::super) fn put(value: bool, out: &mut Vec<u8>) {
        out.push(u8::from(value));
    }

    pub(in super::super) fn len(_: bool) -> usize {
        1
    }
}

/// A byte that is 0 or 1: a server without a maximum leaves it out `[MQTT5-3.2.2.3.4]`.
pub(super) mod maximum_qos {
    use super::*;

    pub(in super::super) fn read(reader: &mut Reader<'_>, id: PropertyId) -> Read<QoS> {
        match reader.u8()? {
            0 => Ok(QoS::AtMostOnce),
            1 => Ok(QoS::AtLeastOnce),
            _ => Err(DecodeError::PropertyValueInvalid(id)),
        }
    }

    pub(in super::super) fn put(value: QoS, out: &mut Vec<u8>) {
        out.push(value.into());
    }

    pub(in super::super) fn len(_: QoS) -> usize {
        1
    }
}

/// A Two Byte Integer.
pub(super) mod two_bytes {
    use super::*;

    pub(in super::super) fn read(reader: &mut Reader<'_>, _: PropertyId) -> Read<u16> {
        Ok(reader.u16()?)
    }

    pub(in super::super) fn put(value: u16, out: &mut Vec<u8>) {
        wire::put_u16(out, value);
    }

    pub(in super::super) fn len(_: u16) -> usize {
        2
    }
}

/// A Two Byte Integer other than zero.
pub(super) mod nonzero_two_bytes {
    use super::*;
    pub(in super::super) use two_bytes::{len, put};

    pub(in super::super) fn read(reader: &mut Reader<'_>, id: PropertyId) -> Read<u16> {
        match reader.u16()? {
            0 => Err(DecodeError::PropertyValueInvalid(id)),
            value => Ok(value),
        }
    }
}

/// A Four Byte Integer.
pub(super) mod four_bytes {
    use super::*;

    pub(in super::super) fn read(reader: &mut Reader<'_>, _: PropertyId) -> Read<u32> {
        Ok(reader.u32()?)
    }

    pub(in super::super) fn put(value: u32, out: &mut Vec<u8>) {
        wire::put_u32(out, value);
    }

    pub(in super::super) fn len(_: u32) -> usize {
        4
    }
}

/// A Four Byte Integer other than zero.
pub(super) mod nonzero_four_bytes {
    use super::*;
    pub(in super::super) use four_bytes::{len, put};

    pub(in super::super) fn read(reader: &mut Reader<'_>, id: PropertyId) -> Read<u32> {
        match reader.u32()? {
            0 => Err(DecodeError::PropertyValueInvalid(id)),
            value => Ok(value),
        }
    }
}

/// A Variable Byte Integer other than zero.
pub(super) mod nonzero_varint {
    use super::*;

    pub(in super::super) fn read(reader: &mut Reader<'_>, id: PropertyId) -> Read<u32> {
        match reader.varint()? {
            0 => Err(DecodeError::PropertyValueInvalid(id)),
            value => Ok(value),
        }
    }

    pub(in super::super) fn put(value: u32, out: &mut Vec<u8>) {
        wire::put_varint(out, value);
    }

    pub(in super::super) fn len(value: u32) -> usize {
        wire::varint_len(value)
    }
}

/// A UTF-8 Encoded String.
pub(super) mod string {
    use super::*;

    pub(in super::super) fn read<'a>(reader: &mut Reader<'a>, _: PropertyId) -> Read<&'a str> {
        Ok(reader.string()?)
    }

    pub(in super::super) fn put(value: &str, out: &mut Vec<u8>) {
        wire::put_str(out, value);
    }

    pub(in super::super) fn len(value: &str) -> usize {
        wire::prefixed_len(value.len())
    }
}

/// A UTF-8 Encoded String that is a topic name.
pub(super) mod topic {
    use super::*;
    pub(in super::super) use string::{len, put};

    pub(in super::super) fn read<'a>(reader: &mut Reader<'a>, id: PropertyId) -> Read<&'a str> {
        let text = reader.string()?;
        match TopicName::parse(text) {
            Ok(_) => Ok(text),
            Err(_) => Err(DecodeError::PropertyValueInvalid(id)),
        }
    }
}

/// Binary Data.
pub(super) mod binary {
    use super::*;

    pub(in super::super) fn read<'a>(reader: &mut Reader<'a>, _: PropertyId) -> Read<&'a [u8]> {
        Ok(reader.binary()?)
    }

    pub(in super::super) fn put(value: &[u8], out: &mut Vec<u8>) {
        wire::put_binary(out, value);
    }

    pub(in super::super) fn len(value: &[u8]) -> usize {
        wire::prefixed_len(value.len())
    }
}

/// A UTF-8 String Pair.
pub(super) mod pair {
    use super::*;

    pub(in super::super) fn read<'a>(
        reader: &mut Reader<'a>,
        _: PropertyId,
    ) -> Read<(&'a str, &'a str)> {
        Ok((reader.string()?, reader.string()?))
    }

    pub(in super::super) fn put((name, value): (&str, &str), out: &mut Vec<u8>) {
        wire::put_str(out, name);
        wire::put_str(out, value);
    }

    pub(in super::super) fn len((name, value): (&str, &str)) -> usize {
        wire::prefixed_len(name.len()) + wire::prefixed_len(value.len())
    }
}
