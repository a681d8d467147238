//! dp-wire
