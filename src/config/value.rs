//! The value of a setting.

use super::number::{NumberForm, format_memory};
use super::output_limits::OutputLimits;
use super::redis_words::quote;

/// A value that was parsed by its setting's kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// yes or no.
    YesNo(bool),
    /// A number, and how it is written.
    Number(i128, NumberForm),
    /// One of a list of names.
    Choice(&'static str),
    /// Any bytes.
    Text(Vec<u8>),
    /// Several words.
    Words(Vec<Vec<u8>>),
    /// The limits of all classes of clients.
    OutputLimits(OutputLimits),
}

impl Value {
    /// As CONFIG GET reports it.
    pub fn report(&self) -> Vec<u8> {
        match self {
            Value::YesNo(yes) => yes_no(*yes).to_vec(),
            Value::Number(percent, NumberForm::MemoryOrPercent) if *percent < 0 => {
                format!("{}%", -percent).into_bytes()
            }
            Value::Number(mode, NumberForm::Octal) => format!("{mode:o}").into_bytes(),
            Value::Number(number, _) => number.to_string().into_bytes(),
            Value::Choice(name) => name.as_bytes().to_vec(),
            Value::Text(text) => text.clone(),
            Value::Words(words) => words.join(&b' '),
            Value::OutputLimits(limits) => limits.to_string().into_bytes(),
        }
    }

    /// As CONFIG REWRITE writes it: the lines, without line ends.
    pub fn lines(&self, name: &str) -> Vec<Vec<u8>> {
        let values = match self {
            Value::Number(bytes, NumberForm::Memory | NumberForm::MemoryOrPercent) if *bytes >= 0 => {
                vec![format_memory(*bytes).into_bytes()]
            }
            Value::Text(text) => vec![quote(text)],
            Value::Words(words) if words.is_empty() => vec![quote(b"")],
            Value::Words(words) => {
                let plain =
                    |word: &Vec<u8>| word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
                let written = |word: &Vec<u8>| if plain(word) { word.clone() } else { quote(word) };
                vec![words.iter().map(written).collect::<Vec<_>>().join(&b' ')]
            }
            Value::OutputLimits(limits) => limits
                .classes()
                .into_iter()
                .map(|(class, limit)| {
                    let class = if class == "slave" { "replica" } else { class };
                    let (hard, soft) = (i128::from(limit.hard_bytes), i128::from(limit.soft_bytes));
                    let seconds = limit.soft_duration.as_secs();
                    format!("{class} {} {} {seconds}", format_memory(hard), format_memory(soft)).into_bytes()
                })
                .collect(),
            Value::YesNo(_) | Value::Number(..) | Value::Choice(_) => vec![self.report()],
        };
        values.into_iter().map(|value| [name.as_bytes(), b" ", &value].concat()).collect()
    }
}

fn yes_no(yes: bool) -> &'static [u8] {
    if yes { b"yes" } else { b"no" }
}
