//! tests-hotpath
