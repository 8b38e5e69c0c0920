//! SQL: the record.
