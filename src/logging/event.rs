//! The kinds of events that the journal tells of, each with its MESSAGE_ID. systemd/bhavd.catalog explains each with its
//! cause and remedy.
//!
//! An identifier is made once (`uuidgen`) and never changes its meaning: users search for it. The supervision kit names
//! its events by text, so that it needs nothing of this module.

use log::kv::{ToValue, Value};

macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal, $id:literal, [$($field:literal),*];)*) => {
        /// A kind of event, given to a record as `event = Event::…`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Event {
            $($(#[$doc])* $event,)*
        }

        impl Event {
            pub const ALL: &[Event] = &[$(Event::$event),*];

            /// As the field EVENT shows it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Event::$event => $name,)*
                }
            }

            /// MESSAGE_ID: 128 bits in hexadecimal digits.
            pub const fn message_id(self) -> &'static str {
                match self {
                    $(Event::$event => $id,)*
                }
            }

            /// The journal's fields that every such record carries; the catalog may name them.
            pub const fn fields(self) -> &'static [&'static str] {
                match self {
                    $(Event::$event => &[$($field),*],)*
                }
            }
        }
    };
}

events! {
    /// The daemon begins.
    Started = "started", "ffa7126c68b948a7b3fce2149073b312", ["VERSION"];
    /// Store, log and control socket are there.
    Ready = "ready", "445b9349b945491caaa2754c83d02009", [];
    /// The daemon was asked to end and drains.
    Stopping = "stopping", "50b16b4677db4932864dfdfea69216f7", [];
    /// The daemon ends as it was asked to.
    Stopped = "stopped", "0632245ad2fc4171a8d7556ac460fea3", ["END"];
    /// The daemon cannot start or go on.
    Failed = "failed", "42b38c5759f745a29e7d771e38d7bab8", ["EXIT_CODE"];
    /// The configuration was read again and is valid.
    ConfigReloaded = "config_reloaded", "42a0aa5fc68e41f58dfa4422f0fd6745", [];
    /// The configuration is wrong and changes nothing.
    ConfigRefused = "config_refused", "368028c57afc445fb80617d0ec16b822", [];
    /// Another choice of log records.
    LogFilterChanged = "log_filter_changed", "c6fa6ccef5d64e26a2720e1047b171c6", ["FILTER"];
    /// Log records that found the queue full.
    LogRecordsDropped = "log_records_dropped", "5247c8f7c9f14e23a1f43d453544eae5", ["DROPPED"];
    /// The calendar does not know a day for certain.
    CalendarUnsure = "calendar_unsure", "c1efa94453eb49ada9fea5888237711e", [];
    /// The machine's clock was set, and time follows it.
    ClockSet = "clock_set", "3ef3c38939084c7da101826f28fb14e3", ["BY_US"];
    /// The machine's clock is not the exchange's, or receive times wait for it.
    ClockWrong = "clock_wrong", "0fc271f7dbbf4bba8a8d555837e26929", [];
    /// Records of a clock that was ahead are put aside.
    ClockAhead = "clock_ahead", "10cb69943f0a415eb581fbef1bd1edc0", ["RECORDS", "PATH"];
    /// A feed watches everything it should.
    FeedUp = "feed_up", "01ba62c8c8cd450cb1192834f1b3745c", ["PROVIDER"];
    /// A feed does not watch everything any more.
    FeedDown = "feed_down", "dce5bd9a501b48fba8ec16006dd04c7d", ["PROVIDER", "REASON"];
    /// A feed that is up does not watch one of its option chains.
    ChainDown = "chain_down", "154de13148594c8c91727a86680f505e", ["PROVIDER", "CHAIN", "REASON"];
    /// It watches the chain again.
    ChainUp = "chain_up", "f5a78b8cb2a34245b9e9a04f9721dbfe", ["PROVIDER", "CHAIN"];
    /// A feed that is up lost one of its streams.
    StreamDown = "stream_down", "0fe8ecc5c879460495c785259fde5a63", ["PROVIDER", "STREAM", "REASON"];
    /// The stream brings what it should again.
    StreamUp = "stream_up", "eb6b1d3c1a464cfabd7d4b2a22b6be22", ["PROVIDER", "STREAM"];
    /// A request or connection of a feed failed otherwise than the last one.
    FeedFailing = "feed_failing", "263ee7880ab943ff9cac587bdaaf5706", ["PROVIDER", "ERROR"];
    /// An operator forced a provider, or left the choice to the order of preference again.
    FailoverOrdered = "failover_ordered", "6cda8daa339d4bbe893dc2027a13f40b", ["FORCED"];
    /// Another provider's values count.
    ProviderSwitched = "provider_switched", "1d4056479a5b4758a5e38d16595cdcc7", ["PROVIDER", "PREVIOUS"];
    /// Lot sizes of an earlier day are in use.
    LotsOutdated = "lots_outdated", "d7960fe843084ea78a094ba5045b53b0", ["PROVIDER"];
    /// The instrument master of an earlier day is in use.
    MasterOutdated = "master_outdated", "948419cda6c343e3bdf3f44eec467379", ["PROVIDER", "MASTER", "ERROR"];
    /// Something watched is not listed by its provider.
    SymbolUnlisted = "symbol_unlisted", "1a76b5b0437246fe98575225cbc6ecb2", ["PROVIDER", "SYMBOL"];
    /// The log ended within a record.
    SpoolTorn = "spool_torn", "9961dbbd86f74a30a377b496733565fc", ["PATH", "BYTES"];
    /// A part of the log holds no records any more.
    SpoolDamaged = "spool_damaged", "11bdec7dd0d647568075e50865144bde", ["PATH", "FROM"];
    /// The store knows records that the log does not have.
    SpoolBehind = "spool_behind", "94ae71e97c4d49ab94321a2b50858b13", [];
    /// Records of a day are not in its log any more.
    SpoolIncomplete = "spool_incomplete", "b0f6c24c6d1e4d1f9a5e3f7c28a94d60", [];
    /// State was rebuilt from the log.
    SpoolReplayed = "spool_replayed", "083250b533fd4cc5bdb172d58e1cbfef", [];
    /// The log could not be forced onto the disk.
    SpoolUnsynced = "spool_unsynced", "e6c30f3f416d4fa5b06eba9d6ad67061", ["ERROR"];
    /// What the disk had refused of the log is on it.
    SpoolSynced = "spool_synced", "bcaec0e91d8546fc91e54f35d7ad53b9", [];
    /// What the disk had refused of the log was no longer in memory when it was to be written again.
    SpoolLost = "spool_lost", "5a6dffcfbe71459d82ade4fe431415a9", ["ERROR"];
    /// The log takes nothing.
    SpoolFailed = "spool_failed", "745e75ac197e4a4c97a142f6aac95ffd", ["ERROR"];
    /// The log takes records again.
    SpoolBack = "spool_back", "eda37d1bba524abfac657eeceaadebbf", [];
    /// A record is larger than the log can hold.
    RecordNotKept = "record_not_kept", "715099c3bae04a0cac2b2d96c8ba1c75", ["ERROR"];
    /// No space left, for the log or for the store.
    DiskFull = "disk_full", "6fee3b1f8d6a4d59800d66856c72fb38", ["PLACE", "ERROR"];
    /// A finished part of the log stays as it is.
    SegmentUncompressed = "segment_uncompressed", "eb657657b73341f1b4709b2f380dd4df", ["ERROR"];
    /// Days of the log were removed because of their age.
    LogRemoved = "log_removed", "7823aaed82984bc39eedf33469d0b8d5", ["DAYS", "BYTES"];
    /// A run of a scheduled job failed.
    JobFailed = "job_failed", "7659ffee82cd4fb09418a23d457c2013", ["JOB", "ERROR"];
    /// A finished day's log gives what the store holds.
    DayVerified = "day_verified", "fba9b25f868e4b5395925f068bd724cb", ["DATE"];
    /// A finished day's log does not give what the store holds.
    DayDiffers = "day_differs", "27fe70ff45dd46c2a3d49246604d2198", ["DATE", "DIFFERENCE"];
    /// The store does not answer and is tried again.
    StoreAway = "store_away", "a1a16fd1fcc34658b611efacbf41163e", ["ERROR"];
    /// The store reports what waiting does not mend.
    StoreFailed = "store_failed", "d14537bb9c09476e906165525d619a27", ["ERROR"];
    /// Rows are written again.
    StoreBack = "store_back", "6f6c13f87b114ebfa82a064c4fbe2026", [];
    /// Redis does not answer and is tried again.
    RedisAway = "redis_away", "01007b7e91e94069ae8cc6dcd7d7ef5b", ["ERROR"];
    /// Redis is connected.
    RedisBack = "redis_back", "2076caf1b7324ac49ce07ceb7ca2656e", [];
    /// Somebody changed something through the control socket or the bus.
    ControlWrite = "control_write", "47c485ae9c6040c69f5daaf3d4302f99", ["VERB", "DOOR", "PEER_UID", "PEER_PID"];
    /// A control connection was not taken.
    ControlRefused = "control_refused", "d87c31087a9d494e9ccd9231a7132d13", [];
    /// A control client broke a limit.
    ControlCutOff = "control_cut_off", "3cb6c42048564fb586c28e4c1b5bc117", ["PEER_UID", "PEER_PID"];
    /// The watchdog is not kicked: something is stuck, or no data comes in session hours.
    WatchdogWithheld = "watchdog_withheld", "81c4ce7be7f544eda03f0028b8ade685", ["REASON"];
    /// A record broke the pipeline twice and is left out for good.
    RecordSetAside = "record_set_aside", "5f875088aba0448d8bd0254240fb42f4", ["SEQ", "REASON"];
    /// Rows broke the writer twice and are kept beside the log.
    BatchSetAside = "batch_set_aside", "479a2e5d11d5425e8fe3796037b3304c", [];
    /// A child's first incarnation.
    ChildStarted = "child_started", "730cf3b1fad244a48b99b38006446611", ["ACTOR", "INCARNATION"];
    /// A child starts again.
    ChildRestarted = "child_restarted", "4f9661afd98d4f3eb8ba8ca38cab3480", ["ACTOR", "INCARNATION"];
    /// A child ends as it should.
    ChildEnded = "child_ended", "93442085863e4598ab0ff33863109e54", ["ACTOR", "INCARNATION"];
    /// A child ends with an error.
    ChildFailed = "child_failed", "066aeebb069f4b5695db2bb25de1eeac", ["ACTOR", "INCARNATION", "REASON"];
    /// A child made no progress and was replaced.
    ChildHung = "child_hung", "29a341d2e2f640cabe77b10e49f63a28", ["ACTOR", "INCARNATION", "REASON"];
    /// A child panicked, at a place in the source.
    ChildPanicked = "child_panicked", "ec4b305bce684fd69331e35fb6aa8ce5", ["ACTOR", "INCARNATION", "PLACE"];
    /// A child did not stop in time.
    ChildAborted = "child_aborted", "e3ceeddef7784c9285b4de7d250079d5", ["ACTOR", "INCARNATION"];
    /// A blocked thread was given up.
    ThreadAbandoned = "thread_abandoned", "2eddbb8e9f0240b4b6313654cf1df167", ["ACTOR", "OFFENDER", "ZOMBIES"];
    /// An item in a queue ended two incarnations and is set aside.
    ItemCondemned = "item_condemned", "418d364a6b0446febd28697d72c803c2", ["ACTOR", "ITEM", "REASON"];
    /// A supervisor saw too many failures.
    SupervisorGaveUp = "supervisor_gave_up", "3c67810bc6fc4f79adca0602ca227c6b", ["SUPERVISOR", "REASON"];
}

