//! The lane's parts over real shared memory: the engine alone, and the roles over their rings.

mod arbitrage;
mod balances;
mod bus;
mod engine;
mod feeds;
mod funding;
mod inputs;
mod life;
mod money;
mod paper;
mod positions;
mod risk;
mod roles;
mod uncounted;
mod wishes;
