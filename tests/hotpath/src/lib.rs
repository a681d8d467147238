//! The production lane on memory pipes, with a venue of ours at the other end: for counting what it does
//! between a tick and an order. Everything but the socket is what runs live: TLS, WebSocket, the Binance
//! machine, book, market maker, gate, OMS, journal in real shared memory.

mod peer;
mod rig;

pub use rig::{Make, Memory, Rig};
