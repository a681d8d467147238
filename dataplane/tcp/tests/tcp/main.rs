//! Two stacks, a bad link between them, and a clock that is only a number.

mod net;
mod recovery;
mod schedules;
