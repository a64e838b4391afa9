//! CONNECT: the client asks for a connection `[MQTT5-3.1]`.

use super::super::header::put_header;
use super::super::property::Place;
use super::super::{
    ConnectReturnCode, DecodeError, FixedHeader, PacketType, Properties, QoS, ReasonCode, Version,
};
use super::{expect_end, packet_len};
use crate::topic::TopicName;
use crate::wire::{self, Reader, prefixed_len};

const USERNAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL_RETAIN: u8 = 0x20;
const WILL_QOS_SHIFT: u8 = 3;
const WILL: u8 = 0x04;
const CLEAN_START: u8 = 0x02;
const RESERVED: u8 = 0x01;
const CONNECT_FLAGS_AND_KEEP_ALIVE: usize = 3;

/// CONNECT. An empty client identifier is for the server to judge: it depends on what the server
/// assigns and, in MQTT 3.1.1, on Clean Session `[MQTT311-3.1.3-8]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the client speaks.
    pub version: Version,
    /// Discard the session there is; Clean Session in MQTT 3.
    pub clean_start: bool,
    /// The longest silence of the client in seconds; 0: no limit.
    pub keep_alive_seconds: u16,
    /// Names the client and its session; empty: the server chooses.
    pub client_id: &'a str,
    /// Published when the connection is lost.
    pub will: Option<Will<'a>>,
    /// Who the client says it is.
    pub username: Option<&'a str>,
    /// Its proof.
    pub password: Option<&'a [u8]>,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
}

/// The message that the server publishes for a client that is gone `[MQTT5-3.1.2.5]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published.
    pub topic: TopicName<'a>,
    /// Its content.
    pub payload: &'a [u8],
    /// Its Quality of Service.
    pub qos: QoS,
    /// Whether it is published as retained.
    pub retain: bool,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
}

/// How a CONNECT is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The version to answer in.
    pub version: Version,
    /// The longest packet that the client takes, if it could be read `[MQTT5-3.2.2-19]`.
    pub maximum_packet_size: Option<u32>,
}

impl<'a> Connect<'a> {
    /// The form in which to refuse the CONNECT that `bytes` begin with, whatever is wrong behind
    /// its version, even if it is cut short. A version of MQTT that is not known is refused as
    /// 3.1.1 does it: that demands an answer `[MQTT311-3.1.2-2]`, 5.0 only allows one
    /// `[MQTT5-3.1.2-2]`, and a client older than 5.0 could not read it. `None`: close without a
    /// word, since this is no CONNECT of MQTT, or MQTT 3 has no code for `reason`
    /// `[MQTT311-3.2.2-6]`.
    pub fn refusal(bytes: &[u8], reason: ReasonCode) -> Option<Refusal> {
        let mut reader = Reader::new(bytes);
        if reader.u8().ok()? != (PacketType::Connect as u8) << 4 {
            return None;
        }
        reader.varint().ok()?;
        let name = reader.binary().ok()?;
        let level = reader.u8().ok()?;
        let is_mqtt = |version: &Version| version.protocol_name().as_bytes() == name;
        if !Version::ALL.iter().any(is_mqtt) {
            return None;
        }
        let version = Version::from_protocol(name, level).unwrap_or(Version::V3_1_1);
        let can_say = version.is_v5() || ConnectReturnCode::from_reason(reason).is_some();
        can_say.then(|| Refusal {
            version,
            maximum_packet_size: said_maximum(reader).filter(|_| version.is_v5()),
        })
    }

    /// Decodes the body of a CONNECT of any version.
    ///
    /// # Errors
    /// The first rule that the packet breaks.
    pub fn decode(header: FixedHeader, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let name = reader.binary()?;
        let level = reader.u8()?;
        let version =
            Version::from_protocol(name, level).ok_or(DecodeError::ProtocolUnsupported)?;
        header.check_flags(version)?;
        let flags = ConnectFlags::check(reader.u8()?, version)?;
        let keep_alive_seconds = reader.u16()?;
        let properties = if version.is_v5() {
            check_authentication(Properties::read(&mut reader, Place::CONNECT)?)?
        } else {
            Properties::default()
        };
        let client_id = reader.string()?;
        let will = match flags.will {
            Some(will) => Some(will.read(&mut reader, version)?),
            None => None,
        };
        // MQTT 3.1 lets the flags announce what is not there, for clients of version 3.0.
        let cut_short = |reader: &Reader<'_>| version == Version::V3_1 && reader.is_empty();
        let username = match flags.username && !cut_short(&reader) {
            true => Some(reader.string()?),
            false => None,
        };
        let password = match flags.password && !cut_short(&reader) {
            true => Some(reader.binary()?),
            false => None,
        };
        expect_end(reader)?;
        Ok(Self {
            version,
            clean_start: flags.clean_start,
            keep_alive_seconds,
            client_id,
            will,
            username,
            password,
            properties,
        })
    }

