//! The corpus of the fuzz target `decoder`, `tests/fuzz/corpus/decoder`: a file for each kind of
//! packet. `RINGBUS_WRITE_CORPUS=1 cargo test -p ringbus-protocols --test corpus` writes it again.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

use common::{encode, notation};
use ringbus_protocols::mqtt::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketIdentifier, PingReq, PingResp,
    Properties, PropertiesBuf, Property, Publish, QoS, ReasonCode, RetainHandling, SubAck,
    Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, Version, Will,
};
use ringbus_protocols::topic::TopicName;

type Files = BTreeMap<String, Vec<u8>>;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/decoder")
}

#[test]
fn the_corpus_is_what_the_encoders_make() {
    let files = files();
    if env::var_os("RINGBUS_WRITE_CORPUS").is_some() {
        fs::create_dir_all(directory()).expect("the directory of the corpus");
        for (name, bytes) in &files {
            fs::write(directory().join(name), bytes).expect("a file of the corpus");
        }
    }
    let found: Files = fs::read_dir(directory())
        .expect("the corpus is committed")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(&path).expect("a file of the corpus"))
        })
        .collect();
    assert_eq!(found, files);
}

fn files() -> Files {
    let mut files = Files::new();
    for version in Version::ALL {
        let name = match version {
            Version::V3_1 => "v31",
            Version::V3_1_1 => "v311",
            Version::V5 => "v5",
        };
        for (kind, bytes) in packets(version) {
            files.insert(format!("{name}-{kind}"), bytes);
        }
        let session = [
            "connect",
            "publish-qos0",
            "subscribe",
            "publish-qos2",
            "disconnect",
        ];
        let stream = session
            .iter()
            .flat_map(|kind| files[&format!("{name}-{kind}")].clone());
        let stream = stream.collect();
        files.insert(format!("{name}-session"), stream);
    }
    for (name, text) in [
        ("bad-varint", "30 FF FF FF FF 01"),
        ("bad-property-length", "30 [ s'a' 7F 0101 ]"),
        ("bad-utf8", "30 [ 0003 EDA080 00 ]"),
        ("long-remaining-length", "C0 80 80 00"),
        ("incomplete", "30 FF 7F 0001 'a'"),
        (
            "all-properties",
            "30 [ s'' [ 0101 02 00000001 03 s'x' 08 s'y' 09 s'z' 0B01 0B8001 23 0001 ] ]",
        ),
    ] {
        files.insert(name.to_owned(), notation::bytes(text));
    }
    files
}

/// Packets with the names of their files.
type Kinds = Vec<(&'static str, Vec<u8>)>;

/// One of each, with everything that the version has.
fn packets(version: Version) -> Kinds {
    let groups = [
        connects, connacks, publishes, acks, requests, answers, pings, ends,
    ];
    groups.iter().flat_map(|group| group(version)).collect()
}

fn connects(version: Version) -> Kinds {
    let (of_connect, of_will) = (list(version, &CONNECT), list(version, &WILL));
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 60,
        client_id: "client",
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    };
    let will = Will {
        topic: TopicName::parse("will/topic").expect("a topic name"),
        payload: b"gone",
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: of_will.as_properties(),
    };
    let full = Connect {
        will: Some(will),
        username: Some("user"),
        password: Some(b"\xFFpass"),
        properties: of_connect.as_properties(),
        ..connect
    };
    let packets = [
        ("connect", Packet::Connect(connect)),
        ("connect-full", Packet::Connect(full)),
    ];
    encoded(version, &packets)
}

fn connacks(version: Version) -> Kinds {
    let of_connack = list(version, &CONNACK);
    let connack = ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties: Properties::default(),
    };
    let full = ConnAck {
        properties: of_connack.as_properties(),
        ..connack
    };
    let packets = [
        ("connack", Packet::ConnAck(connack)),
        ("connack-full", Packet::ConnAck(full)),
    ];
    encoded(version, &packets)
}

fn publishes(version: Version) -> Kinds {
    let of_publish = list(version, &PUBLISH);
    let qos_0 = Publish {
        topic: "a/b/c",
        payload: b"payload",
        ..Publish::default()
    };
    let qos_1 = Publish {
        qos: QoS::AtLeastOnce,
        packet_identifier: Some(identifier()),
        properties: of_publish.as_properties(),
        ..qos_0
    };
    let qos_2 = Publish {
        qos: QoS::ExactlyOnce,
        dup: true,
        retain: true,
        ..qos_1
    };
    let packets = [
        ("publish-qos0", Packet::Publish(qos_0)),
        ("publish-qos1", Packet::Publish(qos_1)),
        ("publish-qos2", Packet::Publish(qos_2)),
    ];
    encoded(version, &packets)
}

fn acks(version: Version) -> Kinds {
    let of_ack = list(version, &ACK);
    let plain = Ack::new(identifier());
    let full = |code| Ack {
        reason: reason(version, code),
        properties: of_ack.as_properties(),
        ..plain
    };
    let received = full(ReasonCode::NotAuthorized);
    let released = full(ReasonCode::PacketIdentifierNotFound);
    let packets = [
        ("puback", Packet::PubAck(plain)),
        ("puback-full", Packet::PubAck(received)),
        ("pubrec-full", Packet::PubRec(received)),
        ("pubrel", Packet::PubRel(plain)),
        ("pubrel-full", Packet::PubRel(released)),
        ("pubcomp-full", Packet::PubComp(released)),
    ];
    encoded(version, &packets)
}

