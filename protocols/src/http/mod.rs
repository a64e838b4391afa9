//! As much of HTTP/1.1 as a port for WebSockets needs: the head of a request, the body-less
//! requests of a browser that looks what is there, and short responses.
//!
//! ```
//! use ringbus_protocols::http::{Head, parse_head};
//!
//! let bytes = b"GET /chat/room%201?echo=0 HTTP/1.1\r\nHost: localhost:8000\r\n\r\n";
//! let Head::Complete { request, length } = parse_head(bytes)? else {
//!     panic!("the whole head is there");
//! };
//! assert_eq!(length, bytes.len());
//! assert_eq!((request.path(), request.query()), ("/chat/room%201", Some("echo=0")));
//! # Ok::<(), ringbus_protocols::http::HttpError>(())
//! ```

pub mod origin;

mod percent;
mod request;
mod response;

pub use origin::{Origin, OriginList};
pub use percent::{PercentError, percent_decode};
pub use request::{HEAD_BYTES_MAX, HEADERS_MAX, Head, Request, parse_head};
pub use response::{HttpError, Status, put_response, put_response_head};

pub(crate) use request::visible_text;
pub(crate) use response::put_header;
