//! What the tests of every venue share.
//!
//! | module | |
//! |---|---|
//! | [`rig`] | a machine driven by hand, and what it said as text |
//! | [`ear`] | what two machines said, to be compared to the bit |
//! | [`made`] | made-up messages: numbers, fields, words |
//! | [`both`] | a machine beside one without its scanner |
//! | [`damage`] | what can happen to a message on its way |
//! | [`rates`] | a session's limits, asked without it |
//! | [`captures`] | other people's recordings, which live outside the repository |

#![forbid(unsafe_code)]

pub mod both;
pub mod captures;
pub mod damage;
pub mod ear;
pub mod made;
pub mod rates;
pub mod rig;