fn requests(version: Version) -> Kinds {
    let of_subscribe = list(version, &SUBSCRIBE);
    let properties = of_subscribe.as_properties();
    let options = SubscribeFilter {
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
        ..SubscribeFilter::new("$share/group/a/+", QoS::ExactlyOnce)
    };
    let filters = [SubscribeFilter::new("a/#", QoS::AtLeastOnce), options];
    let mut subscribe = Vec::new();
    Subscribe::encode_from(identifier(), &properties, &filters, version, &mut subscribe);
    let none = Properties::default();
    let mut unsubscribe = Vec::new();
    Unsubscribe::encode_from(
        identifier(),
        &none,
        &["a/#", "b"],
        version,
        &mut unsubscribe,
    );
    vec![("subscribe", subscribe), ("unsubscribe", unsubscribe)]
}

fn answers(version: Version) -> Kinds {
    let of_ack = list(version, &ACK);
    let suback = SubAck {
        packet_identifier: identifier(),
        properties: of_ack.as_properties(),
        reasons: &[0, 1, 2, 0x80],
    };
    let unsuback = UnsubAck {
        packet_identifier: identifier(),
        properties: of_ack.as_properties(),
        reasons: if version.is_v5() {
            &[0, 0x11, 0x8F]
        } else {
            &[]
        },
    };
    let packets = [
        ("suback", Packet::SubAck(suback)),
        ("unsuback", Packet::UnsubAck(unsuback)),
    ];
    encoded(version, &packets)
}

fn pings(version: Version) -> Kinds {
    let packets = [
        ("pingreq", Packet::PingReq(PingReq)),
        ("pingresp", Packet::PingResp(PingResp)),
    ];
    encoded(version, &packets)
}

fn ends(version: Version) -> Kinds {
    let (of_ack, of_auth) = (list(version, &ACK), list(version, &AUTH));
    let disconnect = Disconnect::new(ReasonCode::NormalDisconnection);
    let full = Disconnect {
        reason: reason(version, ReasonCode::QuotaExceeded),
        properties: of_ack.as_properties(),
    };
    let mut packets = vec![
        ("disconnect", Packet::Disconnect(disconnect)),
        ("disconnect-full", Packet::Disconnect(full)),
    ];
    if version.is_v5() {
        let auth = Auth {
            reason: ReasonCode::ContinueAuthentication,
            properties: of_auth.as_properties(),
        };
        packets.push(("auth", Packet::Auth(auth)));
    }
    encoded(version, &packets)
}

fn encoded(version: Version, packets: &[(&'static str, Packet<'_>)]) -> Kinds {
    let packets = packets.iter();
    packets
        .map(|(kind, packet)| (*kind, encode(packet, version)))
        .collect()
}

fn identifier() -> PacketIdentifier {
    PacketIdentifier::new(0x1234).expect("not zero")
}

/// None in MQTT 3.
fn list(version: Version, all: &[Property<'static>]) -> PropertiesBuf {
    let all = if version.is_v5() { all } else { &[] };
    all.iter().copied().collect()
}

/// Success in MQTT 3.
fn reason(version: Version, code: ReasonCode) -> ReasonCode {
    if version.is_v5() {
        code
    } else {
        ReasonCode::Success
    }
}

const ACK: [Property<'static>; 2] = [
    Property::ReasonString("because"),
    Property::UserProperty(("name", "value")),
];
const SUBSCRIBE: [Property<'static>; 2] = [
    Property::SubscriptionIdentifier(200),
    Property::UserProperty(("name", "value")),
];
const AUTH: [Property<'static>; 2] = [
    Property::AuthenticationMethod("m"),
    Property::AuthenticationData(b"d"),
];
const CONNECT: [Property<'static>; 9] = [
    Property::SessionExpiryInterval(3600),
    Property::ReceiveMaximum(20),
    Property::MaximumPacketSize(65_536),
    Property::TopicAliasMaximum(16),
    Property::RequestResponseInformation(true),
    Property::RequestProblemInformation(false),
    Property::UserProperty(("name", "value")),
    Property::AuthenticationMethod("m"),
    Property::AuthenticationData(b"d"),
];
const WILL: [Property<'static>; 7] = [
    Property::WillDelayInterval(5),
    Property::PayloadFormatIndicator(true),
    Property::MessageExpiryInterval(60),
    Property::ContentType("text/plain"),
    Property::ResponseTopic("will/answer"),
    Property::CorrelationData(b"\x01\x02"),
    Property::UserProperty(("name", "value")),
];
const CONNACK: [Property<'static>; 17] = [
    Property::SessionExpiryInterval(0),
    Property::ReceiveMaximum(100),
    Property::MaximumQoS(QoS::AtLeastOnce),
    Property::RetainAvailable(true),
    Property::MaximumPacketSize(1_048_576),
    Property::AssignedClientIdentifier("assigned"),
    Property::TopicAliasMaximum(8),
    Property::ReasonString("welcome"),
    Property::UserProperty(("name", "value")),
    Property::WildcardSubscriptionAvailable(true),
    Property::SubscriptionIdentifierAvailable(true),
    Property::SharedSubscriptionAvailable(true),
    Property::ServerKeepAlive(30),
    Property::ResponseInformation("answers/"),
    Property::ServerReference("other:1883"),
    Property::AuthenticationMethod("m"),
    Property::AuthenticationData(b"d"),
];
const PUBLISH: [Property<'static>; 9] = [
    Property::PayloadFormatIndicator(false),
    Property::MessageExpiryInterval(10),
    Property::TopicAlias(3),
    Property::ResponseTopic("answer"),
    Property::CorrelationData(b"id"),
    Property::UserProperty(("name", "value")),
    Property::SubscriptionIdentifier(1),
    Property::SubscriptionIdentifier(300),
    Property::ContentType("application/json"),
];
