//! Order entry: none. The venue has orders; we read its prices and send it nothing.

use dp_venue_api::EntryError;

/// What every request about an order is answered with, before anything is written.
pub const REFUSED: EntryError = EntryError::Unsupported;
