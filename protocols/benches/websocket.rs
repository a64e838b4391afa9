//! WebSocket frames as they arrive: `cargo bench -p ringbus-protocols --bench websocket`.
//!
//! What is measured is CPU time of the thread: other processes on the machine disturb it little.

mod cpu_time;

use std::hint::black_box;

use cpu_time::CpuTime;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringbus_protocols::websocket::deflate::{Agreed, Deflaters, Inflater};
use ringbus_protocols::websocket::frame::put_masked;
use ringbus_protocols::websocket::mask::unmask;
use ringbus_protocols::websocket::{Event, Limits, Mode, Opcode, Receiver, Role};

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

const LIMITS: Limits = Limits {
    message_bytes_max: 1 << 20,
    fragments_max: 1024,
    takes_text: true,
};

fn unmasking(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("unmask");
    for length in [16, 70, 1024, 16 << 10, 1 << 20] {
        let mut bytes = vec![b'x'; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(BenchmarkId::new("ringbus", length), |bencher| {
            bencher.iter(|| unmask(black_box(&mut bytes), black_box(KEY), 1));
        });
        group.bench_function(BenchmarkId::new("byte by byte", length), |bencher| {
            bencher.iter(|| byte_by_byte(black_box(&mut bytes), black_box(KEY), 1));
        });
    }
}

fn byte_by_byte(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[(at + offset) % 4];
    }
}

/// Sixteen small messages that arrived together, as a stream and one by one; and large ones.
fn receiving(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("receive");
    for (name, mode, opcode, count, length) in [
        (
            "16 frames of 70 B, stream",
            Mode::Stream,
            Opcode::Binary,
            16,
            70,
        ),
        (
            "16 messages of 70 B",
            Mode::Messages,
            Opcode::Binary,
            16,
            70,
        ),
        ("16 texts of 70 B", Mode::Messages, Opcode::Text, 16, 70),
        (
            "a message of 64 KiB",
            Mode::Messages,
            Opcode::Binary,
            1,
            64 << 10,
        ),
        (
            "a text of 64 KiB",
            Mode::Messages,
            Opcode::Text,
            1,
            64 << 10,
        ),
    ] {
        let mut stream = Vec::new();
        for _ in 0..count {
            put_masked(&mut stream, opcode, true, false, KEY, &vec![b'x'; length]);
        }
        let mut receiver = Receiver::new(Role::Server, mode);
        group.throughput(Throughput::Elements(count));
        group.bench_function(name, |bencher| {
            let (mut payload, mut inflater) = (Vec::new(), Inflater::new());
            bencher.iter(|| {
                payload.clear();
                receive(
                    &mut receiver,
                    black_box(&stream),
                    &mut payload,
                    &mut inflater,
                );
                black_box(&payload);
            });
        });
    }
}

fn receive(receiver: &mut Receiver, stream: &[u8], payload: &mut Vec<u8>, inflater: &mut Inflater) {
    let mut rest = stream;
    loop {
        let read = receiver.read(rest, payload, &LIMITS, inflater);
        let (used, event) = read.expect("valid frames");
        rest = &rest[used..];
        if event == Event::More {
            return;
        }
    }
}

/// Messages that are alike, as those of devices are.
fn compression(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("deflate");
    for (name, no_context_takeover) in [("with context", false), ("without context", true)] {
        let agreed = Agreed {
            server_bits: 13,
            client_bits: 13,
            server_no_context_takeover: no_context_takeover,
            client_no_context_takeover: no_context_takeover,
        };
        for count in [1, 16] {
            let mut deflaters = Deflaters::new(1);
            let messages: Vec<_> = (0..256).map(|at| report(at, count)).collect();
            let mut sent = Vec::new();
            let mut at = 0;
            group.throughput(Throughput::Bytes(messages[0].len() as u64));
            let id = BenchmarkId::new(name, messages[0].len());
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    sent.clear();
                    deflaters.deflate(1, &agreed, &messages[at % messages.len()], &mut sent);
                    at += 1;
                });
            });
        }
    }
}

fn report(at: usize, count: usize) -> Vec<u8> {
    let line = |line: usize| {
        let number = at * 7919 + line * 104_729;
        format!(
            r#"{{"device":"{:04}","temperature":{}.{},"humidity":{},"uptime_seconds":{}}}"#,
            number % 9973,
            number % 40,
            number % 10,
            number % 101,
            number
        )
    };
    (0..count).map(line).collect::<String>().into_bytes()
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = unmasking, receiving, compression
}
criterion_main!(benches);
