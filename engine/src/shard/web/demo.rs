//! The pages that the program carries.

/// A page and its type.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) content_type: &'static str,
    pub(super) body: &'static str,
}

/// Nothing from elsewhere, and nothing that a page of another site could use.
pub(super) const HEADERS: [(&str, &str); 4] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
];

const HTML: &str = "text/html; charset=utf-8";

const PAGES: [(&str, Page); 4] = [
    (
        "/",
        Page {
            content_type: HTML,
            body: include_str!("demo/port.html"),
        },
    ),
    (
        "/demo",
        Page {
            content_type: HTML,
            body: include_str!("demo/index.html"),
        },
    ),
    (
        "/demo/app.js",
        Page {
            content_type: "text/javascript; charset=utf-8",
            body: include_str!("demo/app.js"),
        },
    ),
    (
        "/demo/style.css",
        Page {
            content_type: "text/css; charset=utf-8",
            body: include_str!("demo/style.css"),
        },
    ),
];

/// The page of a path.
pub(super) fn find(path: &str) -> Option<&'static Page> {
    let path = match path {
        "/demo/" => "/demo",
        other => other,
    };
    let found = PAGES.iter().find(|(at, _)| *at == path);
    found.map(|(_, page)| page)
}
