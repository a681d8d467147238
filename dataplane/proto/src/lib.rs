//! dp-proto
