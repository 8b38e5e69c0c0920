//! How rows become SQL: one description a table, from which both databases' statements are made.
//!
//! Each table says its columns, its key and what a row does to a stored one of the same key. SQLite makes multi-row
//! upserts of it, PostgreSQL binary COPY and merges. Both read the same `ON CONFLICT` text, so they cannot differ.

use std::{borrow::Cow, marker::PhantomData};

/// A value on its way into SQL, as wide as its column: binary COPY does not convert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Null,
    Small(i16),
    Int(i32),
    Big(i64),
    Text(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Cell<'a> {
        Cell::Text(text.into())
    }
}

impl From<i64> for Cell<'_> {
    fn from(value: i64) -> Self {
        Cell::Big(value)
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

pub(crate) trait Table: 'static {
    type Row;
    /// Orders rows as the primary key does, so that they go into the table side by side.
    type Key: Ord;
    const NAME: &'static str;
    /// In the order of the cells.
    const COLUMNS: &'static [&'static str];
    const KEY: &'static [&'static str];
    /// What follows `DO UPDATE` if not all other columns are replaced.
    const UPDATE: Option<&'static str> = None;
    /// When a row replaces the stored one; without it, always.
    const REPLACES_WHEN: Option<&'static str> = None;
    /// A column of 0 or 1 that no row clears, and that a row sets whether or not it replaces the other columns.
    const MARK: Option<&'static str> = None;
    /// Whether keys are mostly new, so that PostgreSQL tries to copy straight into the table.
    const MOSTLY_NEW: bool;

    fn key(row: &Self::Row) -> Self::Key;

    fn cells<'a>(row: &'a Self::Row, put: impl FnMut(Cell<'a>));

    /// `ON CONFLICT (…) DO UPDATE SET …`, read alike by SQLite and PostgreSQL.
    fn on_conflict() -> String {
        let mut text = format!(" ON CONFLICT ({}) DO UPDATE SET ", Self::KEY.join(", "));
        match Self::UPDATE {
            Some(update) => text.push_str(update),
            None => {
                let replaced: Vec<String> = Self::COLUMNS
                    .iter()
                    .filter(|column| !Self::KEY.contains(column))
                    .map(|column| format!("{column} = {}", Self::replacement(column)))
                    .collect();
                text.push_str(&replaced.join(", "));
            }
        }
        if let Some(condition) = Self::REPLACES_WHEN {
            text.push_str(" WHERE ");
            text.push_str(condition);
            if let Some(mark) = Self::MARK {
                text.push_str(&format!(" OR excluded.{mark} > {}.{mark}", Self::NAME));
            }
        }
        text
    }

    /// What a column becomes where a row meets a stored one.
    fn replacement(column: &str) -> String {
        let table = Self::NAME;
        match (Self::MARK, Self::REPLACES_WHEN) {
            (Some(mark), _) if mark == column => format!("{table}.{mark} | excluded.{mark}"),
            // The row may be here for its mark alone.
            (Some(_), Some(condition)) => {
                format!("CASE WHEN {condition} THEN excluded.{column} ELSE {table}.{column} END")
            }
            _ => format!("excluded.{column}"),
        }
    }
}

/// A table whose stored rows all stay: rows are written only where there is none of their key.
pub(crate) struct WhereAbsent<T>(PhantomData<T>);

impl<T: Table> Table for WhereAbsent<T> {
    type Row = T::Row;
    type Key = T::Key;
    const NAME: &'static str = T::NAME;
    const COLUMNS: &'static [&'static str] = T::COLUMNS;
    const KEY: &'static [&'static str] = T::KEY;
    const MOSTLY_NEW: bool = false;

    fn key(row: &T::Row) -> T::Key {
        T::key(row)
    }

    fn cells<'a>(row: &'a T::Row, put: impl FnMut(Cell<'a>)) {
        T::cells(row, put);
    }

    fn on_conflict() -> String {
        format!(" ON CONFLICT ({}) DO NOTHING", T::KEY.join(", "))
    }
}

