//! The codec against two others, mqttbytes 0.6 and mqtt-protocol-core 0.7: all three agree on
//! every packet, except where `oracle/divergences.rs` says which clause decides otherwise.

mod cases;
mod common;
#[path = "oracle/divergences.rs"]
mod divergences;
#[path = "oracle/others.rs"]
mod others;

use std::collections::BTreeSet;

use common::{notation, packets};
use divergences::{ACCEPTS_MALFORMED, PROTOCOL_CORE_LAXNESS, REFUSES_OR_CHANGES_VALID};
use others::{Other, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use ringbus_protocols::mqtt::{DecodeError, Frame, PACKET_SIZE_MAX, Packet, Version, frame};
use ringbus_protocols::topic::{TopicFilter, TopicName};

/// A packet in a form that does not depend on the order of properties of different kinds, which
/// has no meaning and which mqttbytes does not keep.
fn normalized(bytes: &[u8], version: Version) -> Result<String, DecodeError> {
    let packet = match frame(bytes, PACKET_SIZE_MAX)? {
        Frame::Complete {
            header,
            body,
            length,
        } if length == bytes.len() => Packet::decode(header, body, version)?,
        _ => return Ok("not one whole packet".to_owned()),
    };
    Ok(match packet {
        Packet::Connect(mut connect) => {
            let own = sorted(&std::mem::take(&mut connect.properties));
            let will = connect
                .will
                .as_mut()
                .map(|will| std::mem::take(&mut will.properties));
            format!(
                "{connect:?} {own} {}",
                will.map_or(String::new(), |will| sorted(&will))
            )
        }
        Packet::ConnAck(mut p) => format!("{} {p:?}", sorted(&std::mem::take(&mut p.properties))),
        Packet::Publish(mut p) => format!("{} {p:?}", sorted(&std::mem::take(&mut p.properties))),
        Packet::Disconnect(mut p) => {
            format!("{} {p:?}", sorted(&std::mem::take(&mut p.properties)))
        }
        Packet::PubAck(mut p)
        | Packet::PubRec(mut p)
        | Packet::PubRel(mut p)
        | Packet::PubComp(mut p) => {
            format!("{} {p:?}", sorted(&std::mem::take(&mut p.properties)))
        }
        Packet::Subscribe(p) => {
            let filters: Vec<_> = p.filters().collect();
            format!(
                "{:?} {} {filters:?}",
                p.packet_identifier,
                sorted(&p.properties)
            )
        }
        Packet::SubAck(mut p) => format!("{} {p:?}", sorted(&std::mem::take(&mut p.properties))),
        Packet::UnsubAck(mut p) => format!("{} {p:?}", sorted(&std::mem::take(&mut p.properties))),
        Packet::Unsubscribe(p) => {
            let filters: Vec<_> = p.filters().collect();
            format!(
                "{:?} {} {filters:?}",
                p.packet_identifier,
                sorted(&p.properties)
            )
        }
        other => format!("{other:?}"),
    })
}

/// The properties, those of one kind in their order.
fn sorted(properties: &ringbus_protocols::mqtt::Properties<'_>) -> String {
    let mut all: Vec<_> = properties.iter().collect();
    all.sort_by_key(|property| property.id());
    format!("{all:?}")
}

/// What another codec made of a packet that is valid: nothing to say, or the difference.
fn difference(other: Other, bytes: &[u8], version: Version) -> Option<String> {
    let expected = normalized(bytes, version).expect("a valid packet");
    match other.verdict(bytes, version) {
        Verdict::Taken(again) if normalized(&again, version).as_ref() == Ok(&expected) => None,
        Verdict::Taken(again) => Some(format!("changed: {:?}", normalized(&again, version))),
        Verdict::Refused(why) => Some(format!("refused: {why}")),
        Verdict::Panicked => Some("panicked".to_owned()),
    }
}

/// The versions that both others have.
fn common_versions(digits: &str) -> impl Iterator<Item = Version> {
    cases::versions(digits).filter(|version| *version != Version::V3_1)
}

#[test]
fn malformed_packets_are_refused_by_all_but_the_listed() {
    let mut found = BTreeSet::new();
    for (name, digits, text, ..) in cases::all() {
        let bytes = notation::bytes(text);
        for other in Other::ALL {
            for version in common_versions(digits) {
                if !matches!(other.verdict(&bytes, version), Verdict::Refused(_)) {
                    found.insert((other, *name));
                }
            }
        }
    }
    let listed: BTreeSet<_> = ACCEPTS_MALFORMED
        .iter()
        .flat_map(|(other, _, names)| names.iter().map(move |name| (*other, *name)))
        .collect();
    let missing: Vec<_> = found.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&found).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "not listed: {missing:#?}\nstale: {stale:#?}"
    );
}

/// The same packets in every run: the list of divergences is exact.
fn runner() -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(Config::default(), rng)
}

