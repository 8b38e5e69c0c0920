//! What it takes to log in.

use crate::{feed::Secret, market::Timestamp};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use totp_rs::{Builder, Totp};

/// An Angel One account. `Debug` shows only the client code.
#[derive(Clone)]
pub struct Credentials {
    pub client_code: String,
    pub api_key: Secret,
    /// The four-digit PIN that serves as the password.
    pub mpin: Secret,
    totp: Totp,
}

/// A credential that is missing or no use. The feed cannot start; the owner has to mend it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error(
        "the credential {name} cannot be read from {}: {source}; put it there, or name its source with \
         LoadCredential={name}:… in the unit",
        path.display()
    )]
    Unreadable { name: &'static str, path: PathBuf, source: io::Error },
    #[error("the credential {name} is empty; write it into {}", path.display())]
    Empty { name: &'static str, path: PathBuf },
    #[error(
        "the credential angel_one.totp_secret is not base32; copy the key shown when enabling TOTP at Angel One, \
         not a six-digit code"
    )]
    TotpSecret,
}

impl Credentials {
    /// `totp_secret` is base32, spaces and lower case allowed.
    pub fn new(
        client_code: impl Into<String>,
        api_key: Secret,
        mpin: Secret,
        totp_secret: &Secret,
    ) -> Result<Credentials, CredentialsError> {
        let base32: String = totp_secret.expose().split_whitespace().collect();
        let base32 = base32.trim_end_matches('=').to_ascii_uppercase();
        let key = totp_rs::Secret::try_from_base32(base32).map_err(|_| CredentialsError::TotpSecret)?;
        if key.as_bytes().is_empty() {
            return Err(CredentialsError::TotpSecret);
        }
        // Noncompliant only in that short keys are let through: the broker chose the length.
        let totp = Builder::new().with_secret(key).build_noncompliant();
        Ok(Credentials { client_code: client_code.into(), api_key, mpin, totp })
    }

    /// Reads `angel_one.client_code`, `angel_one.api_key`, `angel_one.mpin` and `angel_one.totp_secret` from a
    /// directory, as systemd lays them out under `$CREDENTIALS_DIRECTORY`.
    pub fn read(directory: &Path) -> Result<Credentials, CredentialsError> {
        let read = |name: &'static str| {
            let path = directory.join(name);
            match fs::read_to_string(&path) {
                Ok(text) if text.trim().is_empty() => Err(CredentialsError::Empty { name, path }),
                Ok(text) => Ok(text.trim().to_owned()),
                Err(source) => Err(CredentialsError::Unreadable { name, path, source }),
            }
        };
        let client_code = read("angel_one.client_code")?;
        let api_key = Secret::new(read("angel_one.api_key")?);
        let mpin = Secret::new(read("angel_one.mpin")?);
        Credentials::new(client_code, api_key, mpin, &Secret::new(read("angel_one.totp_secret")?))
    }

    /// The six digits valid at `now`.
    pub(super) fn one_time_password(&self, now: Timestamp) -> String {
        self.totp.generate(now.as_us().div_euclid(1_000_000).unsigned_abs()).to_string()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("client_code", &self.client_code).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(totp_secret: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in
            [("client_code", "A123\n"), ("api_key", "key"), ("mpin", " 4321\n"), ("totp_secret", totp_secret)]
        {
            fs::write(directory.path().join(format!("angel_one.{name}")), text).expect("a file");
        }
        directory
    }

    #[test]
    fn passwords_are_those_of_rfc_6238() {
        // The RFC's key "12345678901234567890"; its eight-digit values end in these six.
        let directory = written("gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n");
        let credentials = Credentials::read(directory.path()).expect("complete credentials");
        assert_eq!((&*credentials.client_code, credentials.mpin.expose()), ("A123", "4321"));
        for (seconds, password) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924")] {
            assert_eq!(credentials.one_time_password(Timestamp::from_us(seconds * 1_000_000)), password);
        }
        let shown = format!("{credentials:?} {:?}", credentials.mpin);
        assert!(!shown.contains("4321") && !shown.contains("key"), "{shown}");
    }

    #[test]
    fn errors_name_the_credential_and_what_to_do() {
        let directory = written("123456");
        let error = Credentials::read(directory.path()).expect_err("digits are no key").to_string();
        assert!(error.contains("angel_one.totp_secret"), "{error}");
        fs::write(directory.path().join("angel_one.mpin"), "\n").expect("a file");
        let error = Credentials::read(directory.path()).expect_err("an empty PIN").to_string();
        assert!(error.contains("angel_one.mpin is empty"), "{error}");
        fs::remove_file(directory.path().join("angel_one.api_key")).expect("it is there");
        let error = Credentials::read(directory.path()).expect_err("no key").to_string();
        assert!(error.contains("angel_one.api_key") && error.contains("LoadCredential"), "{error}");
    }
}
