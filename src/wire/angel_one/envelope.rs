//! The two envelopes around every REST answer, and what their errors mean.
//!
//! The service answers `status`, `message`, `errorcode`, `data`; the gateway before it `success`, `message`,
//! `errorCode`, `data`. A throttling gateway answers plain text, a firewall HTML.

use super::{WireError, json};
use crate::wire::text;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalClass {
    /// The session's token is wrong, old or missing: refresh it or log in again.
    Session,
    /// The refresh token is wrong or old: log in with password and one-time password.
    Login,
    /// The one-time password was not accepted: wait for the next 30 seconds' one and check the clock.
    OneTimePassword,
    /// Credentials or account: nobody but the owner can mend it.
    Credentials,
    /// Too many requests: back off.
    RateLimit,
    /// The instrument is unknown: drop it.
    Instrument,
    /// There is nothing: an empty answer.
    NoData,
    /// Anything else: try again later, a bounded number of times.
    Temporary,
}

/// Which of the two envelopes a refusal came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalShape {
    Service,
    Gateway,
}

/// An error that Angel One itself answered. Its texts are bounded, and without control characters: they stand in status and log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Angel One refused: {code} {message}")]
pub struct Refusal {
    pub shape: RefusalShape,
    /// `AG8001` and the like; `HTTP 403` where the body had no code.
    pub code: String,
    pub message: String,
}

impl Refusal {
    pub fn service(code: &str, message: &str) -> Refusal {
        Refusal { shape: RefusalShape::Service, code: code.to_owned(), message: message.to_owned() }
    }

    pub fn gateway(code: &str, message: &str) -> Refusal {
        Refusal { shape: RefusalShape::Gateway, code: code.to_owned(), message: message.to_owned() }
    }

    /// By Angel One's list of exceptions and reports of its users.
    pub fn class(&self) -> RefusalClass {
        match self.code.as_str() {
            "AG8001" | "AG8002" | "AG8003" | "AB1010" | "AB1011" | "HTTP 401" => RefusalClass::Session,
            "AB8050" | "AB8051" => RefusalClass::Login,
            "AB1050" => RefusalClass::OneTimePassword,
            "AB1000" | "AB1001" | "AB1002" | "AB1005" | "AB1006" | "AB1031" | "AB1032" => {
                RefusalClass::Credentials
            }
            "AB1021" | "HTTP 429" => RefusalClass::RateLimit,
            _ if self.message.contains("exceeding access rate") => RefusalClass::RateLimit,
            "HTTP 403" => RefusalClass::Session,
            "AB1009" | "AB1018" | "AB4006" => RefusalClass::Instrument,
            "AB9019" => RefusalClass::NoData,
            _ => RefusalClass::Temporary,
        }
    }

    /// The body in its shape.
    pub fn encode(&self) -> Vec<u8> {
        let (message, code) = (&self.message, &self.code);
        json::encode(&match self.shape {
            RefusalShape::Service => {
                serde_json::json!({"status": false, "message": message, "errorcode": code, "data": null})
            }
            RefusalShape::Gateway => {
                serde_json::json!({"success": false, "message": message, "errorCode": code, "data": ""})
            }
        })
    }

    /// What an answer with an HTTP status other than 200 says; the body may be an envelope, text or HTML.
    pub fn of_status(status: u16, body: &[u8]) -> Refusal {
        match decode::<serde::de::IgnoredAny>("answer", body, STATUS_BODY_MAX_BYTES) {
            Err(WireError::Refused(refusal)) if !refusal.code.is_empty() => refusal,
            _ => Refusal::gateway(&format!("HTTP {status}"), &text::excerpt(MESSAGE_CHARACTERS_MAX, body)),
        }
    }
}

const STATUS_BODY_MAX_BYTES: usize = 1 << 20;
const ANSWER_MAX_BYTES: usize = 64 << 20;
const MESSAGE_CHARACTERS_MAX: usize = 200;

#[derive(Deserialize)]
struct Envelope<'a> {
    status: Option<bool>,
    success: Option<bool>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    errorcode: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "errorCode")]
    error_code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Whether a body is a successful answer at all; what `data` holds is not looked at.
pub fn check_answer(body: &[u8]) -> Result<(), WireError> {
    decode::<serde::de::IgnoredAny>("answer", body, ANSWER_MAX_BYTES).map(|_| ())
}

