//! Multi-row upserts through diesel's statement cache.
//!
//! Diesel's own batch inserts build their SQL text anew for each batch. Here the number of rows a statement takes is
//! part of its type, so that after the first use only values are bound.

use crate::store::{
    progress::Progress,
    table::{Cell, Table, sorted_by_key},
};
use diesel::{
    QueryResult, SqliteConnection,
    connection::Connection,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{BigInt, Integer, Nullable, SmallInt, Text},
    sqlite::Sqlite,
};
use std::marker::PhantomData;

/// Rows a statement takes. More per statement gains nothing measurable, fewer lose to the cost of a call.
const ROWS: usize = 64;

/// Writes all rows, in the order of the key; those of one key in their order. The caller holds the transaction.
pub(super) fn upsert_all<'a, T: Table>(
    connection: &mut SqliteConnection,
    rows: impl Iterator<Item = &'a T::Row>,
    progress: &Progress,
) -> QueryResult<()> {
    let sorted = sorted_by_key::<T>(rows);
    let on_conflict = T::on_conflict();
    let mut cells = Vec::with_capacity(ROWS * T::COLUMNS.len());
    let mut chunks = sorted.chunks_exact(ROWS);
    for chunk in &mut chunks {
        cells.clear();
        for row in chunk {
            T::cells(row, |cell| cells.push(cell));
        }
        connection.execute_returning_count(&upsert::<T, ROWS>(&cells, &on_conflict))?;
        progress.note();
    }
    for row in chunks.remainder() {
        cells.clear();
        T::cells(row, |cell| cells.push(cell));
        connection.execute_returning_count(&upsert::<T, 1>(&cells, &on_conflict))?;
    }
    progress.note();
    Ok(())
}

/// One statement for `N` rows, whose cells stand one row after the other.
struct Upsert<'a, T, const N: usize> {
    cells: &'a [Cell<'a>],
    on_conflict: &'a str,
    table: PhantomData<T>,
}

fn upsert<'a, T, const N: usize>(cells: &'a [Cell<'a>], on_conflict: &'a str) -> Upsert<'a, T, N> {
    Upsert { cells, on_conflict, table: PhantomData }
}

impl<T: Table, const N: usize> QueryId for Upsert<'_, T, N> {
    type QueryId = Upsert<'static, T, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<T: Table, const N: usize> QueryFragment<Sqlite> for Upsert<'_, T, N> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        pass.push_sql("INSERT INTO ");
        pass.push_sql(T::NAME);
        pass.push_sql(" (");
        for (position, column) in T::COLUMNS.iter().enumerate() {
            pass.push_sql(if position == 0 { "" } else { ", " });
            pass.push_sql(column);
        }
        pass.push_sql(") VALUES (");
        let columns = T::COLUMNS.len();
        debug_assert_eq!(self.cells.len(), N * columns, "{} has as many cells as columns", T::NAME);
        for (position, cell) in self.cells.iter().enumerate() {
            if position > 0 {
                pass.push_sql(if position % columns == 0 { "), (" } else { ", " });
            }
            match cell {
                Cell::Null => pass.push_bind_param::<Nullable<BigInt>, Option<i64>>(&None)?,
                Cell::Small(value) => pass.push_bind_param::<SmallInt, i16>(value)?,
                Cell::Int(value) => pass.push_bind_param::<Integer, i32>(value)?,
                Cell::Big(value) => pass.push_bind_param::<BigInt, i64>(value)?,
                Cell::Text(text) => pass.push_bind_param::<Text, str>(text)?,
            }
        }
        pass.push_sql(")");
        pass.push_sql(self.on_conflict);
        Ok(())
    }
}
