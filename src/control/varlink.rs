//! Varlink messages: calls, replies, and the methods of `org.varlink.service`. Sans-IO.
//!
//! Source: the varlink protocol, <https://varlink.org/Method-Call> and <https://varlink.org/Service>.

use super::{ControlError, Request, Verb};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The interface of bhavd's own methods.
pub const INTERFACE: &str = "org.bhavd.Control1";

/// Its definition in varlink's language.
pub const INTERFACE_DESCRIPTION: &str = include_str!("org.bhavd.Control1.varlink");

const SERVICE_INTERFACE: &str = "org.varlink.service";
const SERVICE_DESCRIPTION: &str = include_str!("org.varlink.service.varlink");

/// A call as it stands on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Interface and method: `org.bhavd.Control1.Status`.
    pub method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
    /// The caller takes several replies.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// The caller wants no reply.
    #[serde(default, skip_serializing_if = "is_false")]
    pub oneway: bool,
}

/// A reply as it stands on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Another reply to the same call follows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continues: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a call asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Answered by the parameters held here: `org.varlink.service` needs nothing of the daemon.
    Introspection(Value),
    Control(Request),
}

impl Call {
    /// The call that carries `request`.
    pub fn of(request: &Request) -> Call {
        let parameters = match request.parameters() {
            Value::Object(parameters) => Some(parameters),
            _ => None,
        };
        Call {
            method: format!("{INTERFACE}.{}", request.verb().name()),
            parameters,
            more: request.verb() == Verb::Watch,
            oneway: false,
        }
    }
}

/// Reads one frame.
///
/// # Errors
/// [`ControlError::Invalid`]: the frame is no call. The connection cannot go on.
pub fn parse_call(frame: &[u8]) -> Result<Call, ControlError> {
    serde_json::from_slice(frame).map_err(|error| {
        ControlError::invalid("", format!("the call is not valid JSON of a varlink call: {error}"))
    })
}

impl Command {
    /// # Errors
    /// [`ControlError::InterfaceNotFound`], [`ControlError::MethodNotFound`], [`ControlError::Invalid`].
    pub fn decode(call: &Call) -> Result<Command, ControlError> {
        let parameters = call.parameters.clone().unwrap_or_default();
        let not_found = || ControlError::MethodNotFound { method: call.method.clone() };
        let (interface, method) = call.method.rsplit_once('.').ok_or_else(not_found)?;
        match interface {
            INTERFACE => {
                let verb = Verb::from_name(method).ok_or_else(not_found)?;
                Request::decode(verb, Value::Object(parameters)).map(Command::Control)
            }
            SERVICE_INTERFACE => match method {
                "GetInfo" => Ok(Command::Introspection(info())),
                "GetInterfaceDescription" => description(&parameters).map(Command::Introspection),
                _ => Err(not_found()),
            },
            _ => Err(ControlError::InterfaceNotFound { interface: interface.to_owned() }),
        }
    }
}

fn info() -> Value {
    json!({
        "vendor": "bhavd",
        "product": "bhavd",
        "version": env!("CARGO_PKG_VERSION"),
        "url": "",
        "interfaces": [SERVICE_INTERFACE, INTERFACE],
    })
}

fn description(parameters: &Map<String, Value>) -> Result<Value, ControlError> {
    match parameters.get("interface").and_then(Value::as_str) {
        Some(INTERFACE) => Ok(json!({ "description": INTERFACE_DESCRIPTION })),
        Some(SERVICE_INTERFACE) => Ok(json!({ "description": SERVICE_DESCRIPTION })),
        Some(other) => Err(ControlError::InterfaceNotFound { interface: other.to_owned() }),
        None => Err(ControlError::invalid("interface", "give the interface's name as a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{ChainRequest, WatchRequest};
    use proptest::prelude::*;

    fn command(text: &str) -> Result<Command, ControlError> {
        Command::decode(&parse_call(text.as_bytes())?)
    }

    #[test]
    fn calls_carry_requests() {
        let chain = ChainRequest { underlying: "NIFTY".to_owned(), expiry: None, at: None };
        for request in [Request::Status, Request::Chain(chain), Request::Watch(WatchRequest::default())] {
            let call = Call::of(&request);
            assert_eq!(call.more, matches!(request, Request::Watch(_)));
            let frame = serde_json::to_vec(&call).expect("JSON");
            let command = parse_call(&frame).and_then(|call| Command::decode(&call));
            assert_eq!(command, Ok(Command::Control(request)));
        }
        let bare = command(r#"{"method":"org.bhavd.Control1.Status"}"#);
        assert_eq!(bare, Ok(Command::Control(Request::Status)));
        let null = command(r#"{"method":"org.bhavd.Control1.Status","parameters":null}"#);
        assert_eq!(null, Ok(Command::Control(Request::Status)));
    }

    #[test]
    fn the_interface_describes_itself() {
        let Ok(Command::Introspection(info)) = command(r#"{"method":"org.varlink.service.GetInfo"}"#) else {
            panic!("GetInfo is refused");
        };
        assert_eq!(info["interfaces"], json!(["org.varlink.service", "org.bhavd.Control1"]));
        for interface in [INTERFACE, SERVICE_INTERFACE] {
            let call = json!({
                "method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": interface},
            });
            let Ok(Command::Introspection(answer)) = command(&call.to_string()) else {
                panic!("{interface} is not described");
            };
            let text = answer["description"].as_str().expect("a text");
            assert!(text.contains(&format!("interface {interface}\n")), "{text}");
        }
    }

    #[test]
    fn every_verb_is_a_described_method() {
        let described: Vec<&str> = INTERFACE_DESCRIPTION
            .lines()
            .filter_map(|line| line.strip_prefix("method ")?.split('(').next())
            .collect();
        assert_eq!(described, Verb::ALL.map(Verb::name));
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (text, part) in [
            (r#"{"method":"org.bhavd.Control1.Reboot"}"#, "no method org.bhavd.Control1.Reboot"),
            (r#"{"method":"Status"}"#, "no method Status"),
            (r#"{"method":"org.example.Status"}"#, "no interface org.example"),
            (r#"{"method":"org.varlink.service.GetInterfaceDescription"}"#, "interface: give"),
            (r#"{"method":7}"#, "not valid JSON of a varlink call"),
            ("{", "not valid JSON of a varlink call"),
        ] {
            let error = command(text).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_frame_panics(frame in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(call) = parse_call(&frame) {
                let _ = Command::decode(&call);
            }
        }
    }
}
