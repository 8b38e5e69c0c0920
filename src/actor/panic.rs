//! Panics of children: who panicked, where, saying what.

use crate::logging::{self, Origin};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::PanicHookInfo,
    sync::{Arc, Once},
};

thread_local! {
    /// The incarnation whose work is being polled on this thread.
    static POLLED: RefCell<Option<(Arc<str>, u64)>> = const { RefCell::new(None) };
    /// The last panic of a child on this thread, as the hook saw it.
    static LAST_PANIC: Cell<Option<String>> = const { Cell::new(None) };
}

/// Who is at work on this thread.
fn polled() -> Option<Origin> {
    // `try_with`: a panic may come while the thread's locals are torn down.
    let polled = POLLED.try_with(|polled| polled.try_borrow().ok().and_then(|polled| polled.clone()));
    polled.ok().flatten().map(|(actor, incarnation)| Origin { actor, incarnation })
}

/// Logs a child's panic with its place, its child and its incarnation, and keeps the place for the exit reason. Panics
/// outside children go to the hook that was there before. Log records made by a child's work carry its name and
/// incarnation from here on. Call once, early; calling again changes nothing.
pub fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        logging::set_origin(polled);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match polled() {
            Some(Origin { actor, incarnation }) => note_panic(info, &actor, incarnation),
            None => before(info),
        }));
    });
}

fn note_panic(info: &PanicHookInfo<'_>, child: &str, incarnation: u64) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = text_of(info.payload());
    log::error!(event = "child_panicked", child = child, incarnation = incarnation, place = place, message = message;
        "{child} panicked: {message}");
    LAST_PANIC.set(Some(format!("{message} at {place}")));
}

/// The text of a caught panic on this thread, with its place if the hook saw it.
pub(super) fn caught(payload: &(dyn Any + Send)) -> String {
    LAST_PANIC.take().unwrap_or_else(|| text_of(payload))
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a payload that is no text").to_owned()
}

/// Panics on this thread are this incarnation's for as long as this lives, even while one unwinds.
pub(super) struct Polled {
    before: Option<(Arc<str>, u64)>,
}

impl Polled {
    pub fn enter(child: Arc<str>, incarnation: u64) -> Polled {
        Polled { before: POLLED.replace(Some((child, incarnation))) }
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        POLLED.set(self.before.take());
    }
}
