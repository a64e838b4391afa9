//! `ringbus pub`, `ringbus sub` and `ringbus bench` as a user meets them: exit codes and output.
#![expect(
    clippy::disallowed_methods,
    reason = "tests run real processes over real sockets, and every wait has a deadline"
)]

use ringbus_tests::broker::{Broker, program};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A command of the program, with a broker's port if there is one.
fn tool(broker: Option<&Broker>, line: &str) -> Command {
    let mut command = Command::new(program());
    command.args(line.split_whitespace());
    if let Some(broker) = broker {
        command.args(["-p", &broker.address().port().to_string()]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(broker: Option<&Broker>, line: &str) -> Output {
    tool(broker, line).output().expect("the program runs")
}

/// Runs a command that must succeed and returns what it printed.
fn succeed(broker: &Broker, line: &str) -> String {
    let output = run(Some(broker), line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{line}: {:?} {errors}",
        output.status
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Starts `ringbus sub` and waits until it has subscribed: it prints a retained message of its own
/// that only a subscription brings.
fn subscriber(broker: &Broker, line: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    static MARKERS: AtomicU32 = AtomicU32::new(0);
    let marker = format!("ready/{}", MARKERS.fetch_add(1, Ordering::Relaxed));
    // QoS 1: acknowledged when it is stored.
    succeed(broker, &format!("pub -q 1 -r {marker} ready"));
    let mut child = tool(Some(broker), line)
        .arg(&marker)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    lines.read_line(&mut first).expect("a line");
    assert!(first.contains("ready"), "{first:?}");
    (child, lines)
}

fn remaining(lines: BufReader<std::process::ChildStdout>) -> Vec<String> {
    lines.lines().map(|line| line.expect("text")).collect()
}

#[test]
fn what_is_published_is_printed_in_every_version_and_qos() {
    let broker = Broker::start();
    for version in ["3.1", "3.1.1", "5", "mqttv5"] {
        for qos in 0..=2 {
            let flags = format!("-V {version} -q {qos}");
            let (mut child, lines) = subscriber(&broker, &format!("sub {flags} -v -C 4 t/#"));
            succeed(&broker, &format!("pub {flags} t/a one"));
            succeed(&broker, &format!("pub {flags} -t t/b -m two"));
            succeed(&broker, &format!("pub {flags} -t t/c -n"));
            let mut printed = remaining(lines);
            // Topics and publishers of their own: their order is nobody's promise.
            printed.sort();
            assert_eq!(printed, ["t/a one", "t/b two", "t/c "], "{flags}");
            assert!(child.wait().expect("our child").success(), "{flags}");
        }
    }
    broker.stop();
}

#[test]
fn lines_of_the_standard_input_become_messages_in_order() {
    let broker = Broker::start();
    for qos in 0..=2 {
        let (mut child, lines) = subscriber(&broker, &format!("sub -q {qos} -C 3001 lines"));
        let mut publisher = tool(Some(&broker), &format!("pub -q {qos} -l -t lines"));
        let mut publisher = publisher.stdin(Stdio::piped()).spawn().expect("it starts");
        let numbers: Vec<String> = (0..3000).map(|number| number.to_string()).collect();
        let mut input = publisher.stdin.take().expect("piped");
        input
            .write_all(numbers.join("\n").as_bytes())
            .expect("it reads");
        drop(input);
        assert!(publisher.wait().expect("our child").success());
        assert_eq!(remaining(lines), numbers, "QoS {qos}");
        assert!(child.wait().expect("our child").success());
    }
    broker.stop();
}

#[test]
fn json_tells_topic_qos_retain_and_payload() {
    let broker = Broker::start();
    succeed(&broker, "pub -q 1 -r state/lamp on");
    let line = succeed(&broker, "sub -q 1 -V 5 -F json -C 1 state/+");
    let message: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(message["topic"], "state/lamp");
    assert_eq!(message["payload"], "on");
    assert_eq!(
        (&message["qos"], &message["retain"]),
        (&Value::from(1), &Value::from(1))
    );
    broker.stop();
}

#[test]
fn a_kept_session_receives_what_came_meanwhile() {
    let broker = Broker::start();
    for version in ["3.1.1", "5"] {
        let session = format!("sub -V {version} -c -i keeper-{version} -q 1 -C 1 kept/{version}");
        succeed(&broker, &format!("pub -q 1 -r kept/{version} before"));
        assert_eq!(succeed(&broker, &session), "before\n");
        succeed(&broker, &format!("pub -q 1 kept/{version} meanwhile"));
        // The retained message comes again with the subscription, after what waited.
        assert_eq!(succeed(&broker, &session), "meanwhile\n");
    }
    broker.stop();
}

#[test]
fn a_will_is_published_when_the_client_is_killed() {
    let broker = Broker::start();
    let (mut watcher, lines) = subscriber(&broker, "sub -v -C 2 wills/#");
    let will = "sub --will-topic wills/a --will-payload gone --will-qos 1 other";
    let (mut client, _lines) = subscriber(&broker, will);
    client.kill().expect("our child");
    client.wait().expect("our child");
    assert_eq!(remaining(lines), ["wills/a gone"]);
    assert!(watcher.wait().expect("our child").success());
    broker.stop();
}

#[test]
fn a_signal_ends_a_subscriber_cleanly() {
    let broker = Broker::start();
    let (mut child, lines) = subscriber(&broker, "sub x");
    let pid = libc::pid_t::try_from(child.id()).expect("a pid fits");
    // SAFETY: the pid is our child's, which was not waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    assert_eq!(child.wait().expect("our child").code(), Some(0));
    assert!(remaining(lines).is_empty());
    broker.stop();
}

#[test]
fn exit_codes_tell_usage_failure_and_time_out_apart() {
    let broker = Broker::start();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = nobody.local_addr().expect("an address").port();
    drop(nobody);
    let cases = [
        (
            run(None, &format!("pub -p {port} a b")),
            1,
            "cannot connect to 127.0.0.1",
        ),
        (run(Some(&broker), "pub a/# b"), 2, "a/#"),
        (run(Some(&broker), "pub a"), 2, "no message"),
        (run(Some(&broker), "sub"), 2, "no topic filter"),
        (run(Some(&broker), "sub -x 5 a"), 2, "-V 5"),
        (run(Some(&broker), "sub -W 1 a"), 27, ""),
    ];
    for (output, code, text) in cases {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(text), "{errors}");
        assert!(errors.lines().count() <= 1, "one line: {errors}");
    }
    broker.stop();
}

#[test]
fn a_refusal_is_told_by_the_name_of_its_reason() {
    // A listener that refuses every CONNECT, as a broker with accounts would.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let refuser = std::thread::spawn(move || {
        for answer in [&[0x20, 3, 0, 0x87, 0][..], &[0x20, 2, 0, 5]] {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            assert!(!reader.fill_buf().expect("a CONNECT").is_empty());
            stream.write_all(answer).expect("it reads");
        }
    });
    for version in ["5", "3.1.1"] {
        let output = run(None, &format!("pub -p {port} -V {version} a b"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("Not authorized"), "{errors}");
    }
    refuser.join().expect("it refused twice");
}

/// Runs a short benchmark that starts its own broker, and returns its report.
fn bench(line: &str) -> Value {
    let line = format!("bench {line} --json --unpinned");
    let output = run(None, &line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn each_load_delivers_everything_once_and_in_order() {
    for line in [
        "p2p --pubs 5",
        "p2p --pubs 5 --version 5 -q 1",
        "p2p --pubs 5 -q 2 --batch 1",
        "p2p --pubs 2 --topics 6 --subs 3 --shards 2",
        "fan-in --pubs 10 --shards 2",
        "fan-out --subs 20 --payload 5000",
        "latency --pairs 5 --ping-pong",
        "p2p --pubs 5 --proto ws",
        "p2p --pubs 5 --proto ws --version 5 -q 1",
        "p2p --pubs 5 --proto ws -q 2 --batch 3 --payload 300",
        "fan-in --pubs 10 --proto ws --shards 2",
        "fan-out --subs 20 --payload 5000 --proto ws",
        "p2p --pubs 5 --proto topic --shards 2",
        "fan-out --subs 20 --payload 5000 --proto topic",
        "latency --pairs 5 --ping-pong --proto topic",
    ] {
        let report = bench(&format!("{line} --duration 0.2 --warmup 0.05"));
        assert!(report["received"].as_u64() > Some(0), "{line}: {report}");
        assert_eq!(report["received"], report["expected"], "{line}: {report}");
        for wrong in ["lost", "duplicated", "reordered", "foreign", "refused"] {
            assert_eq!(report[wrong], 0, "{line}: {report}");
        }
        assert!(
            report["broker_cpu_us_per_message"].as_f64() > Some(0.0),
            "{line}: {report}"
        );
    }
}

#[test]
fn datagrams_arrive_and_what_is_lost_is_counted() {
    for line in [
        "p2p --pubs 5",
        "p2p --pubs 2 --topics 6 --subs 3 --io epoll",
        "p2p --pubs 5 --shards 2",
        "fan-in --pubs 3 --payload 300",
        "fan-out --subs 20 --topic xy",
        "latency --pairs 5",
    ] {
        let report = bench(&format!(
            "{line} --proto mqttsn --duration 0.2 --warmup 0.05"
        ));
        let count = |which: &str| report[which].as_u64().expect("a number");
        assert!(count("received") > 0, "{line}: {report}");
        let known = count("received") + count("lost");
        assert_eq!(known, count("expected"), "{line}: {report}");
        assert_eq!(report["may_lose"], true, "{line}: {report}");
        for wrong in ["duplicated", "reordered", "foreign", "refused"] {
            assert_eq!(report[wrong], 0, "{line}: {report}");
        }
    }
}

#[test]
fn an_open_loop_holds_a_small_rate_and_times_it() {
    let report = bench("p2p --pubs 5 --rate 500 --batch 1 --duration 1 --warmup 0.2");
    assert_eq!(report["rate_held"], true, "{report}");
    assert_eq!(report["lost"], 0, "{report}");
    let latency = &report["latency_us"];
    assert!(latency["count"].as_u64() > Some(400), "{report}");
    assert!(
        latency["p50"].as_f64() <= latency["max"].as_f64(),
        "{report}"
    );
}

#[test]
fn a_rate_beyond_the_machine_is_exit_code_3() {
    let line = "bench p2p --rate 1000000000 --batch 1 --duration 0.2 --warmup 0 --json --unpinned";
    let output = run(None, line);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report comes anyway");
    assert_eq!(report["rate_held"], false);
}

#[test]
fn connections_are_counted_and_weighed() {
    for proto in ["mqtt", "ws", "topic", "topic --compress"] {
        let report = bench(&format!(
            "connect --connections 200 --hold 0 --proto {proto}"
        ));
        assert_eq!(report["connections"], 200, "{proto}");
        assert!(
            report["connections_per_core_second"].as_f64() > Some(0.0),
            "{report}"
        );
        assert!(report["user_bytes_per_connection"].is_number(), "{report}");
    }
}

#[test]
fn the_copy_relay_copies_everything() {
    let output = run(None, "bench limit --duration 0.2 --warmup 0.05 --json");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["received"], report["expected"], "{report}");
    assert!(
        report["cpu_us_per_70_bytes"].as_f64() > Some(0.0),
        "{report}"
    );
}

#[test]
fn what_a_loop_receives_and_what_it_loses_is_all_that_was_sent() {
    for kind in ["sink", "echo"] {
        let line = format!("bench limit --udp {kind} --duration 0.2 --warmup 0.05 --json");
        let output = run(None, &line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let count = |which: &str| report[which].as_u64().expect("a number");
        assert!(count("received") > 0, "{report}");
        assert_eq!(count("received") + count("lost"), count("sent"), "{report}");
    }
}

#[test]
fn the_members_of_a_group_share_evenly_and_get_everything_once() {
    for shards in [1, 2] {
        let line = "shared --pubs 4 --subs 10 -q 1 --duration 0.2 --warmup 0.05";
        let report = bench(&format!("{line} --shards {shards}"));
        assert_eq!(report["received"], report["expected"], "{report}");
        for wrong in ["lost", "duplicated", "reordered", "foreign", "refused"] {
            assert_eq!(report[wrong], 0, "{report}");
        }
        let share = |which: &str| report["shares"][which].as_f64().expect("a number");
        assert!(share("least") > 0.9 * share("mean"), "{report}");
        assert!(share("most") < 1.1 * share("mean"), "{report}");
    }
}

#[test]
fn a_backlog_comes_whole_once_and_in_order() {
    for shards in [1, 2] {
        let report = bench(&format!(
            "backlog --messages 3000 --idle 0.1 --shards {shards}"
        ));
        assert_eq!(report["received"], 3_000, "{report}");
        assert_eq!(report["duplicated"], 0, "{report}");
        assert_eq!(report["reordered"], 0, "{report}");
        assert!(report["before_us"]["count"].as_u64() > Some(0), "{report}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let line = "bench p2p --duration 0.1 --warmup 0 --unpinned";
    let mut child = tool(None, line).spawn().expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("our child");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn bad_numbers_of_a_benchmark_are_usage_errors() {
    for (line, text) in [
        ("bench p2p --payload 8", "--payload"),
        ("bench p2p --window 4 --batch 16", "--window"),
        ("bench p2p --url http://h", "http"),
        ("bench p2p --proto resp", "--url"),
        ("bench fan-in --proto topic", "--proto topic"),
        ("bench p2p --proto topic -q 1", "--qos"),
        ("bench p2p --proto mqttsn -q 1", "--qos"),
        ("bench p2p --proto mqttsn --topic a/b", "--topic"),
        ("bench connect --proto mqttsn", "bench connect"),
        ("bench connect --compress --proto ws", "--compress"),
        ("bench backlog --proto ws", "MQTT over TCP"),
        ("bench suite --brokers nobody", "nobody"),
        ("bench backlog --payload 8", "--payload"),
    ] {
        let output = run(None, line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {errors}");
        assert!(errors.contains(text), "{line}: {errors}");
    }
}
