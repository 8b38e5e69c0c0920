//! Schema versions, and what a store was born as.
//!
//! Migrations run when a store is opened for writing, on a plain thread: diesel-async's harness blocks, which panics
//! inside actix. A store whose schema is later than this program's is refused.

use super::{
    Birth,
    error::{StoreError, chain},
    query::Query,
};
use crate::market::{BucketState, OiBase, Provider};
use diesel::{
    QueryableByName, SqliteConnection,
    migration::{MigrationSource, MigrationVersion},
    sql_types::{Integer, Text},
};
use diesel_async::{AsyncPgConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

pub(super) fn sqlite(connection: &mut SqliteConnection, store: &str) -> Result<(), StoreError> {
    run(connection, SQLITE, store)
}

/// Connects by itself; call it on a plain thread. `begun` is told the process on the server before anything is migrated.
pub(super) fn postgres(url: &str, store: &str, begun: impl FnOnce(i32)) -> Result<(), StoreError> {
    use diesel::{Connection, RunQueryDsl};
    let lost = |reason: String| StoreError::Lost { store: store.to_owned(), reason };
    let mut connection =
        AsyncConnectionWrapper::<AsyncPgConnection>::establish(url).map_err(|error| lost(chain(&error)))?;
    let backend: BackendRow = diesel::sql_query("SELECT pg_backend_pid() AS pid")
        .get_result(&mut connection)
        .map_err(|error| lost(chain(&error)))?;
    begun(backend.pid);
    run(&mut connection, POSTGRES, store)
}

#[derive(QueryableByName)]
struct BackendRow {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

fn run<C, DB>(connection: &mut C, source: EmbeddedMigrations, store: &str) -> Result<(), StoreError>
where
    C: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    // The harness adds no words of its own to what the database said.
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        let (store, reason) = (store.to_owned(), error.to_string());
        match reason.as_str() {
            _ if reason.contains("is locked") => StoreError::Busy { store, reason },
            _ if reason.contains("is full") => StoreError::DiskFull { store, reason },
            _ if reason.contains("malformed") || reason.contains("not a database") => {
                StoreError::Corrupt { store, reason }
            }
            _ if reason.contains("readonly") || reason.contains("permission denied") => {
                StoreError::Refused { store, reason }
            }
            _ => StoreError::Failed { store, reason },
        }
    };
    let known: Vec<MigrationVersion> = MigrationSource::<DB>::migrations(&source)
        .map_err(failed)?
        .iter()
        .map(|migration| migration.name().version().as_owned())
        .collect();
    let applied = connection.applied_migrations().map_err(failed)?;
    if let Some(later) = applied.iter().find(|version| !known.contains(version)) {
        return Err(StoreError::Later { store: store.to_owned(), migration: later.to_string() });
    }
    connection.run_pending_migrations(source).map(|_| ()).map_err(failed)
}

/// The statement that claims an unborn store.
pub(super) fn claim(birth: Birth) -> String {
    format!("INSERT INTO store_identity (id, birth) VALUES (1, '{birth}') ON CONFLICT (id) DO NOTHING")
}

/// Statements that keep the tables of names, so that the views have a name for every code of this program.
pub(super) fn names() -> String {
    let name = |table: &str, code: u8, name: &str| {
        format!(
            "INSERT INTO {table} (code, name) VALUES ({code}, '{name}') \
             ON CONFLICT (code) DO UPDATE SET name = excluded.name;"
        )
    };
    let providers = Provider::ALL.map(|provider| name("providers", provider.code(), provider.name()));
    let states = BucketState::ALL.map(|state| name("bucket_states", state.code(), state.name()));
    let bases = OiBase::ALL.map(|base| name("oi_bases", base.code(), base.name()));
    providers.into_iter().chain(states).chain(bases).collect()
}

#[derive(QueryableByName)]
pub(super) struct BirthRow {
    #[diesel(sql_type = Text)]
    pub birth: String,
}

pub(super) fn birth_query() -> Query {
    Query::new("SELECT birth FROM store_identity WHERE id = 1")
}

/// What a store says it was born as. A missing table means that bhavd never made it one.
pub(super) fn read_birth(store: &str, rows: Result<Vec<BirthRow>, StoreError>) -> Result<Birth, StoreError> {
    let not_a_store = || StoreError::NotAStore { store: store.to_owned() };
    match rows {
        Ok(rows) => rows.first().and_then(|row| Birth::from_name(&row.birth)).ok_or_else(not_a_store),
        Err(StoreError::Failed { reason, .. })
            if reason.contains("no such table") || reason.contains("does not exist") =>
        {
            Err(not_a_store())
        }
        Err(error) => Err(error),
    }
}

/// Compares what the store says with what is wanted; `None` where it says nothing.
pub(super) fn check_birth(store: &str, born: Option<&str>, wanted: Birth) -> Result<(), StoreError> {
    match born.and_then(Birth::from_name) {
        Some(born) if born == wanted => Ok(()),
        Some(born) => Err(StoreError::WrongKind { store: store.to_owned(), born, wanted }),
        None => Err(StoreError::NotAStore { store: store.to_owned() }),
    }
}
