//! dp-oms