    /// Appends the packet in its own version.
    ///
    /// # Panics
    /// If a field is longer than 65,535 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_header(out, PacketType::Connect, 0, self.remaining());
        wire::put_str(out, self.version.protocol_name());
        out.push(self.version.protocol_level());
        out.push(self.flags());
        wire::put_u16(out, self.keep_alive_seconds);
        if self.version.is_v5() {
            self.properties.encode(out);
        }
        wire::put_str(out, self.client_id);
        if let Some(will) = &self.will {
            if self.version.is_v5() {
                will.properties.encode(out);
            }
            wire::put_str(out, will.topic.as_str());
            wire::put_binary(out, will.payload);
        }
        if let Some(username) = self.username {
            wire::put_str(out, username);
        }
        if let Some(password) = self.password {
            wire::put_binary(out, password);
        }
    }

    /// How many bytes [`Connect::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        packet_len(self.remaining())
    }

    fn remaining(&self) -> usize {
        let properties = |properties: &Properties<'_>| {
            if self.version.is_v5() {
                properties.encoded_len()
            } else {
                0
            }
        };
        let will = self.will.map_or(0, |will| {
            properties(&will.properties)
                + prefixed_len(will.topic.as_str().len())
                + prefixed_len(will.payload.len())
        });
        // Level, flags and keep alive stand between the protocol name and the properties.
        prefixed_len(self.version.protocol_name().len())
            + 4
            + properties(&self.properties)
            + prefixed_len(self.client_id.len())
            + will
            + self
                .username
                .map_or(0, |username| prefixed_len(username.len()))
            + self
                .password
                .map_or(0, |password| prefixed_len(password.len()))
    }

    fn flags(&self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let will = self.will.map_or(0, |will| {
            WILL | (u8::from(will.qos) << WILL_QOS_SHIFT) | flag(will.retain, WILL_RETAIN)
        });
        will | flag(self.clean_start, CLEAN_START)
            | flag(self.username.is_some(), USERNAME)
            | flag(self.password.is_some(), PASSWORD)
    }
}

/// The Maximum Packet Size in what follows the version of a CONNECT, as far as it can be read.
fn said_maximum(mut reader: Reader<'_>) -> Option<u32> {
    reader.bytes(CONNECT_FLAGS_AND_KEEP_ALIVE).ok()?;
    let properties = Properties::read(&mut reader, Place::CONNECT).ok()?;
    properties.maximum_packet_size()
}

/// Authentication Data says nothing without a method `[MQTT5-3.1.2.11.10]`.
fn check_authentication(properties: Properties<'_>) -> Result<Properties<'_>, DecodeError> {
    use super::super::PropertyId::{AuthenticationData, AuthenticationMethod};
    if properties.has(AuthenticationData) && !properties.has(AuthenticationMethod) {
        return Err(DecodeError::AuthenticationDataWithoutMethod);
    }
    Ok(properties)
}

/// The Connect Flags `[MQTT5-3.1.2.3]`, checked.
struct ConnectFlags {
    clean_start: bool,
    username: bool,
    password: bool,
    will: Option<WillFlags>,
}

struct WillFlags {
    qos: QoS,
    retain: bool,
}

impl ConnectFlags {
    fn check(flags: u8, version: Version) -> Result<Self, DecodeError> {
        let invalid = DecodeError::ConnectFlagsInvalid;
        // MQTT 3.1 does not use the bit.
        if flags & RESERVED != 0 && version != Version::V3_1 {
            return Err(invalid);
        }
        let qos = QoS::try_from((flags >> WILL_QOS_SHIFT) & 0b11).map_err(|_| invalid)?;
        let retain = flags & WILL_RETAIN != 0;
        let has_will = flags & WILL != 0;
        if !has_will && (retain || qos != QoS::AtMostOnce) {
            return Err(invalid);
        }
        let username = flags & USERNAME != 0;
        let password = flags & PASSWORD != 0;
        if password && !username && !version.is_v5() {
            return Err(invalid);
        }
        let clean_start = flags & CLEAN_START != 0;
        let will = has_will.then_some(WillFlags { qos, retain });
        Ok(Self {
            clean_start,
            username,
            password,
            will,
        })
    }
}

impl WillFlags {
    fn read<'a>(self, reader: &mut Reader<'a>, version: Version) -> Result<Will<'a>, DecodeError> {
        let properties = if version.is_v5() {
            Properties::read(reader, Place::WILL)?
        } else {
            Properties::default()
        };
        let topic = TopicName::parse(reader.string()?).map_err(DecodeError::TopicNameInvalid)?;
        let payload = reader.binary()?;
        Ok(Will {
            topic,
            payload,
            qos: self.qos,
            retain: self.retain,
            properties,
        })
    }
}
