//! What a venue is to the rest of the dataplane: one sans-IO machine per venue behind [`Venue`].
//!
//! ```text
//!        lane (I/O, time)                       venue machine (pure)
//!   link opened / closed ──────────▶ on_open / on_closed
//!   WebSocket text      ──────────▶ on_text      ──▶ Sink::event      (market data, reports)
//!   FIX message         ──────────▶ on_fix       ──▶ Sink::send_fix
//!   HTTP answer         ──────────▶ on_response  ──▶ Sink::send_text  (subscribe, login, orders)
//!   time                ──────────▶ on_deadline  ──▶ Sink::request    (REST)
//!   order, amend, cancel ─────────▶ new_order …  ──▶ Sink::reconnect  (the link is no good)
//! ```
//!
//! A machine owns no socket, clock, thread or random source. The same machine runs live, in replay,
//! under virtual time and in a fuzzer. It does not own books: it emits depth messages, and its
//! `sync` rule (a `dp_book::SyncRule`) tells the book keeper how to splice and check them.
#![forbid(unsafe_code)]

mod capability;
mod event;
mod execution;
mod in_flight;
mod latest;
pub mod limits;
mod link;
mod listed;
mod order_batch;
mod reason;
mod registry;
mod sign;
mod venue;
mod ws_link;

pub use capability::{BatchNew, Capabilities, EntryLink, Positions, SingleOrders};
pub use dp_secret::{Keys as Secrets, Locked, Secret, Zeroizing, scrub};
pub use dp_wire::http::Usage;
pub use event::{Control, DecodeError, Event, Fault, RequestAck};
pub use execution::{Named, Standing, Trade};
pub use in_flight::InFlight;
pub use latest::Latest;
pub use link::{
    FixSpec, LinkKind, LinkRole, LinkSpec, RestMethod, RestRequest, RestResponse, RestTag,
    UpgradeField,
};
pub use listed::ListedPositions;
pub use order_batch::{BatchLink, Fates, OrderBatch};
pub use reason::Reason;
pub use registry::{Registry, RegistryError};
pub use sign::{Hash, HmacKey};
pub use venue::{
    EntryError, FixConfig, FixInstrument, LINES_MAX, LineCounts, MarketData, ReadCounts, Sink,
    Venue, VenueConfig,
};
pub use ws_link::{Due, Patience, WsLink};
