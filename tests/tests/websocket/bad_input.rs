//! What costs a broker more than its sender: it is closed with the right code, the memory comes
//! back, and who does nothing wrong is served meanwhile.

use flate2::{Compress, Compression, FlushCompress};
use ringbus_tests::broker::Broker;
use ringbus_tests::random::Random;
use ringbus_tests::web::{
    BINARY, CLOSE, CONTINUATION, Frame, MqttWire, PING, RSV1, Request, StompClient, TEXT,
    WebClient, read_response, web_stream,
};
use std::io::Write;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// What an allocator may keep for the next time, and receive buffers that a turn needed for the first
/// time: a shard has 16 MiB of them and touches what it needs.
const SLACK: u64 = 12 * MIB;
/// How long it may take to give back the rest.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker, and somebody on it who does nothing wrong.
struct Watched {
    broker: Broker,
    web: WebClient,
}

impl Watched {
    fn start() -> Watched {
        let flags = ["--max-packet-size", "1MiB", "--ws-compression"];
        let broker = Broker::start_web_socket(&flags);
        let web = WebClient::open(&broker, "/bystander");
        Watched { broker, web }
    }

    /// Attacks a few times, until the allocator's pockets and the buffers of the ring were all in
    /// use, and then ten times; the memory must be back, and must never have been above `most` and the slack more.
    fn attacked(mut self, most: u64, attack: impl Fn(&Broker)) {
        for _ in 0..3 {
            attack(&self.broker);
            self.web.echo(TEXT, "still here");
        }
        let before = self.broker.resident_bytes();
        self.broker.forget_peak_memory();
        for number in 0..10 {
            attack(&self.broker);
            self.web.echo(TEXT, number.to_string());
        }
        let peak = self.broker.peak_resident_bytes().saturating_sub(before);
        assert!(
            peak <= most + SLACK,
            "grown by {} KiB meanwhile",
            peak >> 10
        );
        let end = Instant::now() + PATIENCE;
        while self.broker.resident_bytes() > before + SLACK {
            let grown = self.broker.resident_bytes() - before;
            assert!(Instant::now() < end, "grown by {} KiB", grown >> 10);
            // What is given back late is given back while something happens.
            self.web.echo(TEXT, "and now?");
        }
        self.web.close();
        self.broker.stop();
    }
}

#[test]
fn header_bombs_leave_nothing() {
    let bombs: Vec<Vec<u8>> = vec![
        [&b"GET / HTTP/1.1\r\n"[..], &b"X-Y: z\r\n".repeat(500_000)].concat(),
        [&b"GET / HTTP/1.1\r\nX: "[..], &vec![b'v'; 4 << 20]].concat(),
        vec![b'G'; 4 << 20],
    ];
    // Kept, it would be 40 MiB.
    Watched::start().attacked(8 * MIB, |broker| {
        for bomb in &bombs {
            let mut streams: Vec<_> = (0..10).map(|_| web_stream(broker)).collect();
            for stream in &mut streams {
                // It may be closed before all is sent.
                let _ = stream.write_all(bomb);
            }
            for stream in &mut streams {
                let response = read_response(stream, false);
                let is_refused = matches!(response.status, 400 | 414 | 431);
                assert!(is_refused, "{response:?}");
            }
        }
    });
}

/// A million fragments of one byte: 1009 well before the end.
#[test]
fn a_million_fragments_are_refused() {
    let mut bytes = Vec::new();
    Frame::new(BINARY, "x")
        .unfinished()
        .encode(Some([1; 4]), &mut bytes);
    let mut one = Vec::new();
    Frame::new(CONTINUATION, "x")
        .unfinished()
        .encode(Some([2; 4]), &mut one);
    bytes.extend(one.repeat(1_000_000));
    Watched::start().attacked(8 * MIB, |broker| {
        let mut client = WebClient::open(broker, "/fragments");
        client.send_bytes(&bytes);
        client.expect_close(1009);
    });
}

/// So are a million of none.
#[test]
fn a_million_empty_fragments_are_refused() {
    let mut bytes = Vec::new();
    Frame::new(TEXT, "")
        .unfinished()
        .encode(Some([1; 4]), &mut bytes);
    let mut one = Vec::new();
    Frame::new(CONTINUATION, "")
        .unfinished()
        .encode(Some([2; 4]), &mut one);
    bytes.extend(one.repeat(1_000_000));
    Watched::start().attacked(8 * MIB, |broker| {
        let mut client = WebClient::open(broker, "/empty");
        client.send_bytes(&bytes);
        client.expect_close(1009);
    });
}

/// A compressed payload of zeros that is a thousand times as long.
fn bomb(length: usize) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let (zeros, mut out) = (vec![0; 1 << 20], Vec::new());
    for _ in 0..length >> 20 {
        out.reserve(1 << 16);
        compress
            .compress_vec(&zeros, &mut out, FlushCompress::Sync)
            .expect("memory to memory");
    }
    let length = out.len() - 4;
    out.truncate(length);
    out
}

