//! spinlane
