//! Text frames of SmartStream V2: subscriptions, heartbeat and refusals.

use super::{
    StreamMode, WireError, json,
    segment::{runs, token_of},
};
use crate::market::{ProviderToken, Segment};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

const WHAT: &str = "SmartStream text";
/// A subscription of 3,000 tokens is under 40,000 bytes.
const TEXT_MAX_BYTES: usize = 1 << 20;

/// A request to begin or end sending tokens. There is no positive answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRequest {
    /// Echoed in refusals; about ten letters and digits.
    pub correlation_id: Option<String>,
    /// `false` ends the subscription.
    pub subscribe: bool,
    pub mode: StreamMode,
    pub tokens: Vec<ProviderToken>,
}

/// What a client sends as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientText {
    Ping,
    Request(StreamRequest),
}

/// What the server sends as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerText {
    Pong,
    Refusal(StreamRefusal),
}

/// E1001 invalid payload, E1002 subscription limit exceeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("the stream refused a request: {error_code} {error_message}")]
pub struct StreamRefusal {
    #[serde(rename = "correlationID", default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    pub error_code: String,
    #[serde(default)]
    pub error_message: String,
}

impl StreamRefusal {
    pub const INVALID_PAYLOAD: &'static str = "E1001";
    pub const LIMIT_EXCEEDED: &'static str = "E1002";
}

#[derive(Serialize, Deserialize)]
struct WireRequest<'a> {
    #[serde(rename = "correlationID", default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    action: u8,
    #[serde(borrow)]
    params: WireParams<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireParams<'a> {
    mode: u8,
    #[serde(borrow)]
    token_list: Vec<WireGroup<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireGroup<'a> {
    exchange_type: u8,
    #[serde(borrow)]
    tokens: Vec<Cow<'a, str>>,
}

impl ClientText {
    pub fn encode(&self) -> String {
        match self {
            ClientText::Ping => "ping".to_owned(),
            ClientText::Request(request) => text(&request.to_wire()),
        }
    }

    /// Modes and exchange types that bhavd does not know are [`WireError::Unsupported`].
    pub fn decode(bytes: &[u8]) -> Result<ClientText, WireError> {
        if bytes == b"ping" {
            return Ok(ClientText::Ping);
        }
        let wire: WireRequest = json::decode(WHAT, bytes, TEXT_MAX_BYTES)?;
        StreamRequest::from_wire(wire).map(ClientText::Request)
    }
}

impl ServerText {
    pub fn encode(&self) -> String {
        match self {
            ServerText::Pong => "pong".to_owned(),
            ServerText::Refusal(refusal) => text(refusal),
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<ServerText, WireError> {
        if bytes == b"pong" {
            return Ok(ServerText::Pong);
        }
        json::decode(WHAT, bytes, TEXT_MAX_BYTES).map(ServerText::Refusal)
    }
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("text frames are structs of strings and numbers")
}

impl StreamRequest {
    fn to_wire(&self) -> WireRequest<'static> {
        let group = |run: &[ProviderToken]| WireGroup {
            exchange_type: run[0].segment.code(),
            tokens: run.iter().map(|token| Cow::Owned(token.token.to_string())).collect(),
        };
        WireRequest {
            correlation_id: self.correlation_id.clone(),
            action: u8::from(self.subscribe),
            params: WireParams {
                mode: self.mode.code(),
                token_list: runs(&self.tokens).map(group).collect(),
            },
        }
    }

    fn from_wire(wire: WireRequest) -> Result<StreamRequest, WireError> {
        let unsupported =
            |field, code| WireError::Unsupported { what: WHAT, offset: 0, field, value: i64::from(code) };
        if wire.action > 1 {
            return Err(unsupported("action", wire.action));
        }
        let mode = StreamMode::from_code(wire.params.mode);
        let mode = mode.ok_or_else(|| unsupported("mode", wire.params.mode))?;
        let mut tokens = Vec::new();
        for group in &wire.params.token_list {
            let segment = Segment::from_code(group.exchange_type);
            let segment = segment.ok_or_else(|| unsupported("exchange type", group.exchange_type))?;
            for digits in &group.tokens {
                let token = token_of(digits).ok_or_else(|| WireError::Field {
                    what: WHAT,
                    offset: 0,
                    field: "params.tokenList.tokens",
                    reason: format!("{digits:?} is not a token"),
                })?;
                tokens.push(ProviderToken { segment, token });
            }
        }
        Ok(StreamRequest { correlation_id: wire.correlation_id, subscribe: wire.action == 1, mode, tokens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> impl Strategy<Value = ProviderToken> {
        (proptest::sample::select(Segment::ALL.to_vec()), any::<u32>())
            .prop_map(|(segment, token)| ProviderToken { segment, token })
    }

    proptest! {
        #[test]
        fn requests_read_what_they_write(
            correlation_id in proptest::option::of("[a-z0-9]{0,10}"),
            subscribe in any::<bool>(),
            mode in proptest::sample::select(StreamMode::ALL.to_vec()),
            tokens in proptest::collection::vec(token(), 0..20),
        ) {
            let text = ClientText::Request(StreamRequest { correlation_id, subscribe, mode, tokens });
            prop_assert_eq!(ClientText::decode(text.encode().as_bytes()), Ok(text));
        }

        #[test]
        fn refusals_read_what_they_write(
            correlation_id in proptest::option::of(".{0,10}"), error_code in ".{0,5}", error_message in ".*",
        ) {
            let text = ServerText::Refusal(StreamRefusal { correlation_id, error_code, error_message });
            prop_assert_eq!(ServerText::decode(text.encode().as_bytes()), Ok(text));
        }
    }

    #[test]
    fn a_subscription_looks_like_the_documentation() {
        let tokens = [(Segment::NseCash, 10_626), (Segment::NseFo, 54_786), (Segment::NseFo, 5_290)];
        let tokens = tokens.map(|(segment, token)| ProviderToken { segment, token }).to_vec();
        let request = StreamRequest {
            correlation_id: Some("abcde12345".to_owned()),
            subscribe: true,
            mode: StreamMode::SnapQuote,
            tokens,
        };
        let text = ClientText::Request(request.clone()).encode();
        assert_eq!(
            text,
            r#"{"correlationID":"abcde12345","action":1,"params":{"mode":3,"tokenList":[{"exchangeType":1,"tokens":["10626"]},{"exchangeType":2,"tokens":["54786","5290"]}]}}"#
        );
        assert_eq!(ClientText::decode(b"ping"), Ok(ClientText::Ping));
        assert_eq!(ServerText::decode(b"pong"), Ok(ServerText::Pong));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, says) in [
            (r#"{"action":1,"params":{"mode":4,"tokenList":[]}}"#, "unsupported mode 4"),
            (
                r#"{"action":1,"params":{"mode":3,"tokenList":[{"exchangeType":0,"tokens":[]}]}}"#,
                "exchange type 0",
            ),
            (r#"{"action":7,"params":{"mode":3,"tokenList":[]}}"#, "unsupported action 7"),
            (
                r#"{"action":1,"params":{"mode":3,"tokenList":[{"exchangeType":1,"tokens":["x"]}]}}"#,
                "not a token",
            ),
            (r#"{"action":1,"params":{"mode":3}}"#, "tokenList"),
            ("pong", "byte"),
            ("", "byte"),
        ] {
            let error = ClientText::decode(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
