//! Fuzz targets of the dataplane. A target is one line; what it does with its bytes is a function
//! here, so that ordinary tests run the same function over the committed corpora on a stable
//! toolchain.
//!
//! ```text
//!   targets/ws.rs ─┐                       ┌─ corpus/ws/*      committed, small
//!                  ├─▶ entries::ws(bytes) ◀┤
//!   dp-proto's tests/corpus.rs ────────────┘
//! ```
//!
//! Another crate's decoders get a module beside `entries`, a target and a corpus folder.
#![forbid(unsafe_code)]

pub mod entries;
pub mod net;
pub mod sbe;
pub mod scan;
pub mod tcp;
pub mod venues;
