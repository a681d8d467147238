//! Bytes to views and back, without state: WebSocket frames, HTTP/1.1 heads, JSON.
//!
//! ```text
//!   bytes ──▶ json::Doc ──▶ cursors that cannot fail
//!   values ─▶ json::write ─▶ buf::Buf
//! ```
//!
//! What is deliberately not here: anything that remembers a byte between two calls (that is
//! `dp-proto`), any venue's field names (that is `venues/*`), any float.
#![forbid(unsafe_code)]

pub mod buf;
pub mod json;
