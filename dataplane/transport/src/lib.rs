//! dp-transport
