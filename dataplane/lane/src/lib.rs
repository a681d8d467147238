//! dp-lane
