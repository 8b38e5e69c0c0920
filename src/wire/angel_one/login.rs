//! Logging in, renewing a session, and when a session ends.

use super::{WireError, envelope, json};
use crate::market::Timestamp;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::fmt;

const BODY_MAX_BYTES: usize = 64 << 10;

/// Body of `loginByPassword`. Holds secrets: `Debug` shows only the client code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRequest {
    #[serde(rename = "clientcode")]
    pub client_code: String,
    /// The MPIN.
    pub password: String,
    /// Six digits.
    pub totp: String,
}

/// Body of `generateTokens`; the expiring session's token goes into the Authorization header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshRequest {
    pub refresh_token: String,
}

/// What both calls answer. `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionTokens {
    /// Without the word Bearer.
    pub jwt_token: String,
    pub refresh_token: String,
    pub feed_token: String,
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").field("client_code", &self.client_code).finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTokens").finish_non_exhaustive()
    }
}

impl LoginRequest {
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    pub fn decode(body: &[u8]) -> Result<LoginRequest, WireError> {
        json::decode("login request", body, BODY_MAX_BYTES)
    }
}

impl RefreshRequest {
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    pub fn decode(body: &[u8]) -> Result<RefreshRequest, WireError> {
        json::decode("refresh request", body, BODY_MAX_BYTES)
    }
}

impl SessionTokens {
    pub fn encode(&self) -> Vec<u8> {
        envelope::encode(self)
    }

    pub fn decode(body: &[u8]) -> Result<SessionTokens, WireError> {
        envelope::decode("session tokens", body, BODY_MAX_BYTES)
    }

    /// When the session ends.
    pub fn expires(&self) -> Result<Timestamp, WireError> {
        jwt_expiry(&self.jwt_token)
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(default)]
    username: String,
    exp: i64,
}

const JWT: &str = "JWT";

/// The `exp` of a JWT: when the session it stands for ends. The signature is the broker's to check.
pub fn jwt_expiry(jwt: &str) -> Result<Timestamp, WireError> {
    let wrong = |reason: String| WireError::Field { what: JWT, offset: 0, field: "payload", reason };
    if jwt.len() > BODY_MAX_BYTES {
        return Err(WireError::TooLong { what: JWT, length: jwt.len(), limit: BODY_MAX_BYTES });
    }
    let payload = jwt.split('.').nth(1).ok_or_else(|| wrong("no second part".to_owned()))?;
    let payload = payload.trim_end_matches('=');
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|error| wrong(error.to_string()))?;
    let claims: Claims = json::decode(JWT, &payload, BODY_MAX_BYTES)?;
    let expiry = Timestamp::from_seconds(claims.exp).and_then(super::bounds::time);
    expiry.ok_or_else(|| json::implausible(JWT, "exp", claims.exp))
}

/// A JWT as the simulated broker hands out: three parts, an `exp`, and `nonce` in place of a signature.
pub fn encode_jwt(client_code: &str, expires: Timestamp, nonce: u64) -> String {
    let claims = Claims { username: client_code.to_owned(), exp: expires.as_us().div_euclid(1_000_000) };
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = part(br#"{"alg":"HS512"}"#);
    format!("{header}.{}.{}", part(&json::encode(&claims)), part(&nonce.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bodies_read_what_they_write(one in ".*", two in ".*", three in ".*") {
            let login =
                LoginRequest { client_code: one.clone(), password: two.clone(), totp: three.clone() };
            prop_assert_eq!(LoginRequest::decode(&login.encode()), Ok(login));
            let refresh = RefreshRequest { refresh_token: one.clone() };
            prop_assert_eq!(RefreshRequest::decode(&refresh.encode()), Ok(refresh));
            let tokens = SessionTokens { jwt_token: one, refresh_token: two, feed_token: three };
            prop_assert_eq!(SessionTokens::decode(&tokens.encode()), Ok(tokens));
        }

        #[test]
        fn a_jwt_tells_its_expiry(seconds in 1_000_000_000_i64..4_000_000_000, nonce in any::<u64>()) {
            let expires = Timestamp::from_us(seconds * 1_000_000);
            prop_assert_eq!(jwt_expiry(&encode_jwt("A123", expires, nonce)), Ok(expires));
        }

        #[test]
        fn no_text_makes_a_jwt_panic(text in ".*") {
            let _ = jwt_expiry(&text);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let login = LoginRequest {
            client_code: "A123".to_owned(),
            password: "4321".to_owned(),
            totp: "987654".to_owned(),
        };
        let shown = format!("{login:?}");
        assert!(shown.contains("A123") && !shown.contains("4321") && !shown.contains("987654"), "{shown}");
    }

    #[test]
    fn a_jwt_without_an_expiry_is_an_error() {
        for jwt in ["", "abc", "a.b.c", "e30.e30.x", "e30.eyJleHAiOi0xfQ.x"] {
            assert!(jwt_expiry(jwt).is_err(), "{jwt}");
        }
    }
}
