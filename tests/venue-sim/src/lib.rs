//! spinlane-sim