/// It is within the limit as it comes, and far above it as it is.
#[test]
fn rfc7692_8_a_deflate_bomb_is_refused_at_the_limit() {
    let payload = bomb(512 << 20);
    assert!(payload.len() < 1 << 20, "{} is no bomb", payload.len());
    assert!(
        (512 << 20) / payload.len() > 900,
        "{} is weak",
        payload.len()
    );
    Watched::start().attacked(12 * MIB, |broker| {
        for subprotocol in [None, Some("mqtt"), Some("v12.stomp")] {
            let mut request = Request::upgrade("/bomb").extensions("permessage-deflate");
            if let Some(name) = subprotocol {
                request = request.subprotocols(name);
            }
            let mut client = WebClient::connect(broker, &request);
            client.send(&Frame::new(BINARY, &payload).reserved(RSV1));
            let closed = std::iter::from_fn(|| client.receive_or_end())
                .find(|frame| frame.opcode == CLOSE)
                .and_then(|frame| frame.close_code());
            let expected = match subprotocol {
                Some("mqtt") => [1002, 1009],
                _ => [1009, 1009],
            };
            assert!(
                closed.is_some_and(|code| expected.contains(&code)),
                "{closed:?}"
            );
        }
    });
}

/// Most of a message, and then nothing: what was kept goes with the connection.
#[test]
fn messages_that_never_end_leave_nothing() {
    Watched::start().attacked(64 * MIB, |broker| {
        let mut clients: Vec<_> = (0..40)
            .map(|_| WebClient::open(broker, "/unfinished"))
            .collect();
        for client in &mut clients {
            client.send(&Frame::new(BINARY, vec![7; 900_000]).unfinished());
            client.send(&Frame::new(PING, "there?"));
            client.expect_pong("there?");
        }
        // Half of them without a word.
        for client in clients.drain(..20) {
            client.close();
        }
    });
}

/// A length is no reason to ask for memory.
#[test]
fn lengths_alone_cost_nothing() {
    Watched::start().attacked(8 * MIB, |broker| {
        let clients: Vec<_> = (0..200)
            .map(|_| {
                let mut client = WebClient::open(broker, "/lengths");
                let head = Frame::new(BINARY, "");
                let mut bytes = Vec::new();
                ringbus_tests::web::put_head(&head, 1_000_000, Some([1; 4]), &mut bytes);
                client.send_bytes(&bytes);
                client.send_bytes(b"a few");
                client
            })
            .collect();
        drop(clients);
    });
}

/// Sockets that take nothing of what they are sent.
#[test]
fn slow_sockets_are_bounded() {
    let flags = ["--max-packet-size", "1MiB", "--queue-bytes", "1MiB"];
    let broker = Broker::start_web_socket(&flags);
    let mut slow: Vec<_> = (0..10).map(|_| WebClient::open(&broker, "/slow")).collect();
    let mut quick = WebClient::open(&broker, "/slow");
    let before = broker.resident_bytes();
    broker.forget_peak_memory();
    let message = vec![b's'; 100_000];
    for _ in 0..1_000 {
        quick.echo(BINARY, &message);
    }
    let peak = broker.peak_resident_bytes().saturating_sub(before);
    assert!(peak <= 48 * MIB, "grown by {} KiB", peak >> 10);
    for client in &mut slow {
        // Behind what waited for it, it hears on; or it was told why not.
        loop {
            quick.echo(TEXT, "last");
            let frame = client.receive();
            match frame.opcode {
                TEXT => break,
                CLOSE => {
                    let code = frame.close_code();
                    assert!(matches!(code, Some(1008 | 1013)), "{frame:?}");
                    break;
                }
                _ => assert_eq!(frame.payload.len(), message.len()),
            }
        }
    }
    broker.stop();
}

/// Arbitrary bytes behind a good handshake, in each protocol: every connection ends with a Close
/// or goes on, and nothing of it is left.
#[test]
fn storms_of_frames_end_in_order() {
    Watched::start().attacked(16 * MIB, |broker| {
        for (number, name) in [None, Some("mqtt"), Some("v12.stomp")].iter().enumerate() {
            for seed in 0..60 {
                let offer = "permessage-deflate; client_max_window_bits";
                let mut request = Request::upgrade("/storm").extensions(offer);
                if let Some(name) = name {
                    request = request.subprotocols(name);
                }
                let mut client = WebClient::connect(broker, &request);
                let mut random =
                    Random::new(seed * 3 + u64::try_from(number).expect("one of three"));
                client.send_bytes(&storm(&mut random));
                client.send(&Frame::close(1000, ""));
                client
                    .stream()
                    .shutdown(std::net::Shutdown::Write)
                    .expect("open");
                while client.receive_or_end().is_some() {}
            }
        }
    });
}

/// Frames that are right more often than not.
fn storm(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(12) {
        let opcode = [CONTINUATION, TEXT, BINARY, PING, CLOSE, 3][random.below(6)];
        let length = random.below(140);
        let mut frame = Frame::new(opcode, random.bytes(length));
        frame.fin = !random.one_in(3);
        frame.rsv = if random.one_in(4) { RSV1 } else { 0 };
        let mask = (!random.one_in(10)).then_some([1, 2, 3, 4]);
        frame.encode(mask, &mut bytes);
    }
    if !bytes.is_empty() && random.one_in(2) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
    bytes
}

/// MQTT and STOMP are beside all that.
#[test]
fn other_protocols_on_the_port_are_not_affected() {
    let watched = Watched::start();
    let version = ringbus_protocols::mqtt::Version::V5;
    let mut mqtt = MqttWire::client(&watched.broker, version, "unaffected");
    let mut stomp = StompClient::open(&watched.broker);
    for byte in 0..=255 {
        let mut client = WebClient::open(&watched.broker, "/bytes");
        client.send_bytes(&[byte; 64]);
        mqtt.ping();
        stomp.expect_nothing();
    }
    watched.broker.stop();
}
