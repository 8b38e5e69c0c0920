//! A thread that owns a connection and takes work over a channel.

use crate::store::{
    Birth,
    address::Address,
    error::{StoreError, chain},
    migrate,
    opening::{NoteOpening, OpeningSign, ThreadWatch, watched},
    query::{Bind, Query},
};
use diesel::{
    Connection, QueryResult, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    deserialize::FromSqlRow,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{BigInt, Text, Untyped},
    sqlite::Sqlite,
};
use std::path::Path;
use tokio::sync::{mpsc, oneshot};

/// Work waiting for the thread; senders wait when it is full. Each store and reader has one request at a time.
const QUEUE: usize = 4;

type Job = Box<dyn FnOnce(&mut SqliteConnection) + Send>;

/// What the connection is for.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Makes the file where there is none, brings the schema up to date, claims it as this kind.
    Write(Birth),
    /// Only what exists, and nothing is changed.
    Read,
}

/// Cheap to clone; clones share the thread. It ends, closing the connection, after the last clone is dropped.
#[derive(Clone)]
pub(crate) struct SqliteThread {
    store: String,
    jobs: mpsc::Sender<Job>,
}

impl SqliteThread {
    pub(super) async fn start(
        address: Address,
        access: Access,
        note: NoteOpening<'_>,
    ) -> Result<SqliteThread, StoreError> {
        Self::start_with(address.to_string(), move || establish(&address, access), note).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "one thread for one connection: it ends with its owner, who notices when it is gone"
    )]
    async fn start_with(
        store: String,
        establish: impl FnOnce() -> Result<SqliteConnection, StoreError> + Send + 'static,
        note: NoteOpening<'_>,
    ) -> Result<SqliteThread, StoreError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let (opened, outcome) = oneshot::channel();
        let (begun, watch) = oneshot::channel();
        let serve = move || {
            // Whoever opens may have gone; the first job says so.
            let _ = begun.send(ThreadWatch::of_this_thread());
            let mut connection = match establish() {
                Ok(connection) => connection,
                Err(error) => {
                    let _ = opened.send(Err(error));
                    return;
                }
            };
            if opened.send(Ok(())).is_err() {
                return;
            }
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection);
            }
        };
        let lost = |reason: String| StoreError::Lost { store: store.clone(), reason };
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(serve)
            .map_err(|error| lost(error.to_string()))?;
        let mut watch = watch.await.ok().flatten();
        let look = async || watch.as_mut().map_or(OpeningSign::Still, ThreadWatch::look);
        let outcome = watched(outcome, look, note).await;
        outcome.map_err(|_| lost("its thread ended while opening".to_owned()))??;
        Ok(SqliteThread { store, jobs })
    }

    /// Opens an existing store for reading.
    pub(crate) async fn open_to_read(address: Address) -> Result<SqliteThread, StoreError> {
        Self::start(address, Access::Read, &mut |_| {}).await
    }

    /// The store's name for errors.
    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// Runs `work` on the thread. It is carried out even if the caller stops waiting.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (reply, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = reply.send(work(connection));
        });
        let ended = || StoreError::Lost {
            store: self.store.clone(),
            reason: "its thread has ended; open the store again".to_owned(),
        };
        self.jobs.send(job).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?.map_err(|error| classify(&self.store, error))
    }

    pub(crate) async fn select<R>(&self, query: Query) -> Result<Vec<R>, StoreError>
    where
        R: FromSqlRow<Untyped, Sqlite> + Send + 'static,
    {
        self.run(move |connection| load(connection, query)).await
    }
}

fn load<R>(connection: &mut SqliteConnection, query: Query) -> QueryResult<Vec<R>>
where
    R: FromSqlRow<Untyped, Sqlite> + 'static,
{
    let mut statement = sql_query(query.text).into_boxed::<Sqlite>();
    for bind in query.binds {
        statement = match bind {
            Bind::Big(value) => statement.bind::<BigInt, _>(value),
            Bind::Text(text) => statement.bind::<Text, _>(text),
        };
    }
    statement.load(connection)
}

