//! Requests that want no WebSocket: RFC 9110.

use crate::shared;
use ringbus_tests::web::Request;

#[test]
fn rfc9110_9_3_1_the_root_says_what_this_port_is() {
    let broker = shared();
    let page = Request::plain("GET", "/").ask(&broker);
    assert_eq!(page.status, 200, "{page:?}");
    let kind = page.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(page.text().contains("WebSocket"), "{}", page.text());
    assert!(page.text().contains("/demo"), "{}", page.text());
}

#[test]
fn rfc9110_9_3_2_head_is_get_without_the_body() {
    let broker = shared();
    for target in ["/", "/demo", "/nothing/here"] {
        let get = Request::plain("GET", target).ask(&broker);
        let head = Request::plain("HEAD", target).ask(&broker);
        assert_eq!(get.status, head.status, "{target}");
        assert_eq!(get.header("content-type"), head.header("content-type"));
        assert_eq!(get.header("content-length"), head.header("content-length"));
        assert_eq!(head.body, b"", "{target}");
    }
}

#[test]
fn the_demo_page_and_its_files_are_served() {
    let broker = shared();
    for (target, kind) in [
        ("/demo", "text/html"),
        ("/demo/app.js", "text/javascript"),
        ("/demo/style.css", "text/css"),
    ] {
        let file = Request::plain("GET", target).ask(&broker);
        assert_eq!(file.status, 200, "{target}: {file:?}");
        let got = file.header("content-type").unwrap_or_default();
        assert!(got.starts_with(kind), "{target}: {got}");
        assert!(!file.body.is_empty(), "{target}");
    }
    let page = Request::plain("GET", "/demo").ask(&broker);
    assert!(!page.text().contains("https://"), "it needs another server");
}

#[test]
fn rfc9110_15_5_5_other_paths_are_not_found() {
    let broker = shared();
    for target in [
        "/chat",
        "/demo/",
        "/demo/other.js",
        "/demo/../secret",
        "/%2e%2e/x",
        "//",
    ] {
        let response = Request::plain("GET", target).ask(&broker);
        let is_refused = matches!(response.status, 400 | 404);
        assert!(is_refused || target == "/demo/", "{target}: {response:?}");
    }
}

#[test]
fn rfc9110_15_5_6_other_methods_are_told_which_are_allowed() {
    let broker = shared();
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let response = Request::plain(method, "/").ask(&broker);
        assert_eq!(response.status, 405, "{method}: {response:?}");
        let allowed = response.header("allow").unwrap_or_default();
        assert!(allowed.contains("GET"), "{method}: {response:?}");
    }
}

/// A page of another site learns nothing, and cannot show ours in a frame of its own.
#[test]
fn pages_are_not_for_other_sites() {
    let broker = shared();
    let request = Request::plain("GET", "/").with("Origin", "http://evil.example");
    let response = request.ask(&broker);
    assert_eq!(response.header("access-control-allow-origin"), None);
}
