//! Sockets of topics on shards that lag, behind mailboxes that are full.

use super::{asked_for, run};
use ringbus::base::{Nanos, Scheme};
use ringbus::io::sim::{Faults, Sim};
use ringbus_tests::simulation::{Plan, Sockets, SocketsReport, WebEnd, hello};

const SEEDS: std::ops::Range<u64> = 0..400;

/// Whoever is there hears all that is said, once and in order, its own included: also what it said
/// just before it closed.
#[test]
fn sockets_miss_nothing_that_was_said_after_they_were_open() {
    let asked = asked_for(SEEDS);
    let mut sum = SocketsReport::default();
    for seed in asked.clone() {
        let report = run("sockets", seed, || Sockets::new(seed).run(300));
        let report = report.unwrap_or_else(|what| panic!("{what}"));
        sum.opened += report.opened;
        sum.said += report.said;
        sum.heard += report.heard;
        sum.closed += report.closed;
    }
    println!("seeds {asked:?}: {sum:?}");
    if asked == SEEDS {
        // Chance has made something of each kind happen.
        assert!(sum.opened > 500 && sum.closed > 300, "{sum:?}");
        assert!(sum.said > 8_000 && sum.heard > 8_000, "{sum:?}");
    }
}

/// A client need not wait for CONNACK: the frames behind its CONNECT go home with it.
#[test]
fn what_follows_connect_goes_home_with_it() {
    let config = Plan {
        shards: 4,
        ..Plan::new(1)
    }
    .shard_config();
    let faults = Faults {
        short_read_percent: 0,
        short_write_percent: 0,
        delay_max: Nanos(0),
        interleave_percent: 0,
        turn_max: Nanos(1_000),
    };
    let mut sim = Sim::new(config, 8, faults, 1);
    for client in 0..40 {
        let socket = sim.connect_to(Scheme::Ws, client % 4, 1 << 20);
        let mut web = WebEnd::open(&mut sim, socket, client as u64, "/mqtt", Some("mqtt"));
        let name = format!("client-{client}");
        let topic = format!("topic/{client}");
        for packet in hello(&name, &topic) {
            web.send(&mut sim, &packet);
        }
        let mut stream = Vec::new();
        // The answer to the request, then the rest.
        for _ in 0..2 {
            sim.run_until(sim.now() + Nanos::from_millis(50));
            let answer = sim.receive(socket, usize::MAX).bytes;
            stream.extend(web.receive(&mut sim, &answer).expect("a WebSocket"));
        }
        let message = b"still here";
        assert!(
            stream.windows(message.len()).any(|part| part == message),
            "{name} got {stream:?}\nreplay: cargo test -p ringbus-tests --test simulation what_follows"
        );
    }
}
