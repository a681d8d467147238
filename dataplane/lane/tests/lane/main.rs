//! The lane's parts over real shared memory: the engine alone, and the roles over their rings.

mod engine;
mod feeds;
mod paper;
mod roles;