fn establish(address: &Address, access: Access) -> Result<SqliteConnection, StoreError> {
    let store = address.to_string();
    let path = match address {
        Address::SqliteFile { path } => path.as_str(),
        // SQLite's name for a database in a temporary file.
        Address::SqliteScratch => "",
        _ => ":memory:",
    };
    if matches!(access, Access::Read) && !Path::new(path).is_file() {
        return Err(StoreError::NotAStore { store });
    }
    let mut connection = SqliteConnection::establish(path)
        .map_err(|error| StoreError::Refused { store: store.clone(), reason: chain(&error) })?;
    // SQLite itself reads the file's head: a descriptor of bhavd's own would, when closed, take with it the locks of every
    // connection that this process has on the file.
    let opening = |error: Error| match error.to_string().contains("not a database") {
        true => StoreError::NoDatabase { store: store.clone() },
        false => classify(&store, error),
    };
    let execute =
        |connection: &mut SqliteConnection, text: &str| connection.batch_execute(text).map_err(opening);
    execute(&mut connection, "PRAGMA busy_timeout = 5000")?;
    match access {
        Access::Write(birth) => {
            execute(&mut connection, "PRAGMA journal_mode = WAL")?;
            execute(&mut connection, "PRAGMA synchronous = NORMAL")?;
            // 8 MiB: the inner pages of the tables being written stay in memory; leaves come from the system's cache.
            // What is to leave no trace in memory makes do with 1.
            let cache_kib = if *address == Address::SqliteScratch { 1_024 } else { 8_192 };
            execute(&mut connection, &format!("PRAGMA cache_size = -{cache_kib}"))?;
            migrate::sqlite(&mut connection, &store)?;
            execute(&mut connection, &migrate::claim(birth))?;
            let born: Vec<migrate::BirthRow> =
                load(&mut connection, migrate::birth_query()).map_err(opening)?;
            migrate::check_birth(&store, born.first().map(|row| row.birth.as_str()), birth)?;
            execute(&mut connection, &migrate::names())?;
        }
        Access::Read => {
            execute(&mut connection, "PRAGMA query_only = ON")?;
            let born = load(&mut connection, migrate::birth_query());
            migrate::read_birth(&store, born.map_err(opening))?;
        }
    }
    Ok(connection)
}

/// SQLite's own words tell its errors apart: diesel keeps the code to itself except for constraints.
pub(super) fn classify(store: &str, error: Error) -> StoreError {
    let (store, reason) = (store.to_owned(), error.to_string());
    let says = |words: &str| reason.contains(words);
    match &error {
        Error::DatabaseError(
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::ForeignKeyViolation,
            _,
        ) => StoreError::Constraint { store, reason },
        Error::RollbackTransaction => StoreError::Fenced { store },
        _ if says("is locked") => StoreError::Busy { store, reason },
        _ if says("is full") => StoreError::DiskFull { store, reason },
        _ if says("malformed") || says("not a database") => StoreError::Corrupt { store, reason },
        _ if says("disk I/O error") => StoreError::Lost { store, reason },
        _ if says("readonly") || says("unable to open") => StoreError::Refused { store, reason },
        _ => StoreError::Failed { store, reason },
    }
}

/// Whether this process holds a POSIX lock on a file, as SQLite does while it has one open.
#[cfg(test)]
pub fn is_locked_here(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).expect("a file").ino();
    let (process, file) = (format!(" {} ", std::process::id()), format!(":{file} "));
    let locks = std::fs::read_to_string("/proc/locks").expect("readable");
    locks.lines().any(|lock| lock.contains(&process) && lock.contains(&file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
        mpsc as blocking,
    };

    fn in_memory() -> SqliteConnection {
        SqliteConnection::establish(":memory:").expect("opens")
    }

    #[test]
    fn a_file_that_is_no_database_is_not_taken_for_a_damaged_store() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("notes.txt");
        let address = Address::SqliteFile { path: path.display().to_string() };
        let long = "no database, and longer than a page ".repeat(200);
        for text in ["short", "SQLite format 3, and so on", &long] {
            for access in [Access::Write(Birth::Real), Access::Read] {
                std::fs::write(&path, text).expect("written");
                let refused = establish(&address, access).err().expect("no database");
                assert_eq!(refused.class(), crate::store::ErrorClass::Configuration, "{refused}");
                assert!(
                    refused.to_string().contains("notes.txt is a file, but no SQLite database"),
                    "{refused}"
                );
                assert_eq!(std::fs::read_to_string(&path).expect("a file"), text, "it is left as it was");
                assert_eq!(std::fs::read_dir(home.path()).expect("listed").count(), 1);
            }
        }
        std::fs::write(&path, "").expect("written");
        assert!(establish(&address, Access::Write(Birth::Real)).is_ok(), "an empty file is a new database");
    }

    #[tokio::test]
    async fn a_long_migration_is_seen_at_work_for_as_long_as_it_runs() {
        const ENOUGH: u32 = 2;
        let (seen, goes_on) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(true)));
        let is_wanted = Arc::clone(&goes_on);
        let migrate = move || {
            let mut connection = in_memory();
            let count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                         SELECT count(*) FROM n";
            while is_wanted.load(Relaxed) {
                connection.batch_execute(count).expect("counts");
            }
            Ok(connection)
        };
        let mut note = |sign| {
            if sign == OpeningSign::AtWork && seen.fetch_add(1, Relaxed) + 1 == ENOUGH {
                goes_on.store(false, Relaxed);
            }
        };
        SqliteThread::start_with("test".to_owned(), migrate, &mut note).await.expect("opens in the end");
        assert!(seen.load(Relaxed) >= ENOUGH);
    }

    #[tokio::test]
    async fn a_migration_that_is_stuck_is_seen_still() {
        let (release, released) = blocking::channel::<()>();
        let migrate = move || {
            let _ = released.recv();
            Ok(in_memory())
        };
        let (mut release, mut signs) = (Some(release), Vec::new());
        let mut note = |sign| {
            signs.push(sign);
            if signs.len() == 2 {
                drop(release.take());
            }
        };
        SqliteThread::start_with("test".to_owned(), migrate, &mut note).await.expect("opens in the end");
        assert_eq!(signs[..2], [OpeningSign::Still; 2]);
    }
}
