//! Cross-site requests: section 10.2.

use crate::shared;
use ringbus_tests::broker::Broker;
use ringbus_tests::web::{HOST, Request, TEXT, WebClient};

fn of(origin: &str) -> Request {
    Request::upgrade("/origin").with("Origin", origin)
}

#[track_caller]
fn accepted(broker: &Broker, request: &Request) {
    WebClient::connect(broker, request).echo(TEXT, "hello");
}

#[test]
fn rfc6455_10_2_the_same_origin_and_none_are_accepted() {
    let broker = shared();
    accepted(&broker, &Request::upgrade("/origin"));
    accepted(&broker, &of(&format!("http://{HOST}")));
    accepted(&broker, &of("http://Broker.TEST:8000"));
    // Behind a proxy that ends TLS.
    accepted(&broker, &of(&format!("https://{HOST}")));
    for (host, origin) in [
        ("broker.test", "http://broker.test"),
        ("broker.test", "http://broker.test:80"),
        ("broker.test", "https://broker.test"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("localhost:8000", "http://localhost:8000"),
    ] {
        accepted(&broker, &of(origin).replaced("Host", host));
    }
}

#[test]
fn rfc6455_10_2_every_other_form_of_origin_is_refused_with_403() {
    let broker = shared();
    for origin in [
        "null",
        "",
        "*",
        "http://evil.example",
        "https://evil.example",
        "http://broker.test",
        "http://broker.test:80",
        "http://broker.test:8001",
        "http://broker.test:80000",
        "http://broker.test:8000/",
        "http://broker.test:8000/path",
        "http://broker.test:8000?query",
        "http://broker.test:8000#fragment",
        "http://user@broker.test:8000",
        "http://broker.test:8000@evil.example",
        "http://evil.example/broker.test:8000",
        "http://evil.example#broker.test:8000",
        "http://broker.test:8000.evil.example",
        "http://broker.test.evil.example:8000",
        "http://notbroker.test:8000",
        "http://broker.test.:8000",
        "broker.test:8000",
        "//broker.test:8000",
        "http:broker.test:8000",
        "http://",
        "http://:8000",
        "http://broker.test:8000 http://evil.example",
        "http://broker.test:8000, http://evil.example",
        "http://evil.example, http://broker.test:8000",
        "http://broker.test :8000",
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "file://",
        "chrome-extension://abcdefghijklmnop",
    ] {
        let response = of(origin).ask(&broker);
        assert_eq!(response.status, 403, "{origin:?}: {response:?}");
    }
    let two = of(&format!("http://{HOST}")).with("Origin", "http://evil.example");
    let response = two.ask(&broker);
    assert!(matches!(response.status, 400 | 403), "{response:?}");
}

#[test]
fn rfc6455_10_2_subprotocols_are_no_way_around() {
    let broker = shared();
    for subprotocol in ["mqtt", "mqttv3.1", "v12.stomp"] {
        let request = of("http://evil.example").subprotocols(subprotocol);
        assert_eq!(request.ask(&broker).status, 403);
    }
}

#[test]
fn rfc6455_10_2_listed_origins_are_accepted_beside_the_same() {
    let flags = [
        "--ws-origin",
        "https://app.example",
        "--ws-origin",
        "http://dev.example:3000",
    ];
    let broker = Broker::start_web_socket(&flags);
    accepted(&broker, &Request::upgrade("/origin"));
    for origin in [
        "https://app.example",
        "https://app.example:443",
        "https://APP.example",
        "http://dev.example:3000",
        &format!("http://{HOST}"),
    ] {
        accepted(&broker, &of(origin));
    }
    for origin in [
        "http://app.example",
        "https://app.example:8443",
        "https://sub.app.example",
        "https://app.example.evil.example",
        "http://dev.example",
        "https://dev.example:3000",
        "null",
    ] {
        assert_eq!(of(origin).ask(&broker).status, 403, "{origin}");
    }
    broker.stop();
}

#[test]
fn rfc6455_10_2_a_star_accepts_everything() {
    let broker = Broker::start_web_socket(&["--ws-origin", "*"]);
    for origin in [
        "https://anything.example",
        "null",
        &format!("http://{HOST}"),
    ] {
        accepted(&broker, &of(origin));
    }
    broker.stop();
}

#[test]
fn fetch_3_2_cors_headers_follow_the_list() {
    let broker = Broker::start_web_socket(&["--ws-origin", "https://app.example"]);
    let allowed = |method: &str, origin: &str| {
        let request = Request::plain(method, "/").with("Origin", origin);
        let response = request.ask(&broker);
        let allowed = response.header("access-control-allow-origin");
        (response.status, allowed.map(str::to_owned))
    };
    let listed = Some("https://app.example".to_owned());
    assert_eq!(allowed("GET", "https://app.example"), (200, listed.clone()));
    assert_eq!(allowed("OPTIONS", "https://app.example"), (204, listed));
    for origin in ["https://evil.example", "null", "http://app.example"] {
        assert_eq!(allowed("GET", origin), (200, None), "{origin}");
        assert_eq!(allowed("OPTIONS", origin).1, None, "{origin}");
    }
    broker.stop();
}

#[test]
fn fetch_3_2_cors_of_a_star() {
    let broker = Broker::start_web_socket(&["--ws-origin", "*"]);
    let request = Request::plain("OPTIONS", "/").with("Origin", "https://any.example");
    let response = request.ask(&broker);
    let allowed = response.header("access-control-allow-origin");
    assert_eq!(response.status, 204, "{response:?}");
    assert!(
        matches!(allowed, Some("*" | "https://any.example")),
        "{response:?}"
    );
    broker.stop();
}