/// The `data` of an answer; a refusal is [`WireError::Refused`].
pub(super) fn decode<'a, T: Deserialize<'a>>(
    what: &'static str,
    body: &'a [u8],
    limit: usize,
) -> Result<T, WireError> {
    let envelope: Envelope = json::decode(what, body, limit)?;
    let (shape, accepted) = match (envelope.status, envelope.success) {
        (Some(status), _) => (RefusalShape::Service, status),
        (None, Some(success)) => (RefusalShape::Gateway, success),
        (None, None) => {
            let reason = "neither status nor success".to_owned();
            return Err(WireError::Json { what, offset: 0, path: ".".to_owned(), reason });
        }
    };
    if !accepted {
        let bounded =
            |told: Option<Cow<'_, str>>| text::bounded(MESSAGE_CHARACTERS_MAX, &told.unwrap_or_default());
        let code = bounded(envelope.errorcode.or(envelope.error_code));
        let message = bounded(envelope.message);
        return Err(Refusal { shape, code, message }.into());
    }
    let data = envelope.data.map_or("null", RawValue::get);
    json::decode(what, data.as_bytes(), limit).map_err(|error| inside_data(error, body, data))
}

/// Moves an error's place from `data` to the body around it.
fn inside_data(error: WireError, body: &[u8], data: &str) -> WireError {
    match error {
        WireError::Json { what, offset, path, reason } => {
            // Addresses only: where `data` lies within `body`, 0 if it does not.
            let start = (data.as_ptr() as usize).checked_sub(body.as_ptr() as usize);
            let start = start.filter(|start| *start < body.len()).unwrap_or(0);
            WireError::Json { what, offset: start + offset, path: format!("data.{path}"), reason }
        }
        other => other,
    }
}

#[derive(Serialize)]
struct Success<'a, T> {
    status: bool,
    message: &'static str,
    errorcode: &'static str,
    data: &'a T,
}

/// A successful answer.
pub(super) fn encode(data: &impl Serialize) -> Vec<u8> {
    json::encode(&Success { status: true, message: "SUCCESS", errorcode: "", data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(body: &[u8]) -> Result<Vec<i64>, WireError> {
        decode("test answer", body, 1_000)
    }

    #[test]
    fn both_envelopes_are_understood() {
        assert_eq!(decoded(&encode(&[1, 2])), Ok(vec![1, 2]));
        for refusal in
            [Refusal::service("AG8002", "Token Expired"), Refusal::gateway("AG8001", "Invalid Token")]
        {
            assert_eq!(refusal.class(), RefusalClass::Session);
            assert_eq!(decoded(&refusal.encode()), Err(WireError::Refused(refusal.clone())));
            assert_eq!(Refusal::of_status(401, &refusal.encode()), refusal);
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in ["", "<html>Request Rejected</html>", "[]", "{}", r#"{"status":1}"#, "null"] {
            let error = decoded(body.as_bytes()).expect_err(body);
            assert!(matches!(error, WireError::Json { .. }), "{body}: {error}");
        }
        let body = br#"{"status":true,"message":"SUCCESS","errorcode":"","data":[1,"x"]}"#;
        let error = decoded(body).expect_err("x is no number");
        let WireError::Json { offset, path, .. } = &error else { panic!("{error}") };
        assert_eq!(path, "data.[1]");
        assert_eq!(&body[offset - 2..=*offset], br#""x""#, "{offset}");
    }

    #[test]
    fn throttling_is_told_from_a_lost_session() {
        let throttled = Refusal::of_status(403, b"Access denied because of exceeding access rate");
        assert_eq!(throttled.class(), RefusalClass::RateLimit);
        assert_eq!(Refusal::of_status(403, b"<html>").class(), RefusalClass::Session);
        assert_eq!(Refusal::of_status(429, b"").class(), RefusalClass::RateLimit);
        assert_eq!(Refusal::of_status(502, &[0xff; 5_000]).class(), RefusalClass::Temporary);
    }

    #[test]
    fn a_peers_text_writes_over_nothing() {
        let body = b"x\x1b[2J\x1b[H\nbhavd 0.1.0 is healthy\r\n\xff";
        let refusal = Refusal::of_status(200, body);
        let told = refusal.to_string();
        assert_eq!(
            told,
            "Angel One refused: HTTP 200 x\\u{1b}[2J\\u{1b}[H\\nbhavd 0.1.0 is healthy\\r\\n\u{fffd}"
        );
        let long = Refusal::service("AB1\n", &"\u{202e}y".repeat(150)).encode();
        let Err(WireError::Refused(refusal)) = decoded(&long) else { panic!("refused") };
        assert!(
            !refusal.to_string().chars().any(|character| character.is_control() || character == '\u{202e}')
        );
        assert!(refusal.message.chars().count() <= 201);
    }
}
