//! Where a store is, read from what the configuration says.

use super::StoreError;
use std::fmt;

/// The address of a store.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// A file, created when a store is opened for writing.
    SqliteFile { path: String },
    /// Lives as long as the store that opened it; for tests and trials.
    SqliteMemory,
    /// As `SqliteMemory`, on the disk where it is large. No address names it.
    SqliteScratch,
    /// `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?host=SOCKET_DIRECTORY]`, as libpq reads it, without TLS.
    Postgres { url: String },
}

impl Address {
    /// Reads `sqlite:PATH`, `sqlite::memory:`, `postgres://…` or a plain path.
    pub fn parse(text: &str) -> Result<Address, StoreError> {
        let refuse = |reason: &str| StoreError::Address { url: text.to_owned(), reason: reason.to_owned() };
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            if let Err(error) = text.parse::<tokio_postgres::Config>() {
                let url = Address::Postgres { url: text.to_owned() }.to_string();
                return Err(StoreError::Address { url, reason: super::error::chain(&error) });
            }
            return Ok(Address::Postgres { url: text.to_owned() });
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => match text.split_once("://") {
                Some(_) => return Err(refuse("only SQLite and PostgreSQL are known")),
                None => text,
            },
        };
        match path {
            "" => Err(refuse("the path is missing")),
            ":memory:" => Ok(Address::SqliteMemory),
            path if path.contains('\0') => Err(refuse("the path has a NUL byte")),
            path => Ok(Address::SqliteFile { path: path.to_owned() }),
        }
    }
}

impl fmt::Display for Address {
    /// Fit for logs: without a password or options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::SqliteFile { path } => write!(f, "sqlite:{path}"),
            Address::SqliteMemory => f.write_str("sqlite::memory:"),
            Address::SqliteScratch => f.write_str("sqlite, a temporary file"),
            Address::Postgres { url } => {
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
                match rest.rsplit_once('@') {
                    Some((login, place)) => {
                        let user = login.split_once(':').map_or(login, |(user, _)| user);
                        write!(f, "postgres://{user}@{place}")
                    }
                    None => write!(f, "postgres://{rest}"),
                }
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Address {
    /// Whether the store ends with the connection that made it.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Address::SqliteMemory | Address::SqliteScratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let file = |path: &str| Address::SqliteFile { path: path.to_owned() };
        for (text, address) in [
            ("sqlite:/var/lib/bhavd/record.db", file("/var/lib/bhavd/record.db")),
            ("sqlite:///var/lib/bhavd/record.db", file("/var/lib/bhavd/record.db")),
            ("record.db", file("record.db")),
            ("sqlite::memory:", Address::SqliteMemory),
        ] {
            assert_eq!(Address::parse(text), Ok(address), "{text}");
        }
        for text in ["", "sqlite:", "mysql://localhost/bhavd", "postgres://host:port/db"] {
            let error = Address::parse(text).expect_err("no address");
            assert!(error.to_string().contains("write sqlite:PATH"), "{error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = "postgres://bhavd:secret@localhost:5432/record?password=secret";
        let address = Address::parse(url).expect("an address");
        assert_eq!(address.to_string(), "postgres://bhavd@localhost:5432/record");
        assert!(!format!("{address:?}").contains("secret"));
        let error = Address::parse("postgres://bhavd:secret@host:port/db").expect_err("no port");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
