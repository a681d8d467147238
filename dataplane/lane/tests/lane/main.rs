//! The lane's parts over real shared memory: the engine alone, and the roles over their rings.

mod balances;
mod bus;
mod engine;
mod feeds;
mod funding;
mod inputs;
mod life;
mod money;
mod paper;
mod risk;
mod roles;
