//! spinlane-bench
