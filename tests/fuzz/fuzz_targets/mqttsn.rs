//! Any datagrams, any packets of the broker, at any time: no panic, what decodes encodes to itself,
//! and what the gateway says is well-formed, bounded, and told when to come again.
//!
//! The input is a list of events: a byte that says which, a byte that is its length, its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringbus_protocols::mqtt::{self, Frame, PACKET_SIZE_MAX, Version, frame};
use ringbus_protocols::mqttsn::{
    Datagrams, Gateway, Io, PredefinedTopics, Settings, Verdict, decode, encode, encoded_len,
    unwrap_forwarded,
};

/// A little of everything.
fn settings() -> Settings {
    Settings {
        predefined: PredefinedTopics::parse("1 one\n2 two/2\n3 ab").expect("a good list"),
        registrations_max: 4,
        waiting_messages_max: 3,
        waiting_bytes_max: 200,
        datagram_bytes_max: 300,
        ..Settings::default()
    }
}

fuzz_target!(|input: &[u8]| {
    check_codec(input);
    let settings = settings();
    let mut play = Play::new();
    let mut rest = input;
    while let [kind, length, tail @ ..] = rest {
        let length = usize::from(*length).min(tail.len());
        let (bytes, next) = tail.split_at(length);
        rest = next;
        play.now += u64::from(kind >> 3) * 1_000_000_000;
        match kind & 7 {
            0..=2 => play.hear(bytes, &settings),
            3..=5 => play.tell(bytes, &settings),
            6 => play.with(&settings, |gateway, settings, io| {
                gateway.on_timer(settings, io)
            }),
            _ => play.with(&settings, |gateway, settings, io| {
                gateway.output_done(settings, io);
                Verdict::Open
            }),
        }
    }
});

fn check_codec(bytes: &[u8]) {
    if let Ok((_, inner)) = unwrap_forwarded(bytes) {
        assert!(inner.len() <= bytes.len());
    }
    if let Ok(packet) = decode(bytes) {
        let mut again = Vec::new();
        encode(&packet, &mut again);
        assert_eq!(again.len(), encoded_len(&packet));
        assert_eq!(decode(&again), Ok(packet));
    }
}

struct Play {
    gateway: Gateway,
    now: u64,
    to_broker: Vec<u8>,
    to_client: Datagrams,
}

impl Play {
    fn new() -> Self {
        Self {
            gateway: Gateway::new(),
            now: 0,
            to_broker: Vec::new(),
            to_client: Datagrams::default(),
        }
    }

    /// A datagram; its Length is made right, so that more of them are messages.
    fn hear(&mut self, bytes: &[u8], settings: &Settings) {
        check_codec(bytes);
        let mut datagram = bytes.to_vec();
        if let (Some(first), Ok(length)) = (datagram.first_mut(), u8::try_from(bytes.len())) {
            *first = length;
        }
        if let Ok(packet) = decode(&datagram) {
            self.with(settings, |gateway, settings, io| {
                gateway.on_packet(&packet, settings, io)
            });
        }
    }

    /// Packets of the broker.
    fn tell(&mut self, bytes: &[u8], settings: &Settings) {
        if self.gateway.takes_output() {
            self.with(settings, |gateway, settings, io| {
                gateway.on_mqtt(bytes, settings, io)
            });
        }
    }

    fn with(
        &mut self,
        settings: &Settings,
        work: impl FnOnce(&mut Gateway, &Settings, &mut Io<'_>) -> Verdict,
    ) {
        self.to_broker.clear();
        self.to_client.clear();
        let mut io = Io {
            now: self.now,
            to_broker: &mut self.to_broker,
            to_client: &mut self.to_client,
        };
        let verdict = work(&mut self.gateway, settings, &mut io);
        self.check_output(settings);
        match verdict {
            Verdict::Open => {}
            Verdict::Closed => assert_eq!(self.gateway.take_will(), None),
            Verdict::Lost | Verdict::Restart => {
                self.gateway.take_will();
                self.gateway = Gateway::new();
            }
        }
    }

    fn check_output(&self, settings: &Settings) {
        for datagram in self.to_client.iter() {
            decode(datagram).expect("the gateway sends messages");
        }
        let mut rest = self.to_broker.as_slice();
        while !rest.is_empty() {
            let Ok(Frame::Complete {
                header,
                body,
                length,
            }) = frame(rest, PACKET_SIZE_MAX)
            else {
                panic!("not whole: {}", rest.escape_ascii());
            };
            mqtt::Packet::decode(header, body, Version::V5).expect("the gateway sends packets");
            rest = &rest[length..];
        }
        // Whoever is connected can be lost.
        assert!(!self.gateway.is_connected() || self.gateway.deadline(settings).is_some());
    }
}
