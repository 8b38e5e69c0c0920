//! Simulated brokers, exchange and market on loopback.
