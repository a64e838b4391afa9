//! The README's tour: its commands are run as they stand there, on a free port, and print what
//! the page says they print.

use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::{Broker, program};
use ringbus_tests::client::Client;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A topic that the tour's subscriber gets, and that a reader of the tour does not send to.
const PROBE: &str = "demo/probe";

/// A fenced block of the tour.
struct Block {
    kind: String,
    text: String,
}

fn tour() -> Vec<Block> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("README.md");
    let section = readme
        .split("## Five minutes")
        .nth(1)
        .expect("the README has a tour");
    let section = section
        .split("\n## ")
        .next()
        .expect("something follows the title");
    // Between the fences: text, block, text, block, …
    let blocks = section.split("```").skip(1).step_by(2).map(|piece| {
        let (kind, text) = piece.split_once('\n').expect("a block has lines");
        Block {
            kind: kind.trim().to_owned(),
            text: text.to_owned(),
        }
    });
    blocks.collect()
}

fn shell(line: &str, broker: &Broker) -> Command {
    let (port, nats) = (broker.address().port(), broker.nats_address().port());
    let line = line
        .replace("127.0.0.1 4222", &format!("127.0.0.1 {nats}"))
        .replace("ringbus sub", &format!("exec ringbus sub -p {port}"))
        .replace("ringbus pub", &format!("exec ringbus pub -p {port}"))
        .replace("mosquitto_pub", &format!("exec mosquitto_pub -p {port}"));
    let folder = program()
        .parent()
        .expect("the program is in a folder")
        .display()
        .to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").expect("a PATH"));
    let mut command = Command::new("bash");
    command
        .args(["-euc", &line])
        .env("PATH", path)
        .stdin(Stdio::null());
    command
}

/// Runs the commands of a block; what they print. A command in the background subscribes: the next
/// one starts when it has, which takes a reader of the page longer than the program.
fn run(commands: &str, broker: &Broker) -> String {
    let (mut printed, mut background) = (String::new(), Vec::new());
    for line in commands.lines() {
        if let Some(line) = line.strip_suffix(" &") {
            // One message more: the probe.
            let mut command = shell(&line.replace("-C 2", "-C 3"), broker);
            background.push(command.stdout(Stdio::piped()).spawn().expect("bash runs"));
            await_subscriber(broker);
            continue;
        }
        let output = shell(line, broker).output().expect("bash runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{line}: {}\n{errors}",
            output.status
        );
        printed += &String::from_utf8(output.stdout).expect("text");
    }
    for child in background {
        let output = child.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "in the background: {}",
            output.status
        );
        printed += &String::from_utf8(output.stdout).expect("text");
    }
    printed.replace(&format!("{PROBE} ready\n"), "")
}

/// Publishes until somebody receives it: PUBACK says `No matching subscribers` before.
fn await_subscriber(broker: &Broker) {
    let mut client = Client::open(broker, Version::V5, "prober");
    while client.publish(PROBE, "ready", QoS::AtLeastOnce, false) != 0 {}
    client.disconnect();
}

#[test]
fn the_tour_of_the_readme_works() {
    let broker = Broker::start_nats(&[]);
    let blocks = tour();
    let mut compared = 0;
    for (number, block) in blocks.iter().enumerate() {
        // The first command of the tour is the broker, which runs already.
        if block.kind != "sh tour" || block.text == "ringbus &\n" {
            continue;
        }
        let printed = run(&block.text, &broker);
        match blocks.get(number + 1) {
            Some(next) if next.kind == "text" => {
                assert_eq!(printed, next.text, "{}", block.text);
                compared += 1;
            }
            _ => assert!(!printed.is_empty(), "{}", block.text),
        }
    }
    assert!(
        compared >= 2,
        "the tour says what {compared} of its blocks print"
    );
    broker.stop();
}
