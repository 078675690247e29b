//! Names of transports, and of their settings.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Numbers of transports of one kind beside the first.
const NUMBERS: std::ops::RangeInclusive<u8> = 2..=8;

/// A kind of transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// Lines of JSON on standard output.
    Console,
    /// Standard Webhooks.
    Webhook,
    /// The batch API of Honeycomb.
    Honeycomb,
    /// Logs of OpenTelemetry over HTTP.
    Otlp,
    /// The push API of Loki.
    Loki,
}

impl TransportKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Console,
        Self::Webhook,
        Self::Honeycomb,
        Self::Otlp,
        Self::Loki,
    ];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Webhook => "webhook",
            Self::Honeycomb => "honeycomb",
            Self::Otlp => "otlp",
            Self::Loki => "loki",
        }
    }

    /// The beginning of the names of its settings.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Console => "EVENT_CONSOLE",
            Self::Webhook => "EVENT_WEBHOOK",
            Self::Honeycomb => "EVENT_HONEYCOMB",
            Self::Otlp => "EVENT_OTLP",
            Self::Loki => "EVENT_LOKI",
        }
    }
}

/// The name of a transport: its kind, and a number from 2 on where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransportName {
    kind: TransportKind,
    number: u8,
}

impl TransportName {
    /// Its kind.
    pub fn kind(self) -> TransportKind {
        self.kind
    }

    /// Whether it is not the first of its kind.
    pub(super) fn is_numbered(self) -> bool {
        self.number > 1
    }

    /// The name of one of its settings, by that of the first of its kind.
    pub(super) fn setting(self, first: &'static str) -> Cow<'static, str> {
        match (self.number, first.strip_prefix(self.kind.prefix())) {
            (number @ 2.., Some(rest)) => {
                Cow::Owned(format!("{}_{number}{rest}", self.kind.prefix()))
            }
            _ => Cow::Borrowed(first),
        }
    }
}

impl fmt::Display for TransportName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            1 => formatter.write_str(self.kind.label()),
            number => write!(formatter, "{}-{number}", self.kind.label()),
        }
    }
}

impl FromStr for TransportName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (label, number) = match text.split_once('-') {
            Some((label, number)) => (label, number.parse().ok().filter(|n| NUMBERS.contains(n))),
            None => (text, Some(1)),
        };
        let kind = TransportKind::ALL
            .into_iter()
            .find(|kind| kind.label() == label);
        match (kind, number) {
            (Some(kind), Some(number)) => Ok(Self { kind, number }),
            _ => Err(format!(
                "'{text}' is no transport; there are {}, and with a number from 2 to 8, such as webhook-2, further ones of a kind",
                TransportKind::ALL.map(TransportKind::label).join(", ")
            )),
        }
    }
}

/// The setting of the first transport of a kind that a numbered name stands for:
/// `EVENT_WEBHOOK_URL` for `EVENT_WEBHOOK_2_URL`.
pub(in crate::config) fn first_of_kind(name: &str) -> Option<String> {
    TransportKind::ALL.into_iter().find_map(|kind| {
        let rest = name.strip_prefix(kind.prefix())?.strip_prefix('_')?;
        let (number, rest) = rest.split_once('_')?;
        let is_numbered = number.parse().is_ok_and(|number| NUMBERS.contains(&number));
        is_numbered.then(|| format!("{}_{rest}", kind.prefix()))
    })
}