impl Event {
    /// The event of a record: what it calls itself, told apart by how a child ended and by its incarnation.
    pub fn of(name: &str, kind: Option<&str>, incarnation: Option<u64>) -> Option<Event> {
        let event = Self::ALL.iter().copied().find(|event| event.name() == name)?;
        Some(match (event, kind) {
            (Event::ChildStarted, _) if incarnation > Some(1) => Event::ChildRestarted,
            (Event::ChildEnded, Some("hung" | "blocked")) => Event::ChildHung,
            (Event::ChildEnded, Some(kind)) if kind != "normal" => Event::ChildFailed,
            _ => event,
        })
    }
}

impl ToValue for Event {
    fn to_value(&self) -> Value<'_> {
        Value::from(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// The headers and texts of the catalog, by identifier.
    fn catalog() -> BTreeMap<String, String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/bhavd.catalog");
        let text = std::fs::read_to_string(path).expect("a catalog");
        let mut entries = BTreeMap::new();
        for entry in text.split("\n-- ").skip(1) {
            let (id, explained) = entry.split_once('\n').expect("a text after the identifier");
            let before = entries.insert(id.to_owned(), explained.trim().to_owned());
            assert!(before.is_none(), "{id} stands there twice");
        }
        entries
    }

    #[test]
    fn identifiers_and_names_are_unique_and_well_formed() {
        let ids: BTreeSet<&str> = Event::ALL.iter().map(|event| event.message_id()).collect();
        let names: BTreeSet<&str> = Event::ALL.iter().map(|event| event.name()).collect();
        assert_eq!((ids.len(), names.len()), (Event::ALL.len(), Event::ALL.len()));
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(ids.iter().all(|id| id.len() == 32 && id.chars().all(is_digit)), "{ids:?}");
        assert!(
            names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')),
            "{names:?}"
        );
    }

