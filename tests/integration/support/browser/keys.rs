//! Keys of a keyboard, as the browser hears them.

use serde_json::{Value, json};

/// Bits by which the protocol names keys that are held down.
const MODIFIERS: [(&str, u8); 3] = [("Alt", 1), ("Control", 2), ("Shift", 8)];

/// The events of keys that are pressed together.
pub(super) fn press(keys: &[&str]) -> Vec<Value> {
    let mut events = Vec::new();
    let mut held = 0;
    for key in keys {
        held |= modifier(key);
        events.push(down(key, held));
    }
    for key in keys.iter().rev() {
        held &= !modifier(key);
        events.push(event("keyUp", key, held));
    }
    events
}

fn modifier(key: &str) -> u8 {
    let found = MODIFIERS.iter().find(|(name, _)| *name == key);
    found.map_or(0, |(_, bit)| *bit)
}

fn down(key: &str, held: u8) -> Value {
    // With Control or Alt, keys type no text.
    let text = match key {
        "Enter" => "\r",
        key if key.chars().count() == 1 && held & 3 == 0 => key,
        _ => return event("rawKeyDown", key, held),
    };
    let mut event = event("keyDown", key, held);
    event["text"] = json!(text);
    event
}

fn event(kind: &str, key: &str, held: u8) -> Value {
    let code = code(key);
    json!({"type": kind, "key": key, "windowsVirtualKeyCode": code, "modifiers": held})
}

/// The number of a key on the keyboard, which decides what it does by default.
fn code(key: &str) -> u32 {
    match key {
        "Backspace" => 8,
        "Tab" => 9,
        "Enter" => 13,
        "Shift" => 16,
        "Control" => 17,
        "Alt" => 18,
        "Escape" => 27,
        "PageUp" => 33,
        "PageDown" => 34,
        "End" => 35,
        "Home" => 36,
        "ArrowLeft" => 37,
        "ArrowUp" => 38,
        "ArrowRight" => 39,
        "ArrowDown" => 40,
        "Delete" => 46,
        other => {
            let mut characters = other.chars();
            match (characters.next(), characters.next()) {
                (Some(one), None) if one == ' ' || one.is_ascii_alphanumeric() => {
                    u32::from(one.to_ascii_uppercase())
                }
                (Some(_), None) => 0,
                _ => panic!("no key is called {other}"),
            }
        }
    }
}
