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
//! whole way. A feed with a book of its own would apply every level twice and prove only its own copy.
//!
//! Age counts from the wire: a depth message carries when the feed's lane received it, however long it lay in the
//! ring; an order carries until when the book it was decided on is young enough, and the gateway holds it back beyond.
//!
//! The journal has no lane of its own. An intent must be in shared memory before its order leaves, so the engine writes
//! it there itself; gathering it in another lane first would put a hop before every order or break that promise.
//! `roles = ["journal"]` alone is refused with that sentence, until records go to a disk and to a peer of ours.
//!
//! A venue's feed and gateway are two machines with a REST connection each: both learn the instruments, the gateway's
//! are what orders are checked against. Each governs its own rate; the venue's answers tell each the sum.
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
