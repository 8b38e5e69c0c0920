//! Where a case keeps its store, and raw SQL to look at it as users do.

use crate::servers;
use bhavd::store::{self, Birth, OpenStore, Reader, Store};

pub struct Place {
    pub url: String,
    /// Removed with the place.
    _directory: Option<tempfile::TempDir>,
}

/// Rows as text: numbers in their shortest form, NULL as `None`.
pub type TextRows = Vec<Vec<Option<String>>>;

impl Place {
    pub fn sqlite() -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("record.db").display());
        Place { url, _directory: Some(directory) }
    }

    pub async fn postgres() -> Place {
        Place { url: servers::postgres_database().await, _directory: None }
    }

    pub async fn open(&self) -> OpenStore {
        store::open(&self.url, Birth::Real).await.expect("the store opens")
    }

    /// A store with these batches, and a reader of it.
    pub async fn with(&self, batches: &[store::Batch]) -> (OpenStore, Reader) {
        let mut store = self.open().await;
        for batch in batches {
            store.append(batch).await.expect("the batch is written");
        }
        let reader = Reader::open(&self.url).await.expect("a reader opens");
        (store, reader)
    }

    pub async fn execute(&self, sql: &str) {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => sqlite(path).execute_batch(sql).expect("valid SQL"),
            None => self.client().await.batch_execute(sql).await.expect("valid SQL"),
        }
    }

    /// Column names, then the rows.
    pub async fn select(&self, sql: &str) -> (Vec<String>, TextRows) {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => select_sqlite(path, sql),
            None => select_postgres(&self.client().await, sql).await,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the task of the connection; it ends with the client")]
    pub async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.expect("connects");
        tokio::spawn(connection);
        client
    }
}

fn sqlite(path: &str) -> rusqlite::Connection {
    rusqlite::Connection::open(path).expect("the file opens")
}

fn select_sqlite(path: &str, sql: &str) -> (Vec<String>, TextRows) {
    use rusqlite::types::Value;
    let connection = sqlite(path);
    let mut statement = connection.prepare(sql).expect("valid SQL");
    let names: Vec<String> = statement.column_names().iter().map(|name| (*name).to_owned()).collect();
    let rows = statement.query_map([], |row| {
        (0..names.len())
            .map(|column| {
                Ok(match row.get(column)? {
                    Value::Null => None,
                    Value::Integer(value) => Some(value.to_string()),
                    Value::Real(value) => Some(value.to_string()),
                    Value::Text(text) => Some(text),
                    Value::Blob(bytes) => Some(format!("{bytes:?}")),
                })
            })
            .collect()
    });
    let rows = rows.expect("valid SQL").collect::<Result<TextRows, _>>().expect("readable rows");
    (names, rows)
}

async fn select_postgres(client: &tokio_postgres::Client, sql: &str) -> (Vec<String>, TextRows) {
    use tokio_postgres::SimpleQueryMessage;
    let (mut names, mut rows) = (Vec::new(), TextRows::new());
    for message in client.simple_query(sql).await.expect("valid SQL") {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                names = columns.iter().map(|column| column.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect());
            }
            _ => {}
        }
    }
    (names, rows)
}
