//! dp-venue-api
