//! dp-risk
