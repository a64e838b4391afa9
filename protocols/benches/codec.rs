//! The codec beside mqttbytes and mqtt-protocol-core on the same packets:
//! `cargo bench -p ringbus-protocols --bench codec`.
//!
//! Each codec decodes in the form that it asks for: ours a slice, mqttbytes a `BytesMut` that it
//! takes apart, mqtt-protocol-core a body that was framed before. Making that form is not timed.
//! Each codec encodes into a buffer if it can; mqtt-protocol-core only gives a new `Vec`.
//!
//! What is measured is CPU time of the thread: other processes on the machine disturb it little.

mod cpu_time;

use std::hint::black_box;
use std::sync::Arc;

use bytes::BytesMut;
use cpu_time::CpuTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use ringbus_protocols::mqtt::{
    Ack, Connect, Frame, PACKET_SIZE_MAX, Packet, PacketIdentifier, Properties, PropertiesBuf,
    Property, Publish, QoS, Subscribe, SubscribeFilter, Version, frame,
};

/// A packet under test.
struct Sample {
    name: &'static str,
    version: Version,
    bytes: Vec<u8>,
}

fn samples() -> Vec<Sample> {
    let payload = [b'x'; 64];
    let large = vec![b'x'; 4096];
    let topic = "site/7/device/0042";
    let identifier = PacketIdentifier::new(4660);
    let properties: PropertiesBuf = [
        Property::MessageExpiryInterval(60),
        Property::ContentType("application/json"),
        Property::UserProperty(("trace", "0123456789abcdef")),
    ]
    .into_iter()
    .collect();
    let qos0 = Publish {
        topic,
        payload: &payload,
        ..Publish::default()
    };
    let qos1 = Publish {
        qos: QoS::AtLeastOnce,
        packet_identifier: identifier,
        ..qos0
    };
    let with_properties = Publish {
        properties: properties.as_properties(),
        ..qos1
    };
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_seconds: 60,
        client_id: "device-0042",
        will: None,
        username: Some("user"),
        password: Some(b"password"),
        properties: Properties::default(),
    };
    let ack = Packet::PubAck(Ack::new(identifier.expect("not zero")));
    let mut samples = Vec::new();
    for (version, suffix) in [(Version::V3_1_1, "3.1.1"), (Version::V5, "5.0")] {
        let mut add = |name: &str, packet: Packet<'_>| {
            let mut bytes = Vec::new();
            packet.encode(version, &mut bytes);
            let name = Box::leak(format!("{name} {suffix}").into_boxed_str());
            samples.push(Sample {
                name,
                version,
                bytes,
            });
        };
        add("publish QoS 0, 64 B", Packet::Publish(qos0));
        add(
            "publish QoS 0, 4 KiB",
            Packet::Publish(Publish {
                payload: &large,
                ..qos0
            }),
        );
        add("publish QoS 1, 64 B", Packet::Publish(qos1));
        if version == Version::V5 {
            add(
                "publish QoS 1, 3 properties",
                Packet::Publish(with_properties),
            );
        }
        add("puback", ack);
        add("connect", Packet::Connect(Connect { version, ..connect }));
        add("subscribe, 4 filters", subscribe(version));
    }
    samples
}

fn subscribe(version: Version) -> Packet<'static> {
    let filters = [
        "site/7/device/+",
        "site/+/alarm",
        "site/7/#",
        "$share/g/work/+",
    ]
    .map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
    let identifier = PacketIdentifier::new(1).expect("not zero");
    let mut out = Vec::new();
    Subscribe::encode_from(
        identifier,
        &Properties::default(),
        &filters,
        version,
        &mut out,
    );
    decode(out.leak(), version)
}

fn decode(bytes: &[u8], version: Version) -> Packet<'_> {
    match frame(bytes, PACKET_SIZE_MAX) {
        Ok(Frame::Complete { header, body, .. }) => {
            Packet::decode(header, body, version).expect("a valid packet")
        }
        other => panic!("{other:?}"),
    }
}

fn decoding(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("decode");
    for Sample {
        name,
        version,
        bytes,
    } in samples()
    {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("ringbus", name), |bencher| {
            bencher.iter(|| {
                let packet = decode(black_box(&bytes), black_box(version));
                black_box(&packet);
            });
        });
        decode_mqttbytes(&mut group, name, version, &bytes);
        decode_protocol_core(&mut group, name, version, &bytes);
    }
}

fn decode_mqttbytes(
    group: &mut BenchmarkGroup<'_, CpuTime>,
    name: &str,
    version: Version,
    bytes: &[u8],
) {
    group.bench_function(BenchmarkId::new("mqttbytes", name), |bencher| {
        let stream = || BytesMut::from(bytes);
        if version.is_v5() {
            let read = |stream: &mut BytesMut| mqttbytes::v5::read(stream, 1 << 20);
            bencher.iter_batched_ref(stream, read, BatchSize::SmallInput);
        } else {
            let read = |stream: &mut BytesMut| mqttbytes::v4::read(stream, 1 << 20);
            bencher.iter_batched_ref(stream, read, BatchSize::SmallInput);
        }
    });
}

