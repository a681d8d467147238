//! dp-venue-okx
