//! Bytes to views and back, without state: WebSocket frames, HTTP/1.1 heads, JSON.
//!
//! ```text
//!   bytes  ──▶ ws::parse_header · http::ResponseHead · json::Doc ──▶ views that cannot fail
//!   bytes of a known shape ──▶ scan::Cursor ──▶ values, or None: json::Doc
//!   values ──▶ ws::write_frame  · http::RequestHead  · json::write ──▶ Vec<u8> or buf::Buf
//!   ids ⇄ numbers: ids
//!   values ──▶ digits::Digits ──▶ template::Template ──▶ an order
//! ```
//!
//! What is deliberately not here: anything that remembers a byte between two calls (that is
//! `dp-proto`), any venue's field names (that is `venues/*`), any float.
#![deny(unsafe_code)] // but in `scan/wide.rs`
// Bytes from outside never panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod buf;
pub mod digits;
pub mod fix;
pub mod http;
pub mod ids;
pub mod json;
pub mod sbe;
pub mod scan;
mod tables;
pub mod template;
pub mod time;
pub mod ws;
