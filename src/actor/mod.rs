//! The supervision kit on actix.
