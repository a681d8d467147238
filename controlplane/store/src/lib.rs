//! cp-store
