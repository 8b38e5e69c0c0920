//! The end of a feed in tests: what it handed over, in the order of its coming.

use bhavd::{
    feed::{NotAccepted, RecordSink},
    market::Timestamp,
    spool::{Mark, NewRecord, Source},
};
use std::{cell::RefCell, rc::Rc};

#[derive(Clone, Default)]
pub struct KeptRecords {
    records: Rc<RefCell<Vec<NewRecord>>>,
}

impl RecordSink for KeptRecords {
    async fn accept(&self, record: NewRecord) -> Result<(), NotAccepted> {
        self.records.borrow_mut().push(record);
        Ok(())
    }

    async fn mark(&self, mark: Mark) -> Result<(), NotAccepted> {
        self.accept(NewRecord::mark(Timestamp::default(), &mark)).await
    }
}

impl KeptRecords {
    pub fn of(&self, source: Source) -> Vec<NewRecord> {
        self.records.borrow().iter().filter(|record| record.source == source).cloned().collect()
    }

    pub fn sources(&self) -> Vec<Source> {
        self.records.borrow().iter().map(|record| record.source).collect()
    }

    pub fn marks(&self) -> Vec<Mark> {
        let parse = |record: &NewRecord| {
            let json = record.frames.iter().next().expect("one frame");
            serde_json::from_slice(json).expect("a mark")
        };
        self.of(Source::MARK).iter().map(parse).collect()
    }

    /// The last mark of the feed as a whole.
    fn last_of_feed(&self) -> Option<Mark> {
        self.marks().into_iter().rfind(|mark| matches!(mark, Mark::FeedUp { .. } | Mark::FeedDown { .. }))
    }

    pub fn is_up(&self) -> bool {
        matches!(self.last_of_feed(), Some(Mark::FeedUp { .. }))
    }

    pub fn is_down(&self) -> bool {
        matches!(self.last_of_feed(), Some(Mark::FeedDown { .. }))
    }
}
