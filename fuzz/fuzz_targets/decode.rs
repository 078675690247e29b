//! Whatever a node sends: no panic, the verdict of a full parser, and fields
//! that are JSON. See docs/FUZZING.md.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tetcore_analytics::telemetry::{DecodeError, decode};

fuzz_target!(|frame: &[u8]| {
    let decoded = decode(frame);
    let Ok(text) = std::str::from_utf8(frame) else {
        assert_eq!(decoded, Err(DecodeError::NotUtf8));
        return;
    };
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    match decoded {
        Ok(message) => {
            assert!(is_json && text.trim_start().starts_with('{'));
            let fields = message.fields.to_vec();
            assert!(serde_json::from_slice::<IgnoredAny>(&fields).is_ok());
        }
        Err(DecodeError::NotAnObject) => {
            assert!(is_json && !text.trim_start().starts_with('{'));
        }
        Err(DecodeError::TooDeep) => {}
        Err(_) => assert!(!is_json),
    }
});
