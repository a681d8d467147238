//! What may be sent over one FIX session: a rate and a burst, of the session and nobody else's.

use dp_venue_api::limits::{Bucket, Budget, Share};

/// A full bucket. Refills are counted a twentieth slower than the venue's: requests can close up on the way.
pub(crate) const fn of_session((per_second, burst): (u64, u32)) -> Bucket {
    Bucket::new(burst, 1_050_000_000 / per_second, Share::WHOLE)
}

/// What a budget is too small for: nothing, a session's limits are not shared.
pub const fn lacks(_budget: Budget) -> Option<&'static str> {
    None
}
