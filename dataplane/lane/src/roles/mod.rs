//! The roles of a spread node: feeds and gateways in lanes of their own, an engine in another, rings between.
//!
//! ```text
//!   feed     sessions ─▶ Remote ══ Told ══▶ ┐               ┌ ══ Errand ══▶ Remote ─▶ sessions   gateway
//!            (REST, market data)            ├─▶ EngineLane ─┤               (REST, orders)
//!   feed     sessions ─▶ Remote ══ Told ══▶ ┘               └ ══ Errand ══▶ snapshots, back to the feeds
//!                                           ▲
//!   gateway  sessions ─▶ Remote ══ Told ════╛  reports, acknowledgements, what was sent and what was not
//! ```
//! The book lives where it is traded on. A feed decodes and passes the venue's own depth messages on, ids and
//! checksum with them; gap, checksum and splice rules run in the engine's lane, over the ring as over the wire.
//! So a message the ring lost is found like one the network lost, and the proof a book is traded on covers the
//! whole way.
//!
//! | ring full | then |
//! |---|---|
//! | depth | the message is dropped whole and counted; the book is told lost as soon as there is room, and starts over |
//! | trades, quotes | dropped, counted |
//! | reports, facts | half the ring is theirs; a gateway takes nothing from its sockets while that half is not empty |
//! | new orders, amends | refused and counted while the ring is over half full |
//! | cancels, questions | the other half is theirs; beyond it they wait in the engine's lane, in order |

mod engine;
mod mail;
mod remote;

pub use engine::{EngineLane, EngineParts, Peer};
pub use mail::{Errand, RingError, Rings, Told};
pub use remote::{OnKnown, Remote, RemoteSetup};