#[test]
fn valid_packets_are_the_same_to_all_but_the_listed() {
    let mut runner = runner();
    let mut used = BTreeSet::new();
    let mut failures = Vec::new();
    let strategy = packets::packet();
    for _ in 0..6000 {
        let (version, packet) = strategy.new_tree(&mut runner).expect("a packet").current();
        if version == Version::V3_1 {
            continue;
        }
        let bytes = common::encode(&packet, version);
        for other in Other::ALL {
            let Some(difference) = difference(other, &bytes, version) else {
                continue;
            };
            let listed = REFUSES_OR_CHANGES_VALID
                .iter()
                .find(|row| row.other == other && (row.applies)(&packet, version));
            match listed {
                Some(row) => drop(used.insert((row.other, row.what))),
                None => failures.push(format!("{other:?} {version} {packet:?}: {difference}")),
            }
        }
    }
    failures.truncate(5);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    for row in REFUSES_OR_CHANGES_VALID {
        assert!(
            used.contains(&(row.other, row.what)),
            "stale: {:?} {}",
            row.other,
            row.what
        );
    }
}

/// A packet with a few bytes changed.
fn damaged() -> impl Strategy<Value = (Version, Vec<u8>)> {
    let change = (any::<Index>(), any::<u8>(), 0..4_u8);
    (packets::encoded(), vec(change, 1..4)).prop_map(|((version, mut bytes), changes)| {
        for (index, value, kind) in changes {
            // The first two bytes stay: packets of another type or length teach little.
            let index = 2 + index.index(bytes.len().saturating_sub(2).max(1));
            match bytes.get_mut(index) {
                Some(byte) if kind == 0 => *byte = value,
                Some(byte) if kind == 1 => *byte = byte.wrapping_add(1),
                Some(byte) if kind == 2 => *byte = 0,
                Some(byte) => *byte ^= 1 << (value & 7),
                None => {}
            }
        }
        (version, bytes)
    })
}

#[test]
fn damaged_packets_are_the_same_to_protocol_core_but_for_the_listed() {
    let other = Other::ProtocolCore;
    let mut runner = runner();
    let strategy = damaged();
    let mut used = BTreeSet::new();
    let mut failures = Vec::new();
    for _ in 0..30_000 {
        let (version, bytes) = strategy.new_tree(&mut runner).expect("bytes").current();
        let Ok(Frame::Complete {
            header,
            body,
            length,
        }) = frame(&bytes, PACKET_SIZE_MAX)
        else {
            continue;
        };
        if version == Version::V3_1 || length != bytes.len() {
            continue;
        }
        match Packet::decode(header, body, version) {
            // A CONNECT of another version than its parser was chosen for.
            Ok(Packet::Connect(connect)) if connect.version != version => {}
            Ok(packet) => {
                let Some(difference) = difference(other, &bytes, version) else {
                    continue;
                };
                let listed = REFUSES_OR_CHANGES_VALID
                    .iter()
                    .any(|row| row.other == other && (row.applies)(&packet, version));
                if !listed {
                    failures.push(format!("{version} {packet:?}: {difference}"));
                }
            }
            Err(error) => {
                if matches!(other.verdict(&bytes, version), Verdict::Refused(_)) {
                    continue;
                }
                match PROTOCOL_CORE_LAXNESS
                    .iter()
                    .find(|row| (row.applies)(error))
                {
                    Some(row) => drop(used.insert(row.what)),
                    None => failures.push(format!("{version} {bytes:02X?}: {error:?}")),
                }
            }
        }
    }
    failures.truncate(5);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    for row in PROTOCOL_CORE_LAXNESS {
        assert!(used.contains(row.what), "stale: {}", row.what);
    }
}

/// mqttbytes matches topics too, except `$`-topics, which it never matches [MQTT5-4.7.2], and
/// topics that begin with a character of several bytes, on which it panics.
#[test]
fn filters_match_as_in_mqttbytes() {
    let mut runner = runner();
    let level = || prop_oneof!["[abé$]{0,2}", "[ab]", "[+]"];
    let strategy = (vec(level(), 1..5), vec(level(), 1..5), any::<bool>());
    let mut matched = 0;
    for _ in 0..20_000 {
        let (name, filter, multi) = strategy.new_tree(&mut runner).expect("topics").current();
        let name = name.join("/").replace('+', "a");
        let filter = filter.join("/") + if multi { "/#" } else { "" };
        let (Ok(topic_name), Ok(topic_filter)) =
            (TopicName::parse(&name), TopicFilter::parse(&filter))
        else {
            assert!(name.is_empty() || filter.is_empty(), "{name} {filter}");
            continue;
        };
        let ours = topic_filter.matches(&topic_name);
        if name.starts_with(['$', 'é']) {
            continue;
        }
        assert_eq!(
            ours,
            mqttbytes::matches(&name, &filter),
            "{filter} on {name}"
        );
        matched += usize::from(ours);
    }
    assert!(matched > 500, "{matched}");
}

#[test]
fn mqttbytes_has_the_faults_that_are_left_out_above() {
    assert!(!mqttbytes::matches("$SYS/a", "$SYS/a"));
    assert!(std::panic::catch_unwind(|| mqttbytes::matches("é/x", "#")).is_err());
}

#[test]
fn every_divergence_names_the_clause_that_decides() {
    let clauses = (ACCEPTS_MALFORMED.iter().map(|row| row.1))
        .chain(REFUSES_OR_CHANGES_VALID.iter().map(|row| row.clause))
        .chain(PROTOCOL_CORE_LAXNESS.iter().map(|row| row.clause));
    for clause in clauses {
        assert!(
            clause.starts_with("[MQTT5-") || clause.starts_with("[MQTT311-"),
            "{clause}"
        );
    }
}
