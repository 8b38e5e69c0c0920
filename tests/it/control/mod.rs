//! The control socket and bhavctl, against a daemon whose answers are made up.

mod bhavctl;
mod daemon;
mod foreign;
mod pages;
mod peers;
mod verbs;
