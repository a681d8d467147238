//! dp-journal
