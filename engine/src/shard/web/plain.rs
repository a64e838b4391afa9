//! HTTP without an upgrade: a page that says what this port is, the demo page, and refusals.

use ringbus_protocols::http::{Request, Status, put_response, put_response_head};
use ringbus_protocols::websocket::handshake::Refusal;

use super::demo;
use crate::base::ConnId;
use crate::shard::Shard;

const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");
const NOT_FOUND: &str = "there are / and /demo here, and WebSockets at every path\n";
const METHODS: &str = "GET, HEAD, OPTIONS";

impl Shard {
    pub(super) fn answer_plainly(&mut self, id: ConnId, request: &Request<'_>) {
        let origin = self.config.web.origins.allow_origin(request);
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let out = self.outgoing.open_for_frames(conn);
        let mut headers = vec![("Vary", "Origin")];
        if let Some(origin) = &origin {
            headers.push(("Access-Control-Allow-Origin", origin));
        }
        match request.method {
            "GET" | "HEAD" => put_page(out, request, &mut headers),
            "OPTIONS" => {
                headers.push(("Allow", METHODS));
                headers.push(("Access-Control-Allow-Methods", METHODS));
                put_response(out, Status::NoContent, &headers, b"");
            }
            _ => {
                headers.extend([("Allow", METHODS), TEXT]);
                let words = b"the methods here are GET, HEAD and OPTIONS\n";
                put_response(out, Status::MethodNotAllowed, &headers, words);
            }
        }
        self.outgoing.control_packets += 1;
        self.close(id, None, false);
    }

    /// Answers a request that is not served, in words for people.
    pub(super) fn refuse_request(&mut self, id: ConnId, refusal: Refusal) {
        if let Some(conn) = self.connections.get(id) {
            let (status, words) = (refusal.status.code(), refusal.words);
            tracing::debug!(peer = %conn.peer, status, "refused a request: {words}");
        }
        self.put_refusal(id, refusal);
        self.close(id, None, false);
    }

    pub(super) fn put_refusal(&mut self, id: ConnId, refusal: Refusal) {
        if let Some(conn) = self.connections.get_mut(id) {
            refusal.put_response(self.outgoing.open_for_frames(conn));
            self.outgoing.control_packets += 1;
        }
    }
}

fn put_page<'a>(out: &mut Vec<u8>, request: &Request<'_>, headers: &mut Vec<(&'a str, &'a str)>) {
    let (status, body) = match demo::find(request.path()) {
        Some(page) => {
            headers.push(("Content-Type", page.content_type));
            headers.extend(demo::HEADERS);
            (Status::Ok, page.body)
        }
        None => {
            headers.push(TEXT);
            (Status::NotFound, NOT_FOUND)
        }
    };
    match request.method {
        "HEAD" => put_response_head(out, status, headers, body.len()),
        _ => put_response(out, status, headers, body.as_bytes()),
    }
}