/// Benches one of several packet types of mqtt-protocol-core.
macro_rules! by_type {
    ($packet_type:expr, $version:expr, $publish:ident, $parse:ident) => {
        match ($packet_type, $version.is_v5()) {
            (3, false) => $publish!(v3_1_1::Publish),
            (3, true) => $publish!(v5_0::Publish),
            (4, false) => $parse!(v3_1_1::Puback),
            (4, true) => $parse!(v5_0::Puback),
            (1, false) => $parse!(v3_1_1::Connect),
            (1, true) => $parse!(v5_0::Connect),
            (_, false) => $parse!(v3_1_1::Subscribe),
            (_, true) => $parse!(v5_0::Subscribe),
        }
    };
}

fn decode_protocol_core(
    group: &mut BenchmarkGroup<'_, CpuTime>,
    name: &str,
    version: Version,
    bytes: &[u8],
) {
    let (packet_type, flags) = (bytes[0] >> 4, bytes[0] & 0x0F);
    let Ok(Frame::Complete { body, .. }) = frame(bytes, PACKET_SIZE_MAX) else {
        panic!("a whole packet");
    };
    let shared: Arc<[u8]> = Arc::from(body);
    group.bench_function(BenchmarkId::new("mqtt-protocol-core", name), |bencher| {
        macro_rules! publish {
            ($packet:ty) => {
                bencher.iter(|| <$packet>::parse(flags, black_box(&shared).clone()))
            };
        }
        macro_rules! parse {
            ($packet:ty) => {
                bencher.iter(|| <$packet>::parse(black_box(body)))
            };
        }
        by_type!(packet_type, version, publish, parse);
    });
}

fn encoding(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("encode");
    for Sample {
        name,
        version,
        bytes,
    } in samples()
    {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let packet = decode(&bytes, version);
        group.bench_function(BenchmarkId::new("ringbus", name), |bencher| {
            let mut out = Vec::with_capacity(8192);
            bencher.iter(|| {
                out.clear();
                black_box(&packet).encode(black_box(version), &mut out);
                black_box(out.as_slice());
            });
        });
        encode_mqttbytes(&mut group, name, version, &bytes);
        encode_protocol_core(&mut group, name, version, &bytes);
    }
}

fn encode_mqttbytes(
    group: &mut BenchmarkGroup<'_, CpuTime>,
    name: &str,
    version: Version,
    bytes: &[u8],
) {
    group.bench_function(BenchmarkId::new("mqttbytes", name), |bencher| {
        let mut stream = BytesMut::from(bytes);
        let mut out = BytesMut::with_capacity(8192);
        macro_rules! write {
            ($module:ident) => {{
                use mqttbytes::$module::{Packet, read};
                let packet = read(&mut stream, 1 << 20).expect("a packet");
                bencher.iter(|| {
                    out.clear();
                    let written = match black_box(&packet) {
                        Packet::Publish(packet) => packet.write(&mut out),
                        Packet::PubAck(packet) => packet.write(&mut out),
                        Packet::Connect(packet) => packet.write(&mut out),
                        Packet::Subscribe(packet) => packet.write(&mut out),
                        other => panic!("{other:?}"),
                    };
                    black_box(written.expect("written"));
                });
            }};
        }
        if version.is_v5() {
            write!(v5)
        } else {
            write!(v4)
        }
    });
}

fn encode_protocol_core(
    group: &mut BenchmarkGroup<'_, CpuTime>,
    name: &str,
    version: Version,
    bytes: &[u8],
) {
    let (packet_type, flags) = (bytes[0] >> 4, bytes[0] & 0x0F);
    let Ok(Frame::Complete { body, .. }) = frame(bytes, PACKET_SIZE_MAX) else {
        panic!("a whole packet");
    };
    group.bench_function(BenchmarkId::new("mqtt-protocol-core", name), |bencher| {
        macro_rules! publish {
            ($packet:ty) => {{
                let (packet, _) = <$packet>::parse(flags, Arc::from(body)).expect("a packet");
                bencher.iter(|| black_box(&packet).to_continuous_buffer())
            }};
        }
        macro_rules! parse {
            ($packet:ty) => {{
                let (packet, _) = <$packet>::parse(body).expect("a packet");
                bencher.iter(|| black_box(&packet).to_continuous_buffer())
            }};
        }
        by_type!(packet_type, version, publish, parse);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = decoding, encoding
}
criterion_main!(benches);
