//! Which records are written: directives as in `RUST_LOG`, to be changed while the daemon runs.

use log::{LevelFilter, Metadata, Record};

/// The directives cannot be used; those before stay. For whoever gave them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("{directive:?} is no level; write off, error, warn, info, debug, trace, or TARGET=LEVEL")]
    UnknownLevel { directive: String },
    #[error("{reason}; write LEVEL or TARGET=LEVEL, separated by commas")]
    Malformed { reason: String },
    #[error("this process does not write a log")]
    NotStarted,
}

/// A level for everything and levels for targets.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    inner: env_filter::Filter,
    text: String,
}

impl Filter {
    pub fn at(level: LevelFilter) -> Filter {
        let inner = env_filter::Builder::new().filter_level(level).build();
        Filter { inner, text: level.as_str().to_ascii_lowercase() }
    }

    /// `base` is the level of everything that `directives` does not name.
    ///
    /// A name alone, which env_filter takes for a target at its most talkative, is refused: it is a level misspelt.
    pub fn parse(base: LevelFilter, directives: &str) -> Result<Filter, FilterError> {
        let names = directives.split('/').next().unwrap_or_default();
        let parts = || names.split(',').map(str::trim).filter(|part| !part.is_empty());
        let is_level = |text: &str| text.parse::<LevelFilter>().is_ok();
        for part in parts() {
            let level = part.split_once('=').map_or(part, |(_, level)| level.trim());
            if !is_level(level) {
                return Err(FilterError::UnknownLevel { directive: level.to_owned() });
            }
        }
        let mut builder = env_filter::Builder::new();
        builder.filter_level(base);
        builder
            .try_parse(directives)
            .map_err(|error| FilterError::Malformed { reason: error.to_string() })?;
        let base = base.as_str().to_ascii_lowercase();
        let text = match directives.trim() {
            "" => base,
            given if parts().any(is_level) => given.to_owned(),
            given if given.starts_with('/') => format!("{base}{given}"),
            given => format!("{base},{given}"),
        };
        Ok(Filter { inner: builder.build(), text })
    }

    /// The most talkative level that anything has.
    pub fn max_level(&self) -> LevelFilter {
        self.inner.filter()
    }

    pub fn enabled(&self, metadata: &Metadata) -> bool {
        self.inner.enabled(metadata)
    }

    pub fn matches(&self, record: &Record) -> bool {
        self.inner.matches(record)
    }

    /// As directives.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;
    use proptest::prelude::*;

    fn is_enabled(filter: &Filter, level: Level, target: &str) -> bool {
        filter.enabled(&Metadata::builder().level(level).target(target).build())
    }

    #[test]
    fn directives_stand_over_the_level_of_the_rest() {
        let filter = Filter::parse(LevelFilter::Info, "bhavd::feed=debug, rustls=off").expect("directives");
        assert!(is_enabled(&filter, Level::Debug, "bhavd::feed::nse"));
        assert!(!is_enabled(&filter, Level::Debug, "bhavd::store"));
        assert!(is_enabled(&filter, Level::Info, "bhavd::store"));
        assert!(!is_enabled(&filter, Level::Error, "rustls::conn"));
        assert_eq!(filter.max_level(), LevelFilter::Debug);
        assert_eq!(filter.text(), "info,bhavd::feed=debug, rustls=off");
        let filter = Filter::parse(LevelFilter::Info, "WARN,bhavd::feed=trace").expect("directives");
        assert!(!is_enabled(&filter, Level::Info, "bhavd::store"));
        assert_eq!(filter.text(), "WARN,bhavd::feed=trace");
    }

    #[test]
    fn nothing_is_the_level_of_the_rest() {
        let filter = Filter::parse(LevelFilter::Warn, " ").expect("nothing");
        assert_eq!((filter.max_level(), filter.text()), (LevelFilter::Warn, "warn"));
    }

    #[test]
    fn a_part_of_the_message_can_be_asked_for() {
        let filter = Filter::parse(LevelFilter::Info, "/login").expect("a pattern");
        let record =
            |text| filter.matches(&Record::builder().level(Level::Info).target("bhavd").args(text).build());
        assert!(record(format_args!("login: refused")));
        assert!(!record(format_args!("socket closed")));
        assert_eq!(filter.text(), "info/login");
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for (wrong, said) in [
            ("debgu", "\"debgu\" is no level"),
            ("bhavd::feed=loud", "\"loud\" is no level"),
            ("bhavd", "TARGET=LEVEL"),
            ("a=b=debug", "\"b=debug\" is no level"),
            ("info/a/b", "too many '/'s"),
        ] {
            let error = Filter::parse(LevelFilter::Info, wrong).expect_err(wrong);
            assert!(error.to_string().contains(said), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_and_what_is_taken_reads_back(text in "[a-z:=,/ ]{0,30}") {
            if let Ok(filter) = Filter::parse(LevelFilter::Info, &text) {
                let again = Filter::parse(LevelFilter::Error, filter.text()).expect("its own text");
                prop_assert_eq!(again.max_level(), filter.max_level());
                prop_assert_eq!(again.text(), filter.text());
            }
        }
    }
}
