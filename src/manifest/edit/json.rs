//! One change of a JSON text: order, indentation and line ends stay as they are.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};
use serde_json::Value;

use super::change::Change;

/// The text with one change. `None` where it is not JSON.
pub(super) fn change(text: &str, change: &Change) -> Option<String> {
    let bare = text.trim_start_matches('\u{feff}');
    let mark = &text[..text.len() - bare.len()];
    let root = CstRootNode::parse(bare, &ParseOptions::default()).ok()?;
    let (key, above) = change.path.split_last()?;
    if let Some(value) = &change.to {
        let mut object = root.object_value_or_set();
        for key in above {
            object = object.object_value_or_set(key);
        }
        match object.get(key) {
            Some(field) => field.set_value(written(value)),
            None => drop(object.append(key, written(value))),
        }
    } else {
        let mut object = root.object_value();
        for key in above {
            object = object.and_then(|object| object.object_value(key));
        }
        if let Some(field) = object.and_then(|object| object.get(key)) {
            field.remove();
        }
    }
    Some(format!("{mark}{root}"))
}

fn written(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(truth) => CstInputValue::Bool(*truth),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(written).collect()),
        Value::Object(fields) => {
            let fields = fields.iter();
            CstInputValue::Object(
                fields
                    .map(|(key, value)| (key.clone(), written(value)))
                    .collect(),
            )
        }
    }
}
