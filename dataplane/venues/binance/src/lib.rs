//! dp-venue-binance
