//! The process's logger: filter, queue, and the thread that writes.

use super::{
    Event,
    entry::Entry,
    filter::{Filter, FilterError},
    queue::{BYTES_MAX, Dropped, LogCounters, Queue, RECORDS_MAX, TAKEN_MAX},
    sink::{self, Sink},
};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock, PoisonError, RwLock},
    thread,
    time::Duration,
};
use systemd_journal_logger::connected_to_journal;

/// How long the end of the program may wait for a journald that stands still.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Held by the program's main function: what is still to be written is written when it is dropped.
#[must_use]
#[derive(Debug)]
pub struct Logging {
    is_journal: bool,
}

impl Logging {
    /// Whether records go to journald, rather than to somebody who looks at standard error.
    pub fn is_journal(&self) -> bool {
        self.is_journal
    }

    /// Writes everything up to `level` from here on; `RUST_LOG`, if the program was started with it, goes before.
    pub fn set_level(&self, level: LevelFilter) {
        if let Some(logger) = LOGGER.get() {
            logger.begin(level, std::env::var("RUST_LOG").ok().as_deref());
        }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        log::logger().flush();
    }
}

/// Begins to write: to journald in a service, otherwise to standard error. `level` counts where `RUST_LOG` says nothing.
/// Once a process; a second call changes the level only.
pub fn start(level: LevelFilter) -> Logging {
    let logger = LOGGER.get_or_init(|| {
        let is_journal = connected_to_journal();
        Logger::new(RECORDS_MAX, is_journal, move || sink::choose(is_journal))
    });
    // Fails only for the second call, or where a test has a logger of its own.
    let _ = log::set_logger(logger);
    let logging = Logging { is_journal: logger.is_journal };
    logging.set_level(level);
    logging
}

/// The directives in force, such as `info,bhavd::feed=debug`.
///
/// # Errors
/// [`FilterError::NotStarted`].
pub fn filter() -> Result<String, FilterError> {
    Ok(LOGGER.get().ok_or(FilterError::NotStarted)?.filter())
}

/// Changes which records are written, from the next one on and until the process ends. The configured level counts for
/// what `directives` does not name; without any it is as at the start.
///
/// # Errors
/// [`FilterError`]; then everything stays as it was.
pub fn set_filter(directives: &str) -> Result<(), FilterError> {
    LOGGER.get().ok_or(FilterError::NotStarted)?.set_filter(directives)
}

/// Changes the configured level while the program runs: it counts from the next record on, in place of whatever was set at
/// run time, and run-time directives count over it.
pub fn change_level(level: LevelFilter) {
    if let Some(logger) = LOGGER.get() {
        logger.change_level(level);
    }
}

/// What [`restore`] can put back; `None` where nothing is written.
pub fn in_force() -> Option<InForce> {
    LOGGER.get().map(Logger::in_force)
}

/// Puts back the level and the directives.
pub fn restore(in_force: InForce) {
    if let Some(logger) = LOGGER.get() {
        logger.restore(in_force);
    }
}

