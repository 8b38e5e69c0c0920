//! Rows by binary COPY, straight in or through a merge.
//!
//! Source of the format: PostgreSQL's manual, COPY, "Binary Format".

use crate::store::{
    progress::Progress,
    table::{Cell, Table, rounds, sorted_by_key},
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use std::pin::pin;
use tokio_postgres::{Error, Transaction, error::SqlState};

/// Sent at once: large enough to spare system calls, small enough to keep the server busy while rows are encoded.
const CHUNK_BYTES: usize = 64 * 1024;

/// Writes all rows, sorted by key; those of one key in their order.
pub(super) async fn write_all<'a, T: Table>(
    transaction: &mut Transaction<'_>,
    rows: impl Iterator<Item = &'a T::Row>,
    progress: &Progress,
) -> Result<(), Error> {
    let sorted = sorted_by_key::<T>(rows);
    if sorted.is_empty() {
        return Ok(());
    }
    for (turn, round) in rounds::<T>(sorted).into_iter().enumerate() {
        if turn == 0 && T::MOSTLY_NEW && copy_straight::<T>(transaction, &round, progress).await? {
            continue;
        }
        merge::<T>(transaction, &round, progress).await?;
        progress.note();
    }
    Ok(())
}

/// `false` if a key exists already; nothing is written then.
async fn copy_straight<T: Table>(
    transaction: &mut Transaction<'_>,
    rows: &[&T::Row],
    progress: &Progress,
) -> Result<bool, Error> {
    let savepoint = transaction.savepoint("copied_straight").await?;
    match copy::<T>(&savepoint, T::NAME, rows, progress).await {
        Ok(()) => {
            savepoint.commit().await?;
            Ok(true)
        }
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            savepoint.rollback().await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Rows whose keys differ from each other, whether they are stored or not.
async fn merge<T: Table>(
    transaction: &Transaction<'_>,
    rows: &[&T::Row],
    progress: &Progress,
) -> Result<(), Error> {
    let (table, columns) = (T::NAME, T::COLUMNS.join(", "));
    let prepare = format!(
        "CREATE TEMPORARY TABLE IF NOT EXISTS merge_{table} ON COMMIT DELETE ROWS \
         AS SELECT {columns} FROM {table} WITH NO DATA; TRUNCATE merge_{table}"
    );
    transaction.batch_execute(&prepare).await?;
    copy::<T>(transaction, &format!("merge_{table}"), rows, progress).await?;
    let key = T::KEY.join(", ");
    let insert = format!(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM merge_{table} ORDER BY {key}{}",
        T::on_conflict()
    );
    transaction.batch_execute(&insert).await
}

async fn copy<T: Table>(
    transaction: &Transaction<'_>,
    into: &str,
    rows: &[&T::Row],
    progress: &Progress,
) -> Result<(), Error> {
    let text = format!("COPY {into} ({}) FROM STDIN (FORMAT binary)", T::COLUMNS.join(", "));
    let mut sink = pin!(transaction.copy_in::<str, Bytes>(&text).await?);
    let mut encoded = BytesMut::with_capacity(CHUNK_BYTES + 1024);
    encoded.put_slice(b"PGCOPY\n\xff\r\n\0");
    // No flags, no header extension.
    encoded.put_i64(0);
    for row in rows {
        encoded.put_i16(T::COLUMNS.len() as i16);
        T::cells(row, |cell| put_cell(&mut encoded, &cell));
        if encoded.len() >= CHUNK_BYTES {
            let chunk = encoded.split().freeze();
            encoded.reserve(CHUNK_BYTES + 1024);
            sink.send(chunk).await?;
            progress.note();
        }
    }
    encoded.put_i16(-1);
    sink.send(encoded.freeze()).await?;
    sink.finish().await?;
    progress.note();
    Ok(())
}

fn put_cell(encoded: &mut BytesMut, cell: &Cell<'_>) {
    match cell {
        Cell::Null => encoded.put_i32(-1),
        Cell::Small(value) => {
            encoded.put_i32(2);
            encoded.put_i16(*value);
        }
        Cell::Int(value) => {
            encoded.put_i32(4);
            encoded.put_i32(*value);
        }
        Cell::Big(value) => {
            encoded.put_i32(8);
            encoded.put_i64(*value);
        }
        Cell::Text(text) => {
            // No text here comes near a gibibyte, PostgreSQL's own limit.
            encoded.put_i32(text.len() as i32);
            encoded.put_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_long_as_they_say() {
        let cells = [Cell::Null, Cell::Small(-2), Cell::Int(3), Cell::Big(-4), Cell::text("CE")];
        let mut encoded = BytesMut::new();
        for cell in &cells {
            put_cell(&mut encoded, cell);
        }
        let expected: &[&[u8]] = &[
            &[255, 255, 255, 255],
            &[0, 0, 0, 2, 255, 254],
            &[0, 0, 0, 4, 0, 0, 0, 3],
            &[0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 252],
            &[0, 0, 0, 2, b'C', b'E'],
        ];
        assert_eq!(encoded, expected.concat());
    }
}
