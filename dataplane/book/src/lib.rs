//! dp-book
