//! Two stacks, a bad link between them, and a clock that is only a number.

mod attacks;
mod net;
mod peer;
mod recovery;
mod rules;
mod schedules;
