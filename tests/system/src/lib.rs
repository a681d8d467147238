//! tests-system
