//! Responses as D-Bus dictionaries.

use crate::control::{Response, Versioned};
use serde_json::Value;
use std::collections::BTreeMap;
use zbus::Variant;

/// The names and forms of the control socket: objects are `a{sv}`, lists `av`, counts `t`, texts `s`. A field without
/// a value is left out, since D-Bus has no null.
pub(super) type Dictionary = BTreeMap<String, Variant<'static>>;

pub(super) fn dictionary(response: &Response) -> Dictionary {
    let value = serde_json::to_value(Versioned::new(response))
        .expect("responses have string keys and no failing fields");
    match value {
        Value::Object(fields) => fields_of(fields),
        _ => Dictionary::new(),
    }
}

fn fields_of(fields: serde_json::Map<String, Value>) -> Dictionary {
    fields.into_iter().filter_map(|(name, value)| Some((name, variant(value)?))).collect()
}

fn variant(value: Value) -> Option<Variant<'static>> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => Variant::from(flag),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(count), _) => Variant::from(count),
            (None, Some(negative)) => Variant::from(negative),
            (None, None) => Variant::from(number.as_f64()?),
        },
        Value::String(text) => Variant::from(text),
        Value::Array(items) => Variant::from(items.into_iter().filter_map(variant).collect::<Vec<_>>()),
        Value::Object(fields) => Variant::from(fields_of(fields)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{FeedRow, FeedsResponse, ProviderChoice};

    #[test]
    fn a_response_keeps_its_names_and_leaves_out_what_is_not_there() {
        let feed = FeedRow {
            provider: "nse".to_owned(),
            state: "up".to_owned(),
            subscribed: 7,
            frames: 0,
            requests: 0,
            errors: 0,
            reconnects: 0,
            last_frame: None,
            last_event: None,
            last_error: String::new(),
        };
        let response =
            Response::Feeds(FeedsResponse { feeds: vec![feed], choice: ProviderChoice::default() });
        let fields = dictionary(&response);
        assert_eq!(fields["schema_version"], Variant::from(1_u64));
        assert_eq!(fields["feeds"].value_signature().to_string(), "av");
        let Variant::Array(feeds) = &fields["feeds"] else { panic!("a list") };
        let Variant::Variant(feed) = &feeds[0] else { panic!("a variant") };
        assert_eq!(feed.value_signature().to_string(), "a{sv}");
        let Variant::Dict(feed) = &**feed else { panic!("a dictionary") };
        let text = |name: &str| feed.get::<&str, String>(&name).expect("a text");
        assert_eq!(text("state").as_deref(), Some("up"));
        assert_eq!(text("last_frame"), None);
    }
}
