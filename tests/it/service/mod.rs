//! bhavd as a service: what it tells a service manager, what its unit allows it, and its life under a real systemd.

mod files;
mod machine;
mod notify;
mod package;
mod under_systemd;
