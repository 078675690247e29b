//! The table of all settings: names, defaults, ranges, meanings.

mod access;
mod grafana;
mod server;
mod status;
mod transports;

use super::settings::{Allowed, DefaultValue, Setting};

const fn number(
    name: &'static str,
    default: &'static str,
    range: (u64, u64),
    unit: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting {
        name,
        default: DefaultValue::Text(default),
        allowed: Allowed::Integer(range.0, range.1),
        unit,
        secret: false,
        meaning,
    }
}

const fn computed(
    name: &'static str,
    default: DefaultValue,
    range: (u64, u64),
    meaning: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        allowed: Allowed::Integer(range.0, range.1),
        unit: "",
        secret: false,
        meaning,
    }
}

const fn text(
    name: &'static str,
    default: DefaultValue,
    allowed: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        allowed: Allowed::Text(allowed),
        unit: "",
        secret: false,
        meaning,
    }
}

const fn secret(name: &'static str, allowed: &'static str, meaning: &'static str) -> Setting {
    Setting {
        secret: true,
        ..text(name, DefaultValue::Unset, allowed, meaning)
    }
}

/// All settings, in the order in which they are documented.
pub const SETTINGS: &[Setting] = {
    const PARTS: [&[Setting]; 5] = [
        server::SETTINGS,
        status::SETTINGS,
        transports::SETTINGS,
        grafana::SETTINGS,
        access::SETTINGS,
    ];
    const COUNT: usize =
        PARTS[0].len() + PARTS[1].len() + PARTS[2].len() + PARTS[3].len() + PARTS[4].len();
    &joined::<COUNT>(PARTS)
};

/// Parts of the table in one.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const fn joined<const COUNT: usize>(parts: [&[Setting]; 5]) -> [Setting; COUNT] {
    let mut all = [parts[0][0]; COUNT];
    let (mut part, mut place, mut count) = (0, 0, 0);
    while part < parts.len() {
        if place < parts[part].len() {
            all[count] = parts[part][place];
            (place, count) = (place + 1, count + 1);
        } else {
            (part, place) = (part + 1, 0);
        }
    }
    all
}
