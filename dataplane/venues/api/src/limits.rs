//! What every venue's limits are counted with. A venue's own `limits.rs` has its numbers, its pools, and what a
//! refusal means there.
//!
//! ```text
//! Share    the part of a limit that is ours: other sessions of the key, or of the address, have the rest
//! Cap      a limit with its share, and what the venue says that others have used
//! Times    at most N in any window, exact: the times of the last N are kept
//! Parts    the same for large N: the window is counted in tenths, and one tenth more
//! Bucket   N at once, then one an interval: limits that flow back with time
//! Stops    the venue refused for rate: until when nothing goes out, and until when no cancel does
//! Rates    a venue's limits on orders, as a paper exchange asks them
//! ```
//! A token bucket of N per window would let almost 2N pass in an unlucky one: it is only for venues that count so.
//! Time that runs backwards frees nothing. No operation allocates.

mod bucket;
mod cap;
mod parts;
mod rates;
mod share;
mod stops;
mod times;

pub use bucket::Bucket;
pub use cap::Cap;
pub use parts::Parts;
pub use rates::{OrderAsk, Rates};
pub use share::{Budget, Share, lacking};
pub use stops::{Refused, Stops, named_ns};
pub use times::Times;
