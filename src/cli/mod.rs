//! bhavctl's arguments, client and rendering.
