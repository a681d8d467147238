//! dp-strategy
