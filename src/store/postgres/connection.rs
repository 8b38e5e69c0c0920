//! Connections, and what PostgreSQL's errors mean.

use crate::store::{
    address::Address,
    error::{StoreError, chain},
    query::{Bind, Query},
};
use diesel::{
    deserialize::FromSqlRow,
    pg::Pg,
    result::{DatabaseErrorKind, Error as DieselError},
    sql_query,
    sql_types::{BigInt, Text, Untyped},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::time::Duration;
use tokio_postgres::{Client, Config, Error, NoTls, error::SqlState};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

fn config(address: &Address) -> Result<Config, StoreError> {
    let refuse = |reason: String| StoreError::Address { url: address.to_string(), reason };
    let Address::Postgres { url } = address else {
        return Err(refuse("it is not PostgreSQL's".to_owned()));
    };
    let mut config: Config = url.parse().map_err(|error| refuse(chain(&error)))?;
    config.application_name("bhavd").connect_timeout(CONNECT_TIMEOUT);
    Ok(config)
}

/// The raw client, which alone can copy.
pub(super) struct Link {
    pub client: Client,
}

impl Link {
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the client, which its owner holds, and whoever uses the client notices"
    )]
    pub(super) async fn connect(address: &Address) -> Result<Link, StoreError> {
        let store = address.to_string();
        let (client, connection) =
            config(address)?.connect(NoTls).await.map_err(|error| classify(&store, error))?;
        // Ends by itself with the client or the server; whoever uses the client next is told.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                log::debug!(store:%; "the connection to the store {store} ended: {}", chain(&error));
            }
        });
        // Merges make their temporary table if it does not exist; that it does is no news for the log.
        client
            .batch_execute("SET client_min_messages = warning")
            .await
            .map_err(|error| classify(&address.to_string(), error))?;
        Ok(Link { client })
    }
}

/// A connection for questions.
pub(crate) struct PostgresReads {
    store: String,
    connection: AsyncPgConnection,
}

impl PostgresReads {
    pub(crate) async fn connect(address: &Address) -> Result<PostgresReads, StoreError> {
        let store = address.to_string();
        let (client, connection) =
            config(address)?.connect(NoTls).await.map_err(|error| classify(&store, error))?;
        let connection = AsyncPgConnection::try_from_client_and_connection(client, connection)
            .await
            .map_err(|error| StoreError::Lost { store: store.clone(), reason: chain(&error) })?;
        Ok(PostgresReads { store, connection })
    }

    pub(crate) async fn select<R>(&self, query: Query) -> Result<Vec<R>, StoreError>
    where
        R: FromSqlRow<Untyped, Pg> + Send + 'static,
    {
        let mut statement = sql_query(query.text).into_boxed::<Pg>();
        for bind in query.binds {
            statement = match bind {
                Bind::Big(value) => statement.bind::<BigInt, _>(value),
                Bind::Text(text) => statement.bind::<Text, _>(text),
            };
        }
        let rows = statement.load(&mut &self.connection).await;
        rows.map_err(|error| {
            let (store, reason) = (self.store.clone(), error.to_string());
            match error {
                DieselError::DatabaseError(
                    DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                    _,
                ) => StoreError::Lost { store, reason },
                _ if reason.contains("connection closed") => StoreError::Lost { store, reason },
                _ => StoreError::Failed { store, reason },
            }
        })
    }
}

/// By the codes of PostgreSQL's manual, appendix A.
pub(super) fn classify(store: &str, error: Error) -> StoreError {
    let (store, reason) = (store.to_owned(), chain(&error));
    let Some(code) = error.code() else {
        return StoreError::Lost { store, reason };
    };
    let class = &code.code()[..2];
    match code {
        code if *code == SqlState::DISK_FULL => StoreError::DiskFull { store, reason },
        code if *code == SqlState::QUERY_CANCELED => StoreError::Busy { store, reason },
        // Insufficient resources, transaction rollback (deadlock), lock not available.
        _ if class == "53" || class == "40" || class == "55" => StoreError::Busy { store, reason },
        // Connection exceptions, and the server going down or coming up.
        _ if class == "08" || class == "57" => StoreError::Lost { store, reason },
        _ if class == "23" || class == "22" => StoreError::Constraint { store, reason },
        _ if class == "XX" => StoreError::Corrupt { store, reason },
        _ if class == "28" || class == "3D" || *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            StoreError::Refused { store, reason }
        }
        _ => StoreError::Failed { store, reason },
    }
}