/// Rows in the order of the key; those of one key stay in their order.
pub(super) fn sorted_by_key<'a, T: Table>(rows: impl Iterator<Item = &'a T::Row>) -> Vec<&'a T::Row> {
    let mut rows: Vec<&T::Row> = rows.collect();
    if !rows.is_sorted_by_key(|row| T::key(row)) {
        rows.sort_by_cached_key(|row| T::key(row));
    }
    rows
}

/// Splits sorted rows into rounds in which each key stands once: the first of every key, then the second of those
/// that have one, and so on. Merged one round after the other they have the effect of the rows one by one.
pub(super) fn rounds<T: Table>(sorted: Vec<&T::Row>) -> Vec<Vec<&T::Row>> {
    if sorted.is_sorted_by(|earlier, later| T::key(earlier) < T::key(later)) {
        return vec![sorted];
    }
    let mut rounds: Vec<Vec<&T::Row>> = Vec::new();
    let mut previous = None;
    let mut turn = 0;
    for row in sorted {
        let key = T::key(row);
        turn = if previous.as_ref() == Some(&key) { turn + 1 } else { 0 };
        if rounds.len() == turn {
            rounds.push(Vec::new());
        }
        rounds[turn].push(row);
        previous = Some(key);
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pairs;

    impl Table for Pairs {
        type Row = (i64, i64);
        type Key = i64;
        const NAME: &'static str = "pairs";
        const COLUMNS: &'static [&'static str] = &["a", "b"];
        const KEY: &'static [&'static str] = &["a"];
        const REPLACES_WHEN: Option<&'static str> = Some("excluded.b >= pairs.b");
        const MOSTLY_NEW: bool = true;

        fn key(row: &(i64, i64)) -> i64 {
            row.0
        }

        fn cells<'a>(row: &'a (i64, i64), mut put: impl FnMut(Cell<'a>)) {
            put(row.0.into());
            put(row.1.into());
        }
    }

    #[test]
    fn one_text_replaces_all_but_the_key() {
        let text = " ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE excluded.b >= pairs.b";
        assert_eq!(Pairs::on_conflict(), text);
    }

    #[test]
    fn where_absent_nothing_is_replaced() {
        assert_eq!(WhereAbsent::<Pairs>::on_conflict(), " ON CONFLICT (a) DO NOTHING");
    }

    struct Marked;

    impl Table for Marked {
        type Row = (i64, i64);
        type Key = i64;
        const NAME: &'static str = "marked";
        const COLUMNS: &'static [&'static str] = &["a", "b", "m"];
        const KEY: &'static [&'static str] = &["a"];
        const REPLACES_WHEN: Option<&'static str> = Some("excluded.b >= marked.b");
        const MARK: Option<&'static str> = Some("m");
        const MOSTLY_NEW: bool = true;

        fn key(row: &(i64, i64)) -> i64 {
            row.0
        }

        fn cells<'a>(_row: &'a (i64, i64), _put: impl FnMut(Cell<'a>)) {}
    }

    #[test]
    fn a_row_that_replaces_nothing_still_marks() {
        let text = " ON CONFLICT (a) DO UPDATE SET \
            b = CASE WHEN excluded.b >= marked.b THEN excluded.b ELSE marked.b END, m = marked.m | excluded.m \
            WHERE excluded.b >= marked.b OR excluded.m > marked.m";
        assert_eq!(Marked::on_conflict(), text);
    }

    #[test]
    fn rows_of_one_key_go_in_rounds_in_their_order() {
        let rows = [(2, 1), (1, 9), (2, 3), (3, 0), (2, 2)];
        let sorted = sorted_by_key::<Pairs>(rows.iter());
        assert_eq!(sorted, [&(1, 9), &(2, 1), &(2, 3), &(2, 2), &(3, 0)]);
        assert_eq!(rounds::<Pairs>(sorted), [vec![&(1, 9), &(2, 1), &(3, 0)], vec![&(2, 3)], vec![&(2, 2)]]);
    }
}