    #[test]
    fn the_catalog_explains_each_event_with_fields_that_it_has() {
        let mut catalog = catalog();
        for event in Event::ALL {
            let explained = catalog.remove(event.message_id()).unwrap_or_else(|| {
                panic!("the catalog does not know {} ({})", event.name(), event.message_id())
            });
            let (headers, text) = explained.split_once("\n\n").expect("headers, then a text");
            for header in ["Subject: ", "Defined-By: bhavd", "Support: ", "Documentation: "] {
                let is_there = headers.lines().any(|line| line.starts_with(header));
                assert!(is_there, "{} has no {header:?}", event.name());
            }
            assert!(text.len() > 30, "{} is not explained", event.name());
            let named = explained.split('@').skip(1).step_by(2);
            let unknown: Vec<&str> = named.filter(|field| !event.fields().contains(field)).collect();
            assert_eq!(unknown, [""; 0], "fields that {} does not have", event.name());
        }
        assert!(catalog.is_empty(), "the catalog explains what is no event: {catalog:?}");
    }

    #[test]
    fn a_childs_end_and_start_are_told_apart() {
        let of = |name, kind, incarnation| Event::of(name, kind, incarnation).expect("a known event");
        assert_eq!(of("child_started", None, Some(1)), Event::ChildStarted);
        assert_eq!(of("child_started", None, Some(2)), Event::ChildRestarted);
        assert_eq!(of("child_ended", Some("normal"), Some(2)), Event::ChildEnded);
        assert_eq!(of("child_ended", Some("error"), Some(2)), Event::ChildFailed);
        assert_eq!(of("child_ended", Some("blocked"), None), Event::ChildHung);
        assert_eq!(of("feed_up", Some("hung"), None), Event::FeedUp);
        assert_eq!(Event::of("nothing_known", None, None), None);
    }
}