/// Writes a record whatever the filter: for what must not go untold, such as who changed what.
pub fn tell_always(event: Event, message: String, facts: impl IntoIterator<Item = (&'static str, String)>) {
    if let Some(logger) = LOGGER.get() {
        logger.tell_always(event, message, facts);
    }
}

/// What became of the records so far; all zero where nothing is written.
pub fn counters() -> LogCounters {
    LOGGER.get().map(|logger| logger.queue.counters()).unwrap_or_default()
}

/// One is the process's; tests make their own.
#[derive(Debug)]
struct Logger {
    choice: RwLock<Choice>,
    queue: Arc<Queue>,
    is_journal: bool,
}

/// The configured level and the directives over it at one moment.
#[derive(Clone, Debug)]
pub struct InForce(Choice);

#[derive(Clone, Debug)]
struct Choice {
    /// As configured.
    base: LevelFilter,
    filter: Filter,
}

impl Logger {
    /// `sink` is made on the writing thread.
    #[expect(clippy::disallowed_methods, reason = "it outlives the tree, whose end is logged")]
    fn new(
        records_max: usize,
        is_journal: bool,
        sink: impl FnOnce() -> Box<dyn Sink> + Send + 'static,
    ) -> Logger {
        let queue = Arc::new(Queue::new(records_max, BYTES_MAX));
        let drained = Arc::clone(&queue);
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || drain(&drained, sink()));
        if let Err(error) = thread {
            // Nothing will be written, and what is logged is dropped.
            eprintln!("cannot start the thread that writes the log: {error}");
            queue.close();
        }
        let choice = Choice { base: LevelFilter::Off, filter: Filter::at(LevelFilter::Off) };
        Logger { choice: RwLock::new(choice), queue, is_journal }
    }

    fn begin(&self, base: LevelFilter, given: Option<&str>) {
        let (filter, refused) = match Filter::parse(base, given.unwrap_or_default()) {
            Ok(filter) => (filter, None),
            Err(error) => (Filter::at(base), Some(error)),
        };
        self.put(Some(base), filter);
        if let Some(error) = refused {
            log::warn!("RUST_LOG is left out: {error}");
        }
    }

    fn put(&self, base: Option<LevelFilter>, filter: Filter) {
        // Under the lock, so that two changes at once do not leave one's level with the other's filter.
        let mut choice = self.choice.write().unwrap_or_else(PoisonError::into_inner);
        choice.base = base.unwrap_or(choice.base);
        choice.filter = filter;
        if LOGGER.get().is_some_and(|logger| std::ptr::eq(logger, self)) {
            log::set_max_level(choice.filter.max_level());
        }
    }

    fn filter(&self) -> String {
        self.choice.read().unwrap_or_else(PoisonError::into_inner).filter.text().to_owned()
    }

    fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        let base = self.choice.read().unwrap_or_else(PoisonError::into_inner).base;
        let filter = Filter::parse(base, directives)?;
        let text = filter.text().to_owned();
        self.put(None, filter);
        self.tell_change(text);
        Ok(())
    }

    fn in_force(&self) -> InForce {
        InForce(self.choice.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn change_level(&self, level: LevelFilter) {
        let filter = Filter::at(level);
        let text = filter.text().to_owned();
        self.put(Some(level), filter);
        self.tell_change(text);
    }

    fn restore(&self, InForce(choice): InForce) {
        let text = choice.filter.text().to_owned();
        self.put(Some(choice.base), choice.filter);
        self.tell_change(text);
    }

    /// Told whatever the filter: whoever reads on must know why records are missing.
    fn tell_change(&self, text: String) {
        let message = format!("from here on the log holds what {text} lets through");
        self.tell_always(Event::LogFilterChanged, message, [("filter", text)]);
    }

    fn tell_always(
        &self,
        event: Event,
        message: String,
        facts: impl IntoIterator<Item = (&'static str, String)>,
    ) {
        let mut entry = Entry::own(Level::Info, event, message, &[]);
        entry.fields.extend(facts.into_iter().map(|(name, value)| (name.into(), value)));
        self.queue.push(entry);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.choice.read().unwrap_or_else(PoisonError::into_inner).filter.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if self.choice.read().unwrap_or_else(PoisonError::into_inner).filter.matches(record) {
            self.queue.push(Entry::of(record));
        }
    }

    fn flush(&self) {
        self.queue.flush(FLUSH_WITHIN);
    }
}

/// The writing thread.
fn drain(queue: &Queue, mut sink: Box<dyn Sink>) {
    let mut taken = Vec::with_capacity(TAKEN_MAX);
    while let Some(dropped) = queue.take(&mut taken) {
        let count = taken.len();
        let told = (dropped.sum() > 0).then(|| tell(&dropped));
        for entry in taken.drain(..).chain(told) {
            // A fault in the writing of one record must not end the log of a daemon that runs for months.
            let _ = catch_unwind(AssertUnwindSafe(|| sink.write(&entry)));
        }
        queue.note_written(count);
    }
}

fn tell(dropped: &Dropped) -> Entry {
    let by_level: Vec<String> = Level::iter()
        .filter(|level| dropped.of(*level) > 0)
        .map(|level| format!("{} {}", dropped.of(level), level.as_str().to_ascii_lowercase()))
        .collect();
    let message = format!("log records were dropped, the queue was full: {}", by_level.join(", "));
    Entry::own(Level::Warn, Event::LogRecordsDropped, message, &[("dropped", dropped.sum())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Tells of each record, and stands still until it may go on.
    struct Gate {
        seen: Sender<Entry>,
        go: Receiver<()>,
    }

    impl Sink for Gate {
        fn write(&mut self, entry: &Entry) {
            // The test may have ended before the thread has.
            let _ = self.seen.send(entry.clone());
            let _ = self.go.recv();
        }
    }

    fn gated(records_max: usize) -> (Logger, Receiver<Entry>, Sender<()>) {
        let (seen_sender, seen) = channel();
        let (go, go_receiver) = channel();
        let logger =
            Logger::new(records_max, false, move || Box::new(Gate { seen: seen_sender, go: go_receiver }));
        logger.put(Some(LevelFilter::Info), Filter::at(LevelFilter::Info));
        (logger, seen, go)
    }

    fn say(logger: &Logger, level: Level, target: &str, text: &str) {
        logger.log(&Record::builder().level(level).target(target).args(format_args!("{text}")).build());
    }

    #[test]
    fn a_sink_that_stands_still_holds_nobody_up_and_what_is_dropped_is_told() {
        let (logger, seen, go) = gated(8);
        say(&logger, Level::Info, "a", "in hand");
        assert_eq!(seen.recv().expect("written").message, "in hand");
        // The sink stands still from here on: if logging waited for it, this would never end.
        for number in 0..100 {
            say(&logger, Level::Info, "a", &format!("info {number}"));
            say(&logger, Level::Warn, "a", &format!("warn {number}"));
        }
        assert_eq!(logger.queue.counters(), LogCounters { accepted: 9, dropped: 192, waiting: 9 });
        assert!(
            !logger.queue.flush(Duration::from_millis(1)),
            "the end of the program does not wait for ever either"
        );
        drop(go);
        let messages: Vec<String> = seen.iter().take(9).map(|entry| entry.message).collect();
        let expected = ["info 0", "warn 0", "info 1", "warn 1", "info 2", "warn 2", "warn 3", "warn 4"];
        assert_eq!(messages[..8], expected);
        assert_eq!(messages[8], "log records were dropped, the queue was full: 95 warn, 97 info");
        assert!(logger.queue.flush(Duration::from_secs(60)));
        assert_eq!(logger.queue.counters().waiting, 0);
        logger.queue.close();
    }

    #[test]
    fn the_filter_changes_at_run_time_and_says_so() {
        let (logger, seen, go) = gated(64);
        drop(go);
        let hear = |count| -> Vec<String> {
            assert!(logger.queue.flush(Duration::from_secs(60)));
            let heard: Vec<String> = seen.try_iter().map(|entry| entry.message).collect();
            assert_eq!(heard.len(), count, "{heard:?}");
            heard
        };
        let is_heard = |level, target: &str| {
            let metadata = Metadata::builder().level(level).target(target).build();
            let is_enabled = logger.enabled(&metadata);
            say(&logger, level, target, "x");
            assert_eq!(hear(usize::from(is_enabled)).len() == 1, is_enabled);
            is_enabled
        };
        assert!(!is_heard(Level::Debug, "bhavd::feed"));
        logger.set_filter("bhavd::feed=debug").expect("directives");
        assert_eq!(hear(1), ["from here on the log holds what info,bhavd::feed=debug lets through"]);
        assert_eq!(logger.filter(), "info,bhavd::feed=debug");
        assert!(is_heard(Level::Debug, "bhavd::feed"));
        assert!(!is_heard(Level::Debug, "bhavd::store"));
        assert!(is_heard(Level::Info, "bhavd::store"));
        logger.set_filter("loud").expect_err("no level");
        assert_eq!(logger.filter(), "info,bhavd::feed=debug", "a wrong filter changes nothing");
        logger.set_filter("off").expect("a level");
        assert_eq!(hear(1).len(), 1, "told although everything is off");
        assert!(!is_heard(Level::Error, "bhavd::store"));
        logger.set_filter("").expect("nothing");
        assert_eq!(logger.filter(), "info", "as at the start");
        hear(1);
        logger.set_filter("bhavd::feed=trace").expect("directives");
        let before = logger.in_force();
        logger.change_level(LevelFilter::Debug);
        assert_eq!(logger.filter(), "debug", "the configured level in place of the run-time directives");
        logger.set_filter("bhavd::store=warn").expect("directives");
        assert_eq!(logger.filter(), "debug,bhavd::store=warn", "over the level that is configured");
        logger.restore(before);
        assert_eq!(logger.filter(), "info,bhavd::feed=trace");
        logger.set_filter("").expect("nothing");
        assert_eq!(logger.filter(), "info", "the level before is the configured one again");
        logger.queue.close();
    }

    #[test]
    fn a_fault_in_the_writing_of_a_record_costs_this_record() {
        struct Fragile(Sender<String>);
        impl Sink for Fragile {
            fn write(&mut self, entry: &Entry) {
                assert!(entry.message != "bad", "a fault of the sink, meant by this test");
                self.0.send(entry.message.clone()).expect("the test listens");
            }
        }
        let (seen_sender, seen) = channel();
        let logger = Logger::new(8, false, move || Box::new(Fragile(seen_sender)));
        logger.put(Some(LevelFilter::Info), Filter::at(LevelFilter::Info));
        for text in ["good", "bad", "better"] {
            say(&logger, Level::Info, "a", text);
        }
        assert!(logger.queue.flush(Duration::from_secs(60)));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["good", "better"]);
        logger.queue.close();
    }
}
