//! AF_XDP over a cable between two namespaces, with a socket at either end: natively and generically.

mod crash;
mod flow;
mod frames;
mod network;
mod support;
mod tcp;
