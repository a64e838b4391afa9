//! Negotiation of permessage-deflate: RFC 7692, sections 5 and 7.1.

use crate::shared;
use ringbus_tests::broker::Broker;
use ringbus_tests::web::{Agreed, RSV1, Request, TEXT, WebClient};

#[track_caller]
fn offered(broker: &Broker, offer: &str) -> (WebClient, Option<Agreed>) {
    let request = Request::upgrade(&format!("/{}", crate::fresh("offer"))).extensions(offer);
    let client = WebClient::connect(broker, &request);
    let agreed = client.agreed();
    (client, agreed)
}

/// `[RFC7692 7.1]` Every combination of parameters and window bits, in the order of a counter.
#[test]
fn rfc7692_7_1_every_combination_is_answered_as_it_may_be() {
    let broker = shared();
    let message = "a message that comes again, a message that comes again. ".repeat(20);
    for number in 0..4 * 10 * 10 {
        let (client_bits, server_bits) = (number / 10 % 10, number % 10);
        let mut offer = "permessage-deflate".to_owned();
        if (number / 100) & 1 != 0 {
            offer += "; server_no_context_takeover";
        }
        if (number / 100) & 2 != 0 {
            offer += "; client_no_context_takeover";
        }
        offer += &match client_bits {
            0 => String::new(),
            1 => "; client_max_window_bits".to_owned(),
            bits => format!("; client_max_window_bits={}", bits + 6),
        };
        if server_bits > 1 {
            offer += &format!("; server_max_window_bits={}", server_bits + 6);
        }
        let (mut client, agreed) = offered(&broker, &offer);
        let Some(agreed) = agreed else {
            // Only what zlib cannot do may be declined.
            assert!(offer.contains("window_bits=8"), "{offer} is declined");
            client.echo(TEXT, &message);
            continue;
        };
        assert_may_answer(&offer, agreed);
        for _ in 0..2 {
            let frames = client.compressed(TEXT, message.as_bytes(), 100);
            client.send_all(&frames);
            client.expect(TEXT, &message);
        }
        client.close();
    }
}

/// `[RFC7692 7.1.1.1]` to `[RFC7692 7.1.2.2]`.
#[track_caller]
fn assert_may_answer(offer: &str, agreed: Agreed) {
    let said = |name: &str| offer.split("; ").find_map(|part| part.strip_prefix(name));
    let bits = |text: Option<&str>| -> Option<u8> {
        text.and_then(|text| text.strip_prefix('=')?.parse().ok())
    };
    if said("server_no_context_takeover").is_some() {
        assert!(agreed.server_no_context_takeover, "{offer}: {agreed:?}");
    }
    if let Some(asked) = bits(said("server_max_window_bits")) {
        let answered = agreed.server_max_window_bits;
        assert!(
            answered.is_some_and(|bits| bits <= asked),
            "{offer}: {agreed:?}"
        );
    }
    match said("client_max_window_bits") {
        // What the client does not know it cannot be asked.
        None => assert_eq!(agreed.client_max_window_bits, None, "{offer}"),
        Some(value) => {
            let longest = bits(Some(value)).unwrap_or(15);
            // Without an answer the server takes any window.
            let answered = agreed.client_max_window_bits.unwrap_or(longest);
            assert!(answered <= longest, "{offer}: {agreed:?}");
        }
    }
}

/// `[RFC7692 7.1]` Unknown, repeated and ill-valued parameters: that offer is declined, and the
/// connection goes on without.
#[test]
fn rfc7692_7_1_offers_that_are_no_good_are_declined() {
    let broker = shared();
    for offer in [
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=0",
        "permessage-deflate; client_max_window_bits=99999999999999999999",
        "permessage-deflate; client_max_window_bits=ten",
        "permessage-bzip2",
        "x-webkit-deflate-frame",
        "permessage-deflate-more",
    ] {
        let (mut client, agreed) = offered(&broker, offer);
        assert_eq!(agreed, None, "{offer}");
        client.echo(TEXT, "in clear");
        client.send(&ringbus_tests::web::Frame::new(TEXT, "x").reserved(RSV1));
        client.expect_close(1002);
    }
}

/// `[RFC7692 5.1]` `[RFC7692 7.1.3]` The first offer that is good counts.
#[test]
fn rfc7692_5_1_of_several_offers_the_first_good_one_is_taken() {
    let broker = shared();
    for (offer, server_no_context_takeover) in [
        (
            "permessage-deflate; server_no_context_takeover, permessage-deflate",
            true,
        ),
        (
            "permessage-deflate, permessage-deflate; server_no_context_takeover",
            false,
        ),
        (
            "permessage-deflate; unknown, permessage-deflate; server_no_context_takeover",
            true,
        ),
        (
            "x-other; a=b; c=\"d\", permessage-deflate; server_no_context_takeover",
            true,
        ),
        (
            "permessage-deflate;server_no_context_takeover ,permessage-deflate",
            true,
        ),
        (" permessage-deflate ; server_no_context_takeover ", true),
        (
            "permessage-deflate; server_max_window_bits=\"12\"; server_no_context_takeover",
            true,
        ),
    ] {
        let (mut client, agreed) = offered(&broker, offer);
        let agreed = agreed.unwrap_or_else(|| panic!("{offer} is declined"));
        assert_eq!(
            agreed.server_no_context_takeover, server_no_context_takeover,
            "{offer}"
        );
        let frames = client.compressed(TEXT, b"compressed", usize::MAX);
        client.send_all(&frames);
        client.expect(TEXT, "compressed");
        client.close();
    }
}

/// `[RFC6455 9.1]` The header may be there more than once.
#[test]
fn rfc6455_9_1_offers_may_be_in_several_headers() {
    let broker = shared();
    let request = Request::upgrade("/several")
        .extensions("x-other")
        .extensions("permessage-deflate; unknown")
        .extensions("permessage-deflate; client_max_window_bits");
    let client = WebClient::connect(&broker, &request);
    assert!(client.agreed().is_some());
    client.close();
}

/// Compression costs memory: who runs a broker asks for it.
#[test]
fn rfc7692_5_compression_is_off_by_default() {
    let broker = Broker::start_web_socket(&[]);
    let (mut client, agreed) = offered(&broker, "permessage-deflate; client_max_window_bits");
    assert_eq!(agreed, None);
    client.echo(TEXT, "in clear".repeat(100));
    client.close();
    broker.stop();
}
