//! Angel One SmartAPI.
