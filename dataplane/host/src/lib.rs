//! What the machine is, who sits where on it, and whether what was asked for is so.
//!
//! ```text
//!   /sys, /proc ──tree──▶ Topology ──┐
//!                                    ├─▶ plan ──▶ Placement per lane, or Refusals with the reason
//!   configuration ──▶ Wish per lane ─┘                │
//!                                                     ▼
//!   what a running lane read back of itself ──▶ truth: asked, so, fatal or not, the mend
//! ```
//!
//! Pure but for [`tree::Live`]: a topology is read from a tree of small text files, and a recording of one
//! does as well as the machine. It sets nothing: pinning, scheduling class and memory are the transport's,
//! tuning is `kernel-tuning`'s.
#![forbid(unsafe_code)]

mod cpu_list;
mod plan;
mod topology;
pub mod tree;
mod truth;

pub use cpu_list::CpuList;
pub use plan::{CoreWish, Placement, Refusal, Sizes, Way, Wish, plan, polls_queue};
pub use topology::{Cpu, Nic, Node, Topology};
pub use truth::{Fact, Severity, Witness, judge};
